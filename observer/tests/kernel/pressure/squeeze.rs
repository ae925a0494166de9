//! A host that is short of memory: readers of a file much larger than it. Only on a small machine, whose page cache may go.

use std::{fs, time::Instant};

use super::Watch;
use crate::{
    kswapd::{SMALL, total_memory},
    support::{cgroup::Cgroup, file::BigFile, memory::page_size, needs_root, skipped, wait::LIMIT, workload::Workload},
};

/// Three readers, in a cgroup without a limit.
struct Squeeze {
    readers: [Workload; 3],
    cgroup: Cgroup,
    _file: BigFile,
}

impl Squeeze {
    /// `None`, with the reason said, on a machine that others use.
    fn start(test: &str) -> Option<Self> {
        if total_memory() > SMALL {
            skipped(
                test,
                "it fills the page cache, which is done only where memory is at most 4 GiB, as in the VM lane",
            );
            return None;
        }
        let (cgroup, file) = (Cgroup::new("squeeze"), BigFile::new(total_memory() * 8));
        let what = format!("read {} 100", file.path().display());
        let readers = [(); 3].map(|()| {
            let mut reader = Workload::start(&what, Some(&cgroup));
            reader.go();
            reader
        });
        Some(Self { readers, cgroup, _file: file })
    }
}

/// Bytes that kswapd has looked at, as the kernel counts them.
fn scanned() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").expect("/proc is there");
    let line = text.lines().find_map(|l| l.strip_prefix("pgscan_kswapd ")).expect("the kernel has the line");
    line.parse::<u64>().expect("a number") * page_size() as u64
}

/// Waits until kswapd looks at so much in a second, by the kernel's own count, that it is hot. False if it never does.
fn is_hot(watch: &mut Watch) -> bool {
    const HOT: f64 = 32.0 * 1024.0 * 1024.0;
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        let (since, before) = (Instant::now(), scanned());
        watch.tick();
        watch.tick();
        if (scanned() - before) as f64 > HOT * since.elapsed().as_secs_f64() {
            return true;
        }
    }
    false
}

#[test]
fn kswapd_that_runs_hot_is_seen_with_who_asks_for_it() {
    needs_root!("kswapd_that_runs_hot_is_seen_with_who_asks_for_it");
    let mut watch = Watch::start();
    let Some(scene) = Squeeze::start("kswapd_that_runs_hot_is_seen_with_who_asks_for_it") else { return };
    if !is_hot(&mut watch) {
        skipped(
            "kswapd_that_runs_hot_is_seen_with_who_asks_for_it",
            "the machine is too slow for readers to keep kswapd busy",
        );
        return;
    }
    let name = scene.cgroup.name();
    let finding = watch.until("kswapd_hot", |f| f.verdict.contains("kswapd") && f.verdict.contains(&name));
    watch.record("squeeze", "kswapd_hot");
    let pids = scene.readers.each_ref().map(Workload::pid);
    assert!(pids.iter().any(|pid| finding.verdict.contains(&format!("(pid {pid})"))), "{pids:?}: {finding:#?}");
    // The kernel's own count, read around a snapshot.
    let before = scanned();
    watch.tick();
    let read = watch.snapshot().memory.vmstat.as_ref().and_then(|v| v.pgscan_kswapd_bytes).expect("vmstat is read");
    assert!((before..=scanned()).contains(&read), "{read}");
}
