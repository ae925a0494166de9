//! Shrinkers over an interval.

use serde::Serialize;

use super::interval::{Interval, grown, grown_histogram, ranked};
use crate::snapshot::{self, Log2Histogram, Name};

/// Calls of one shrinker that ended in an interval; since the probes were attached if there is no interval. By function
/// only: a reclaim calls every shrinker for every cgroup that it looks at, and to tell those apart would slow it down. The
/// time is part of the reclaim that called it, which is told by cgroup and process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shrinker {
    /// Its function.
    pub function: Name,
    /// Calls.
    pub count: u64,
    /// Calls a second.
    pub per_second: Option<f64>,
    /// Seconds of one task's time that went by a second.
    pub busy_ratio: Option<f64>,
    /// Mean time of a call in seconds.
    pub mean_seconds: Option<f64>,
    /// Longest call since the probes were attached, in seconds.
    pub max_seconds: f64,
    /// Objects that were freed.
    pub freed: u64,
    /// Nanoseconds of a call.
    pub latency_ns: Log2Histogram,
}

/// Shrinkers, most time first.
pub(super) fn rank(
    now: &[snapshot::shrinker::Shrinker],
    before: Option<&Vec<snapshot::shrinker::Shrinker>>,
    interval: Option<Interval>,
) -> Vec<Shrinker> {
    let interval = interval.filter(|_| before.is_some());
    ranked(
        now,
        before.map(Vec::as_slice),
        |s| &s.function,
        |s, old| {
            let count = grown(s.count, old.map(|o| o.count));
            let ns = grown(s.total_ns, old.map(|o| o.total_ns));
            let row = Shrinker {
                function: s.function.clone(),
                count,
                per_second: interval.map(|i| i.per_second(count)),
                busy_ratio: interval.map(|i| i.per_second(ns) / 1e9),
                mean_seconds: (count > 0).then(|| ns as f64 / 1e9 / count as f64),
                max_seconds: s.max_ns as f64 / 1e9,
                freed: grown(s.freed, old.map(|o| o.freed)),
                latency_ns: grown_histogram(&s.latency_ns, old.map(|o| &o.latency_ns)),
            };
            (count > 0).then_some((ns, row))
        },
    )
}
