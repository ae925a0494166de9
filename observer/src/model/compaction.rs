//! Compaction over an interval, and the fallbacks that mix migrate types.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, sort_descending},
};
use crate::snapshot::{
    self, CgroupId, Log2Histogram, Name,
    compaction::{CompactResult, Compactor, Fallback},
};

/// Compactions of one cgroup's tasks that ended in an interval; since the probes were attached if there is no interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compaction {
    /// Memory cgroup of the tasks.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub path: Option<Name>,
    /// Who compacted.
    pub by: Compactor,
    /// How many ended, by result; those that did not occur are left out.
    pub results: Vec<CompactResult>,
    /// How many ended.
    pub count: u64,
    /// How many a second.
    pub per_second: Option<f64>,
    /// Seconds of one task's time that went by a second: above 1 where several tasks compact at once.
    pub stalled_ratio: Option<f64>,
    /// Mean time in seconds.
    pub mean_seconds: Option<f64>,
    /// Nanoseconds from begin to end.
    pub latency_ns: Log2Histogram,
}

/// Compaction by cgroup, most time first.
pub(super) fn rank(
    now: &snapshot::compaction::Compaction,
    before: Option<&snapshot::compaction::Compaction>,
    interval: Option<Interval>,
    paths: &Paths<'_>,
) -> Vec<Compaction> {
    let interval = interval.filter(|_| before.is_some());
    let old: HashMap<_, _> =
        before.map(|b| b.by_cgroup.iter().map(|c| ((c.cgroup, c.by), c)).collect()).unwrap_or_default();
    let mut rows: Vec<(u64, Compaction)> = now
        .by_cgroup
        .iter()
        .map(|c| {
            let old = old.get(&(c.cgroup, c.by));
            let since = |result: &CompactResult| {
                let before = old.and_then(|o| o.results.iter().find(|r| r.result == result.result));
                let count = result.count.checked_sub(before.map_or(0, |r| r.count)).unwrap_or(result.count);
                (count > 0).then(|| CompactResult { result: result.result.clone(), count })
            };
            let results: Vec<_> = c.results.iter().filter_map(since).collect();
            let count = results.iter().map(|r| r.count).sum::<u64>();
            let ns = c.total_ns.checked_sub(old.map_or(0, |o| o.total_ns)).unwrap_or(c.total_ns);
            let row = Compaction {
                cgroup: c.cgroup,
                path: paths.get(c.cgroup),
                by: c.by,
                results,
                count,
                per_second: interval.map(|i| i.per_second(count)),
                stalled_ratio: interval.map(|i| i.per_second(ns) / 1e9),
                mean_seconds: (count > 0).then(|| ns as f64 / 1e9 / count as f64),
                latency_ns: old.and_then(|o| c.latency_ns.since(&o.latency_ns)).unwrap_or_else(|| c.latency_ns.clone()),
            };
            (ns, row)
        })
        .filter(|(_, row)| row.count > 0)
        .collect();
    sort_descending(&mut rows, |(ns, _)| *ns as f64);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Fallbacks over an interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Extfrag {
    /// By process, order and types, most first.
    pub rows: Vec<FallbackRate>,
    /// Those of the interval that are in no row.
    pub other: u64,
}

/// Fallbacks of one kind by one process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FallbackRate {
    /// The process, order and types, with the count since the probe was attached.
    #[serde(flatten)]
    pub who: Fallback,
    /// Path of its cgroup, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// Fallbacks in the interval; since the probe was attached if there is no interval.
    pub in_interval: u64,
    /// Fallbacks a second.
    pub per_second: Option<f64>,
}

impl Extfrag {
    pub(super) fn new(
        now: &snapshot::compaction::Extfrag,
        before: Option<&snapshot::compaction::Extfrag>,
        interval: Option<Interval>,
        paths: &Paths<'_>,
    ) -> Self {
        let interval = interval.filter(|_| before.is_some());
        let key = |f: &Fallback| (f.cgroup, f.pid, f.order, f.wanted.clone(), f.taken.clone());
        let old: HashMap<_, _> = before.map(|b| b.rows.iter().map(|f| (key(f), f.count)).collect()).unwrap_or_default();
        let mut rows: Vec<_> = now
            .rows
            .iter()
            .map(|f| {
                let count = f.count.checked_sub(old.get(&key(f)).copied().unwrap_or(0)).unwrap_or(f.count);
                FallbackRate {
                    cgroup_path: paths.get(f.cgroup),
                    in_interval: count,
                    per_second: interval.map(|i| i.per_second(count)),
                    who: f.clone(),
                }
            })
            .filter(|f| f.in_interval > 0)
            .collect();
        sort_descending(&mut rows, |f| f.in_interval as f64);
        Self { rows, other: now.other.saturating_sub(before.map_or(0, |b| b.other)) }
    }
}
