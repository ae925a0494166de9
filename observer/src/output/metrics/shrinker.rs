//! Shrinkers, and waits inside of reclaim.

use std::collections::BTreeMap;

use super::{
    View,
    family::{Kind, Metric},
};
use crate::snapshot::shrinker::Shrinker;

const SHRINKER: &str = "tracepoints vmscan:mm_shrink_slab_{start,end}";
const THROTTLE: &str = "tracepoint vmscan:mm_vmscan_throttled";

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_shrinker_calls_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["function"],
        help: "Calls of a shrinker, by its function in the kernel",
        source: SHRINKER,
        read: |view, out| shrinkers(view, |function, s| out.push(&[function], s.count)),
    },
    Metric {
        name: "observer_shrinker_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &["function"],
        help: "Time in a shrinker, by its function in the kernel",
        source: SHRINKER,
        read: |view, out| shrinkers(view, |function, s| out.push(&[function], s.total_ns as f64 / 1e9)),
    },
    Metric {
        name: "observer_shrinker_freed_objects_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["function"],
        help: "Objects that a shrinker freed, by its function in the kernel",
        source: SHRINKER,
        read: |view, out| shrinkers(view, |function, s| out.push(&[function], s.freed)),
    },
    Metric {
        name: "observer_reclaim_throttles_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["reason"],
        help: "Waits inside of reclaim, by the kernel's word for what was waited for",
        source: THROTTLE,
        read: |view, out| throttles(view, |reason, count, _| out.push(&[reason], count)),
    },
    Metric {
        name: "observer_reclaim_throttled_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &["reason"],
        help: "Time waited inside of reclaim, by the kernel's word for what was waited for",
        source: THROTTLE,
        read: |view, out| throttles(view, |reason, _, ns| out.push(&[reason], ns as f64 / 1e9)),
    },
];

/// Two functions of one name, or all whose name may not be read, share a series.
fn shrinkers(view: &View<'_>, mut show: impl FnMut(&str, &Shrinker)) {
    let mut sums: BTreeMap<&str, Shrinker> = BTreeMap::new();
    for s in view.now.shrinkers.iter().flatten() {
        let sum = sums.entry(s.function.as_str()).or_default();
        sum.count += s.count;
        sum.total_ns += s.total_ns;
        sum.freed += s.freed;
    }
    sums.iter().for_each(|(function, sum)| show(function, sum));
}

fn throttles(view: &View<'_>, mut show: impl FnMut(&str, u64, u64)) {
    if view.now.reclaim.as_ref().is_some_and(|r| r.throttles.is_some()) {
        let sums = view.tracked.pressure.throttles.iter();
        sums.for_each(|(reason, [count, ns])| show(reason.as_str(), *count, *ns));
    }
}
