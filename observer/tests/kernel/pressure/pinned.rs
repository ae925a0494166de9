//! Page cache that cannot be dropped: kswapd looks at it again and again, and who asks for memory must reclaim by itself.

use std::fs;

use observer::snapshot::Snapshot;

use super::{Watch, evidence};
use crate::{
    kswapd::{SMALL, direct, meminfo, total_memory},
    support::{
        cgroup::Cgroup, file::BigFile, memory::page_size, needs_root, perf::Counter, seen, skipped, wait::wait_for,
        workload::Workload,
    },
};

/// What is left to the readers above the high watermarks, in bytes: little beside what is pinned.
const LEFT: u64 = 24 << 20;

/// Where reclaim gives up somebody is killed: this keeps the OOM killer from the test itself, which would end all tests.
/// Dropping it ends that.
struct Spared;

impl Spared {
    fn new() -> Self {
        fs::write(SCORE, "-900").expect("root may");
        Self
    }
}

impl Drop for Spared {
    fn drop(&mut self) {
        let _ = fs::write(SCORE, "0");
    }
}

const SCORE: &str = "/proc/self/oom_score_adj";

/// Nearly all of RAM in pipes, and readers in a cgroup without a limit.
struct Pinned {
    readers: [Workload; 2],
    _pins: Workload,
    cgroup: Cgroup,
    _file: BigFile,
    _spared: Spared,
}

impl Pinned {
    /// `None`, with the reason said, on a machine that others use.
    fn start(test: &str) -> Option<Self> {
        if total_memory() > SMALL {
            skipped(test, "it fills all of RAM, which is done only where memory is at most 4 GiB, as in the VM lane");
            return None;
        }
        fs::write("/proc/sys/vm/drop_caches", "3").expect("caches can be dropped");
        let (cgroup, file) = (Cgroup::new("pinned"), BigFile::new(total_memory() * 8));
        let path = file.path().display().to_string();
        let bytes = meminfo("MemFree:") - high_watermarks() - LEFT;
        let mut pins = Workload::start(&format!("pin {path} {bytes}"), None);
        assert_eq!(pins.step(), "done");
        let readers = [(); 2].map(|()| {
            let mut reader = Workload::start(&format!("read {path} 100"), Some(&cgroup));
            reader.go();
            reader
        });
        // Those that were started before do not inherit it.
        Some(Self { readers, _pins: pins, cgroup, _file: file, _spared: Spared::new() })
    }
}

/// Free memory that kswapd works for, in bytes, summed over zones.
fn high_watermarks() -> u64 {
    let text = fs::read_to_string("/proc/zoneinfo").expect("/proc is there");
    let pages = text.lines().filter_map(|l| l.trim().strip_prefix("high ")?.trim().parse::<u64>().ok());
    pages.sum::<u64>() * page_size() as u64
}

/// Reclaims by who asked for memory, as the kernel counts them.
fn allocstall() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").expect("/proc is there");
    let lines = text.lines().filter(|l| l.starts_with("allocstall_"));
    lines.filter_map(|l| l.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

#[test]
fn kswapd_that_works_for_nothing_is_told_from_one_that_is_busy() {
    needs_root!("kswapd_that_works_for_nothing_is_told_from_one_that_is_busy");
    let mut watch = Watch::start();
    let Some(scene) = Pinned::start("kswapd_that_works_for_nothing_is_told_from_one_that_is_busy") else { return };
    let name = scene.cgroup.name();
    let finding = watch.until("kswapd_hot", |f| f.verdict.contains("works for nothing") && f.verdict.contains(&name));
    let pids = scene.readers.each_ref().map(Workload::pid);
    // To record takes memory, of which there is none.
    drop(scene);
    watch.record("kswapd-for-nothing", "kswapd_hot");
    assert!(pids.iter().any(|pid| finding.verdict.contains(&format!("(pid {pid})"))), "{pids:?}: {finding:#?}");
    assert!(evidence(&finding, "reclaimed of what it looked at").ends_with('%'));
    // The kernel's own counts of the same time, by which it is for nothing as well.
    let snapshots: Vec<_> = watch.recent().collect();
    let counted = |s: &Snapshot| {
        let vm = s.memory.vmstat.as_ref().expect("vmstat is read");
        (vm.pgscan_kswapd_bytes.expect("it is told"), vm.pgsteal_kswapd_bytes.expect("it is told"))
    };
    let [old, new] =
        [&snapshots[snapshots.len().saturating_sub(8)], &snapshots[snapshots.len() - 1]].map(|s| counted(s));
    let (scanned, reclaimed) = (new.0 - old.0, new.1 - old.1);
    seen!("/proc/vmstat: {reclaimed} of {scanned} reclaimed by kswapd");
    assert!(scanned > 0 && reclaimed * 5 < scanned, "{reclaimed} of {scanned}");
}

#[test]
fn who_stalls_while_the_host_is_short_is_named() {
    needs_root!("who_stalls_while_the_host_is_short_is_named");
    let mut watch = Watch::start();
    let begun = allocstall();
    let ends = Counter::everywhere("vmscan:mm_vmscan_direct_reclaim_end", None);
    let Some(scene) = Pinned::start("who_stalls_while_the_host_is_short_is_named") else { return };
    // The kernel's own counts, read around a snapshot; those of vmstat are of begins, so that what goes on is in them.
    const GOES_ON: u64 = 8;
    wait_for("a task that must reclaim by itself", || {
        watch.tick();
        (direct(watch.snapshot()) > 0).then_some(())
    });
    let least = ends.read();
    watch.tick();
    let (most, begins) = (ends.read(), allocstall() - begun);
    let counted = direct(watch.snapshot());
    seen!("direct reclaims: {least} <= observer {counted} <= {most}, allocstall {begins}");
    assert!((least..=most).contains(&counted), "{least} <= {counted} <= {most}");
    assert!((most..=most + GOES_ON).contains(&begins), "{most} ended, {begins} began");
    let verdict = format!("The host is short of memory: cgroup {} stalls in direct reclaim", scene.cgroup.name());
    let finding = watch.until("reclaim_stalls", |f| f.verdict == verdict);
    assert!(finding.evidence.iter().any(|e| e.what.contains("obs-read")), "{finding:#?}");
    // To record takes memory, of which there is none.
    drop(scene);
    watch.record("direct-reclaim", "reclaim_stalls");
}
