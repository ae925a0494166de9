//! observer, as the tests use it.

use observer::{
    snapshot::{
        CgroupId, Snapshot,
        coverage::ProbeState,
        page_alloc::{AllocCounts, PageAlloc},
    },
    source::kernel::{Kernel, Options},
};

use super::cgroup::Cgroup;

/// Loads the embedded programs; every probe must be attached.
pub(crate) fn load() -> Kernel {
    load_with(&Options::default())
}

/// Loads with other options.
pub(crate) fn load_with(options: &Options) -> Kernel {
    let (kernel, coverage) = Kernel::load(observer::object::OBJECT, options);
    for probe in &coverage.probes {
        assert!(!matches!(probe.state, ProbeState::Absent { .. }), "{probe:?}");
    }
    kernel
}

/// What the kernel side has counted until now.
pub(crate) fn read(kernel: &mut Kernel) -> Snapshot {
    let mut snapshot = Snapshot::default();
    kernel.read(&mut snapshot, &|_| false);
    assert!(snapshot.coverage.sources.iter().all(|s| s.missing.is_none()), "{:?}", snapshot.coverage.sources);
    snapshot
}

/// The part of a snapshot about page allocations.
pub(crate) fn page_alloc(snapshot: &Snapshot) -> &PageAlloc {
    snapshot.page_alloc.as_ref().expect("page allocations are counted")
}

/// What one process has asked for in one cgroup.
pub(crate) fn of_process(snapshot: &Snapshot, pid: u32, cgroup: CgroupId) -> AllocCounts {
    let rows = page_alloc(snapshot).processes.iter().filter(|p| p.pid == pid && p.cgroup == Some(cgroup));
    sum(rows.map(|p| &p.counts))
}

/// What the processes of one cgroup have asked for, ended ones included.
pub(crate) fn of_cgroup(snapshot: &Snapshot, cgroup: CgroupId) -> AllocCounts {
    let all = page_alloc(snapshot);
    let living = all.processes.iter().filter(|p| p.cgroup == Some(cgroup)).map(|p| &p.counts);
    sum(living.chain(all.exited.iter().filter(|c| c.cgroup == Some(cgroup)).map(|c| &c.counts)))
}

fn sum<'a>(counts: impl Iterator<Item = &'a AllocCounts>) -> AllocCounts {
    let mut all = AllocCounts::default();
    counts.for_each(|c| all.add(c));
    all
}

/// Everything counted between two snapshots, failures included.
pub(crate) fn events(now: &AllocCounts, before: &AllocCounts) -> u64 {
    let grown = now.since(before).expect("counts only grow");
    grown.allocations() + grown.failures()
}

/// A number of a cgroup as the kernel tells it now: a file of version 1, or a file and a line of version 2.
pub(crate) fn cgroup_number(cgroup: &Cgroup, v1: &str, v2: (&str, &str)) -> u64 {
    let text = cgroup.file(v1, v2.0);
    let line = if cgroup.is_v2() { text.lines().find_map(|l| l.strip_prefix(v2.1)).unwrap_or_default() } else { &text };
    line.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// Events that a probe was not run for, because it already ran on that CPU.
pub(crate) fn missed(snapshot: &Snapshot, probe: &str) -> u64 {
    let probe = snapshot.coverage.probes.iter().find(|p| p.name == probe).expect("the probe is listed");
    probe.recursion_misses.expect("the kernel tells")
}
