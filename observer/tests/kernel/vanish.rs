//! Cgroups that vanish between being listed and being read.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use observer::{
    snapshot::coverage::Source,
    source::{Collector, Options},
};

use crate::support::{cgroup::Cgroup, needs_root, seen, wait::LIMIT};

/// How long the cgroups come and go.
const RUN: Duration = Duration::from_secs(4);

/// Kilobytes of memory that this process has.
pub(crate) fn resident_kb() -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_cgroup_that_vanishes_while_it_is_read_is_no_error() {
    needs_root!("a_cgroup_that_vanishes_while_it_is_read_is_no_error");
    let parent = Cgroup::new("vanish");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (parent, stop) = (&parent, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let children: Vec<_> = (0..16).map(|n| parent.path().join(format!("{thread}-{n}"))).collect();
                    children.iter().for_each(|c| fs::create_dir(c).unwrap());
                    children.iter().for_each(|c| fs::remove_dir(c).unwrap());
                }
            });
        }
        let result = std::panic::catch_unwind(|| collect(&parent));
        stop.store(true, Ordering::Relaxed);
        result
    })
    .unwrap();
}

fn collect(parent: &Cgroup) {
    let mut collector = Collector::new(Options { object: None, ..Options::default() });
    let (begun, mut snapshots, mut vanished, mut listed, mut early) = (Instant::now(), 0, 0, 0, None);
    while begun.elapsed() < RUN || vanished == 0 {
        assert!(begun.elapsed() < LIMIT, "in {snapshots} snapshots {vanished} cgroups vanished");
        let snapshot = collector.snapshot();
        // Without the kernel side sockets are read by sock_diag, which never tells everything.
        let sources = snapshot.coverage.sources.iter().filter(|s| s.name != Source::SOCK_DIAG_FIELDS);
        let missing: Vec<_> = sources.filter(|s| s.missing.is_some()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let cgroups = snapshot.cgroups.expect("cgroups are read");
        let inside = cgroups.list.iter().filter(|c| c.path.as_str().starts_with(&parent.name()));
        listed += inside.count() - 1;
        for cgroup in &cgroups.list {
            assert!(cgroup.usage.is_some() || cgroup.path.as_str() == "/", "read in part: {cgroup:?}");
        }
        vanished += cgroups.vanished;
        snapshots += 1;
        if begun.elapsed() > RUN / 4 {
            early.get_or_insert_with(resident_kb);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let grown = resident_kb().saturating_sub(early.unwrap_or(0));
    seen!("{snapshots} snapshots, {listed} short-lived cgroups listed, {vanished} vanished, grown by {grown} kB");
    assert!(grown < 8192, "memory grew by {grown} kB in {snapshots} snapshots");
}
