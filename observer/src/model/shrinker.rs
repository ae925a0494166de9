//! Shrinkers over an interval.

use std::collections::HashMap;

use serde::Serialize;

use super::interval::{Interval, sort_descending};
use crate::snapshot::{self, Log2Histogram, Name};

/// Calls of one shrinker that ended in an interval; since the probes were attached if there is no interval.
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
    let old: HashMap<_, _> = before.map(|b| b.iter().map(|s| (&s.function, s)).collect()).unwrap_or_default();
    let mut rows: Vec<(u64, Shrinker)> = now
        .iter()
        .map(|s| {
            let old = old.get(&s.function);
            let since = |now: u64, field: fn(&snapshot::shrinker::Shrinker) -> u64| {
                now.checked_sub(old.map_or(0, |o| field(o))).unwrap_or(now)
            };
            let (count, ns) = (since(s.count, |o| o.count), since(s.total_ns, |o| o.total_ns));
            let row = Shrinker {
                function: s.function.clone(),
                count,
                per_second: interval.map(|i| i.per_second(count)),
                busy_ratio: interval.map(|i| i.per_second(ns) / 1e9),
                mean_seconds: (count > 0).then(|| ns as f64 / 1e9 / count as f64),
                max_seconds: s.max_ns as f64 / 1e9,
                freed: since(s.freed, |o| o.freed),
                latency_ns: old.and_then(|o| s.latency_ns.since(&o.latency_ns)).unwrap_or_else(|| s.latency_ns.clone()),
            };
            (ns, row)
        })
        .filter(|(_, row)| row.count > 0)
        .collect();
    sort_descending(&mut rows, |(ns, _)| *ns as f64);
    rows.into_iter().map(|(_, row)| row).collect()
}
