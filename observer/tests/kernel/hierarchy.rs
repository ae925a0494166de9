//! Which hierarchy of cgroups is read: version 1 alone, version 2, or both with the memory controller in version 1.

use std::fs;

use observer::{
    snapshot::cgroup::Hierarchy,
    source::{Collector, Options},
};

use crate::support::{cgroup::Cgroup, needs_root, observer::cgroup_number, seen, workload::Workload};

const LIMIT: u64 = 16 << 20;

/// What the mounts of this host amount to.
fn mounted() -> Hierarchy {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts are listed");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let kinds: Vec<(String, bool)> =
        fields.map(|f| (f[2].to_owned(), f[3].split(',').any(|option| option == "memory"))).collect();
    let unified = kinds.iter().any(|(kind, _)| kind == "cgroup2");
    match kinds.iter().any(|(kind, memory)| kind == "cgroup" && *memory) {
        true if unified => Hierarchy::Hybrid,
        true => Hierarchy::V1,
        false => Hierarchy::V2,
    }
}

#[test]
fn the_mounted_hierarchy_is_read_and_its_limits_are_met_in_it() {
    needs_root!("the_mounted_hierarchy_is_read_and_its_limits_are_met_in_it");
    let mut collector = Collector::new(Options::default());
    let cgroup = Cgroup::new("hierarchy");
    cgroup.limit_with_swap(LIMIT);
    let before = collector.snapshot();
    // Twice what fits: the limit is met, and page cache goes.
    let file = crate::support::file::BigFile::new(2 * LIMIT);
    let mut work = Workload::start(&format!("read {} 1", file.path().display()), Some(&cgroup));
    assert_eq!(work.step(), "done");
    let after = collector.snapshot();
    let cgroups = after.cgroups.as_ref().expect("cgroups are read");
    assert_eq!(cgroups.hierarchy, mounted());
    assert!(cgroups.dying.is_some(), "removed cgroups are counted");
    let missing: Vec<_> = after.coverage.sources.iter().filter(|s| s.name.starts_with("cgroups")).collect();
    assert!(missing.iter().all(|s| s.missing.is_none()), "{missing:?}");
    let row = cgroups.by_id(cgroup.id()).expect("it is listed");
    let old = before.cgroups.as_ref().and_then(|c| c.by_id(cgroup.id()).cloned()).expect("it was listed");
    assert_eq!((row.path.as_str(), row.limit), (cgroup.name().as_str(), Some(LIMIT)));
    let hits = cgroup_number(&cgroup, "memory.failcnt", ("memory.events.local", "max "));
    assert!(hits > 0 && row.own_limit_hits == Some(hits), "the kernel says {hits}, observer {row:?}");
    assert!(old.own_limit_hits < row.own_limit_hits, "{old:?}");
    // What it reclaimed for that is told by the probes, under the same id.
    let reclaim = after.reclaim.as_ref().expect("the probes are attached");
    let own = reclaim.by_cgroup.iter().filter(|r| r.cgroup == Some(cgroup.id()));
    let reclaimed: u64 = own.map(|r| r.totals.reclaimed_bytes).sum();
    assert!(reclaimed >= LIMIT / 2, "{reclaimed} bytes");
    seen!(
        "{:?}: {} cgroups, its own limit met {hits} times, {reclaimed} bytes reclaimed",
        mounted(),
        cgroups.list.len()
    );
    work.finish();
}
