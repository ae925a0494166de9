//! Memory cgroups with rates, and the names of the ids that the kernel side counts by.

use std::collections::HashMap;

use serde::Serialize;

use super::interval::{Interval, rate, ratio, sort_descending};
use crate::snapshot::{self, CgroupId, Cgroups, Name, Snapshot};

/// Paths of cgroups by id, from both ends of an interval: a cgroup that was removed in it keeps its name.
#[derive(Debug, Default)]
pub struct Paths<'a>(HashMap<CgroupId, &'a Name>);

impl<'a> Paths<'a> {
    /// Collects the paths.
    pub fn new(now: &'a Snapshot, before: Option<&'a Snapshot>) -> Self {
        let lists = before.into_iter().chain([now]).filter_map(|s| s.cgroups.as_ref());
        Self(lists.flat_map(|c| &c.list).map(|c| (c.id, &c.path)).collect())
    }

    /// The path, `None` if no snapshot lists the id: the cgroup lived shorter than a tick, or is no longer listed.
    pub fn get(&self, id: Option<CgroupId>) -> Option<Name> {
        self.0.get(&id?).map(|n| (*n).clone())
    }
}

/// One memory cgroup over an interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cgroup {
    /// What the kernel reports now.
    #[serde(flatten)]
    pub now: snapshot::Cgroup,
    /// Use as a share of the hard limit, 0 to 1. `None` without a limit.
    pub limit_ratio: Option<f64>,
    /// Use without the page cache that reclaim takes first, as cAdvisor's working set: usage less inactive_file.
    pub working_set: Option<u64>,
    /// Growth of the use in bytes a second, negative while it shrinks.
    pub growth: Option<f64>,
    /// Times a second that the hard limit was met.
    pub limit_hits: Option<f64>,
    /// Faults a second that read from a device.
    pub major_faults: Option<f64>,
    /// Bytes a second that came back soon after reclaim took them, anonymous and file.
    pub refaults: Option<f64>,
    /// OOM kills in the interval.
    pub oom_kills: Option<u64>,
}

/// All cgroups, largest use first.
pub fn rank(now: &Cgroups, before: Option<&Cgroups>, interval: Option<Interval>) -> Vec<Cgroup> {
    let old: HashMap<_, _> = before.map(|b| b.list.iter().map(|c| (c.id, c)).collect()).unwrap_or_default();
    let mut rows: Vec<_> = now.list.iter().map(|c| row(c, old.get(&c.id).copied(), interval)).collect();
    sort_descending(&mut rows, |r| r.now.usage.unwrap_or(0) as f64);
    rows
}

fn row(now: &snapshot::Cgroup, before: Option<&snapshot::Cgroup>, interval: Option<Interval>) -> Cgroup {
    let stat =
        |c: &snapshot::Cgroup, field: fn(&snapshot::cgroup::CgroupStat) -> Option<u64>| c.stat.as_ref().and_then(field);
    let of = |field: fn(&snapshot::cgroup::CgroupStat) -> Option<u64>| {
        rate(interval, stat(now, field), before.and_then(|b| stat(b, field)))
    };
    Cgroup {
        limit_ratio: now.usage.zip(now.limit).and_then(|(usage, limit)| ratio(usage, limit)),
        working_set: now
            .usage
            .zip(stat(now, |s| s.inactive_file))
            .map(|(usage, inactive_file)| usage.saturating_sub(inactive_file)),
        growth: interval
            .zip(now.usage)
            .zip(before.and_then(|b| b.usage))
            .map(|((i, now), before)| (now as f64 - before as f64) / i.seconds),
        limit_hits: rate(interval, now.limit_hits, before.and_then(|b| b.limit_hits)),
        major_faults: of(|s| s.pgmajfault),
        refaults: match (of(|s| s.workingset_refault_anon_bytes), of(|s| s.workingset_refault_file_bytes)) {
            (None, None) => None,
            (anon, file) => Some(anon.unwrap_or(0.0) + file.unwrap_or(0.0)),
        },
        oom_kills: now
            .oom_kills
            .zip(before.and_then(|b| b.oom_kills))
            .and_then(|(now, before)| now.checked_sub(before)),
        now: now.clone(),
    }
}
