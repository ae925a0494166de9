//! Compaction over an interval, and the fallbacks that mix migrate types.

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, grown, grown_histogram, grown_outside, ranked},
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
    let rows = before.map(|b| b.by_cgroup.as_slice());
    ranked(
        &now.by_cgroup,
        rows,
        |c| (c.cgroup, c.by),
        |c, old| {
            let since = |result: &CompactResult| {
                let before = old.and_then(|o| o.results.iter().find(|r| r.result == result.result));
                let count = grown(result.count, before.map(|r| r.count));
                (count > 0).then(|| CompactResult { result: result.result.clone(), count })
            };
            let results: Vec<_> = c.results.iter().filter_map(since).collect();
            let count = results.iter().map(|r| r.count).sum::<u64>();
            let ns = grown(c.total_ns, old.map(|o| o.total_ns));
            let row = Compaction {
                cgroup: c.cgroup,
                path: paths.get(c.cgroup),
                by: c.by,
                results,
                count,
                per_second: interval.map(|i| i.per_second(count)),
                stalled_ratio: interval.map(|i| i.per_second(ns) / 1e9),
                mean_seconds: (count > 0).then(|| ns as f64 / 1e9 / count as f64),
                latency_ns: grown_histogram(&c.latency_ns, old.map(|o| &o.latency_ns)),
            };
            (count > 0).then_some((ns, row))
        },
    )
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
        let rows: Vec<FallbackRate> = ranked(&now.rows, before.map(|b| b.rows.as_slice()), key, |f, old| {
            let count = grown(f.count, old.map(|o| o.count));
            let row = FallbackRate {
                cgroup_path: paths.get(f.cgroup),
                in_interval: count,
                per_second: interval.map(|i| i.per_second(count)),
                who: f.clone(),
            };
            (count > 0).then_some((count, row))
        });
        let in_rows = rows.iter().map(|r| r.in_interval).sum();
        Self { rows, other: grown_outside(now.total(), before.map(snapshot::compaction::Extfrag::total), in_rows) }
    }
}
