//! Who asks for pages, over an interval.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    alloc_failure::{self, AllocFailure},
    cgroup::Paths,
    interval::{Interval, sort_descending},
};
use crate::snapshot::{
    self, CgroupId, Name,
    page_alloc::{AllocCounts, ProcessAlloc},
};

/// Page allocations over an interval; since the probes were attached if there is no interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PageAlloc {
    /// All together.
    pub total: Allocs,
    /// By process, most pages first; living processes only.
    pub processes: Vec<Process>,
    /// By cgroup, most pages first; ended processes included.
    pub cgroups: Vec<Cgroup>,
    /// What found no place in the kernel's map, whoever asked for it.
    pub other: Allocs,
    /// Requests that failed, by process, order and flags, most first. `None` if it is not known how they were made.
    pub failures: Option<Vec<AllocFailure>>,
}

/// Requests for pages in an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Allocs {
    /// Requests by order, met and failed.
    pub counts: AllocCounts,
    /// Requests a second that were met.
    pub allocations: Option<f64>,
    /// Pages handed out a second.
    pub pages: Option<f64>,
    /// Requests a second that failed.
    pub failures: Option<f64>,
}

/// One process's requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name of the task that last allocated.
    pub comm: Name,
    /// Memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// What it asked for.
    pub allocs: Allocs,
}

/// One cgroup's requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cgroup {
    /// Memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub path: Option<Name>,
    /// What its processes asked for.
    pub allocs: Allocs,
}

impl Allocs {
    fn new(counts: AllocCounts, interval: Option<Interval>) -> Self {
        let per_second = |amount| interval.map(|i| i.per_second(amount));
        Self {
            counts,
            allocations: per_second(counts.allocations()),
            pages: per_second(counts.pages()),
            failures: per_second(counts.failures()),
        }
    }
}

impl PageAlloc {
    pub(super) fn new(
        now: &snapshot::page_alloc::PageAlloc,
        before: Option<&snapshot::page_alloc::PageAlloc>,
        interval: Option<Interval>,
        paths: &Paths<'_>,
    ) -> Self {
        // Without the same part in the earlier snapshot, counts are since the probes were attached and have no rate.
        let interval = interval.filter(|_| before.is_some());
        let since = |now: &AllocCounts, before: Option<&AllocCounts>| match before {
            // A shrunk count means that the probes were attached anew: what is there now was counted since.
            Some(before) => now.since(before).unwrap_or(*now),
            None => *now,
        };
        let total = since(&now.total(), before.map(snapshot::page_alloc::PageAlloc::total).as_ref());
        let other = since(&now.other, before.map(|b| &b.other));

        let old: HashMap<_, _> =
            before.map(|b| b.processes.iter().map(|p| (key(p), &p.counts)).collect()).unwrap_or_default();
        let mut processes: Vec<_> = now
            .processes
            .iter()
            .map(|p| Process {
                pid: p.pid,
                comm: p.comm.clone(),
                cgroup: p.cgroup,
                cgroup_path: paths.get(p.cgroup),
                allocs: Allocs::new(since(&p.counts, old.get(&key(p)).copied()), interval),
            })
            .filter(|p| p.allocs.counts != AllocCounts::default())
            .collect();
        sort_descending(&mut processes, |p| p.allocs.counts.pages() as f64);

        let old = before.map(by_cgroup).unwrap_or_default();
        let mut cgroups: Vec<_> = by_cgroup(now)
            .into_iter()
            .map(|(cgroup, counts)| Cgroup {
                cgroup,
                path: paths.get(cgroup),
                allocs: Allocs::new(since(&counts, old.get(&cgroup)), interval),
            })
            .filter(|c| c.allocs.counts != AllocCounts::default())
            .collect();
        cgroups.sort_by_key(|c| c.cgroup);
        sort_descending(&mut cgroups, |c| c.allocs.counts.pages() as f64);

        let failures = now.failures.as_ref().map(|f| {
            let before = before.and_then(|b| b.failures.as_ref());
            alloc_failure::rank(f, before, interval, paths)
        });
        Self { total: Allocs::new(total, interval), processes, cgroups, other: Allocs::new(other, interval), failures }
    }
}

fn key(p: &ProcessAlloc) -> (Option<CgroupId>, u32, Option<u64>) {
    (p.cgroup, p.pid, p.start_ns)
}

fn by_cgroup(snapshot: &snapshot::page_alloc::PageAlloc) -> HashMap<Option<CgroupId>, AllocCounts> {
    let mut sums: HashMap<_, AllocCounts> = HashMap::new();
    let living = snapshot.processes.iter().map(|p| (p.cgroup, &p.counts));
    let exited = snapshot.exited.iter().map(|c| (c.cgroup, &c.counts));
    living.chain(exited).for_each(|(cgroup, counts)| sums.entry(cgroup).or_default().add(counts));
    sums
}
