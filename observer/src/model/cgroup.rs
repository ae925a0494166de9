//! Memory cgroups with rates, and the names of the ids that the kernel side counts by.

use std::collections::HashMap;

use serde::Serialize;

use super::interval::{Interval, rate, ratio, sort_descending};
use super::reclaim::Reclaim;
use crate::snapshot::{
    self, CgroupId, Cgroups, Name, Snapshot,
    cgroup::{CgroupStat, Hierarchy},
    container::Container,
    reclaim::ReclaimKind,
};

/// Paths of cgroups by id, from both ends of an interval: a cgroup that was removed in it keeps its name.
#[derive(Debug, Default)]
pub struct Paths<'a>(HashMap<CgroupId, &'a snapshot::Cgroup>);

impl<'a> Paths<'a> {
    /// Collects the paths.
    pub fn new(now: &'a Snapshot, before: Option<&'a Snapshot>) -> Self {
        let lists = before.into_iter().chain([now]).filter_map(|s| s.cgroups.as_ref());
        Self(lists.flat_map(|c| &c.list).map(|c| (c.id, c)).collect())
    }

    /// The path, `None` if no snapshot lists the id: the cgroup lived shorter than a tick, or is no longer listed.
    pub fn get(&self, id: Option<CgroupId>) -> Option<Name> {
        self.0.get(&id?).map(|c| c.path.clone())
    }

    /// The container that it belongs to; `None` also if no snapshot lists the id.
    pub fn container(&self, id: Option<CgroupId>) -> Option<Container> {
        self.0.get(&id?).and_then(|c| c.container.clone())
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
    /// Times a second that its own hard limit was met, not that of a cgroup below.
    pub own_limit_hits: Option<f64>,
    /// Reclaims a second at a cgroup's limit that this cgroup's limit explains: of its tasks or of those below it, for which
    /// it is the nearest on the way up that is at its limit. Some kernels count no hits where memory and swap together
    /// have the limit of memory alone (v1). `None` without the probes.
    pub limit_reclaims: Option<f64>,
    /// Times a second that its throttling limit was met (v2).
    pub high_hits: Option<f64>,
    /// Page cache that reclaim could take from it at once: of files, neither tmpfs nor dirty nor under writeback. `None` if
    /// memory.stat lacks a line for it.
    pub reclaimable: Option<u64>,
    /// Faults a second that read from a device.
    pub major_faults: Option<f64>,
    /// Bytes a second that came back soon after reclaim took them, anonymous and file.
    pub refaults: Option<f64>,
    /// The anonymous part of [`Self::refaults`]: it came back from swap.
    pub refaults_anon: Option<f64>,
    /// The file part of [`Self::refaults`].
    pub refaults_file: Option<f64>,
    /// Bytes a second read from swap (v2, new kernels).
    pub swap_in: Option<f64>,
    /// Bytes a second written to swap (v2, new kernels).
    pub swap_out: Option<f64>,
    /// OOM kills in the interval.
    pub oom_kills: Option<u64>,
}

/// The hierarchy as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Which hierarchy was read.
    pub hierarchy: Hierarchy,
    /// Cgroups that were read.
    pub listed: u64,
    /// Cgroups that vanished between being listed and being read.
    pub vanished: u64,
    /// Cgroups beyond the limit of one snapshot.
    pub not_read: u64,
    /// Removed cgroups that still hold memory: zombies.
    pub dying: Option<u64>,
}

impl Summary {
    pub(super) fn new(now: &Cgroups) -> Self {
        Self {
            hierarchy: now.hierarchy,
            listed: now.list.len() as u64,
            vanished: now.vanished,
            not_read: now.not_read,
            dying: now.dying,
        }
    }
}

/// All cgroups, largest use first.
pub fn rank(now: &Cgroups, before: Option<&Cgroups>, interval: Option<Interval>) -> Vec<Cgroup> {
    let old: HashMap<_, _> = before.map(|b| b.list.iter().map(|c| (c.id, c)).collect()).unwrap_or_default();
    let mut rows: Vec<_> = now.list.iter().map(|c| row(c, old.get(&c.id).copied(), interval)).collect();
    sort_descending(&mut rows, |r| r.now.usage.unwrap_or(0) as f64);
    rows
}

fn row(now: &snapshot::Cgroup, before: Option<&snapshot::Cgroup>, interval: Option<Interval>) -> Cgroup {
    let stat = |c: &snapshot::Cgroup, field: fn(&CgroupStat) -> Option<u64>| c.stat.as_ref().and_then(field);
    let of =
        |field: fn(&CgroupStat) -> Option<u64>| rate(interval, stat(now, field), before.and_then(|b| stat(b, field)));
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
        limit_reclaims: None,
        own_limit_hits: rate(interval, now.own_limit_hits, before.and_then(|b| b.own_limit_hits)),
        high_hits: rate(interval, now.high_hits, before.and_then(|b| b.high_hits)),
        reclaimable: now.stat.as_ref().and_then(reclaimable),
        major_faults: of(|s| s.pgmajfault),
        refaults_anon: of(|s| s.workingset_refault_anon_bytes),
        refaults_file: of(|s| s.workingset_refault_file_bytes),
        refaults: match (of(|s| s.workingset_refault_anon_bytes), of(|s| s.workingset_refault_file_bytes)) {
            (None, None) => None,
            (anon, file) => Some(anon.unwrap_or(0.0) + file.unwrap_or(0.0)),
        },
        swap_in: of(|s| s.pswpin_bytes),
        swap_out: of(|s| s.pswpout_bytes),
        oom_kills: now
            .oom_kills
            .zip(before.and_then(|b| b.oom_kills))
            .and_then(|(now, before)| now.checked_sub(before)),
        now: now.clone(),
    }
}

/// Share of its limit from which a cgroup is at it: the kernel charges in batches of 64 pages a CPU, and reclaim at the
/// limit frees some memory at once.
pub const AT_LIMIT: f64 = 0.9;

/// Says which cgroup's limit each reclaim of an interval served.
pub(super) fn attribute(cgroups: &mut [Cgroup], reclaim: &Reclaim) {
    let by_path: HashMap<String, usize> =
        cgroups.iter().enumerate().map(|(i, c)| (c.now.path.as_str().to_owned(), i)).collect();
    cgroups.iter_mut().for_each(|c| c.limit_reclaims = Some(0.0));
    for stalled in reclaim.cgroups.iter().filter(|c| c.kind == ReclaimKind::Memcg) {
        let Some((path, rate)) = stalled.path.as_ref().zip(stalled.stalls.per_second) else { continue };
        let mut above = Some(path.as_str());
        while let Some(path) = above {
            let row = by_path.get(path).and_then(|i| cgroups.get_mut(*i));
            if let Some(row) = row.filter(|c| c.is_at_limit()) {
                row.limit_reclaims = row.limit_reclaims.map(|sum| sum + rate);
                break;
            }
            above = parent(path);
        }
    }
}

impl Cgroup {
    /// True if its use is at its hard limit.
    pub fn is_at_limit(&self) -> bool {
        self.limit_ratio.is_some_and(|ratio| ratio >= AT_LIMIT)
    }

    /// True if it is the cgroup of that path or lies above it.
    pub fn holds(&self, path: &str) -> bool {
        let top = self.now.path.as_str().trim_end_matches('/');
        path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// True if its own limit was met in the interval.
    pub fn met_its_limit(&self) -> bool {
        self.own_limit_hits.is_some_and(|hits| hits > 0.0) || self.limit_reclaims.is_some_and(|rate| rate > 0.0)
    }
}

/// The path of the cgroup above; `None` for the root.
pub(crate) fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        ("", "") => None,
        ("", _) => Some("/"),
        (above, _) => Some(above),
    }
}

fn reclaimable(stat: &CgroupStat) -> Option<u64> {
    let files = stat.inactive_file? + stat.active_file?;
    let busy = stat.file_dirty.unwrap_or(0) + stat.file_writeback.unwrap_or(0);
    Some(files.saturating_sub(busy))
}
