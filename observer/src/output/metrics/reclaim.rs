//! Reclaim by the tasks that need memory.

use super::{
    View,
    family::{Kind, Metric},
    tracked::{RECLAIM_BYTES, RECLAIM_COUNTS, RECLAIM_FIRST_BUCKET, RECLAIM_NS, latency_bounds},
};
use crate::snapshot::reclaim::ReclaimKind;

const SOURCE: &str = "tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}";

/// The word for a kind in labels.
pub(super) fn kind_word(kind: ReclaimKind) -> &'static str {
    match kind {
        ReclaimKind::Direct => "direct",
        ReclaimKind::Memcg => "memcg",
    }
}

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_reclaim_latency_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: &["cgroup", "kind"],
        help: "Time that tasks stalled in one reclaim, by their memory cgroup and by whose limit it was: direct is the host, memcg a cgroup",
        source: SOURCE,
        read: |view, out| {
            by_cgroup(view, |labels, counts| {
                let counted = counts.iter().skip(RECLAIM_FIRST_BUCKET).copied();
                let seconds = counts[RECLAIM_NS] as f64 / 1e9;
                out.histogram(labels, latency_bounds().zip(counted).collect(), seconds);
            });
        },
    },
    Metric {
        name: "observer_reclaim_reclaimed_bytes_total",
        kind: Kind::Counter,
        unit: Some("bytes"),
        labels: &["cgroup", "kind"],
        help: "Memory that tasks got back by their own reclaim, by their memory cgroup and by whose limit it was",
        source: SOURCE,
        read: |view, out| by_cgroup(view, |labels, counts| out.push(labels, counts[RECLAIM_BYTES])),
    },
    Metric {
        name: "observer_reclaim_in_flight",
        kind: Kind::Gauge,
        unit: None,
        labels: &["kind"],
        help: "Tasks that are in reclaim now",
        source: SOURCE,
        read: |view, out| {
            in_flight(view, |kind, ages| out.push(&[kind], ages.len() as u64));
        },
    },
    Metric {
        name: "observer_reclaim_in_flight_oldest_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        labels: &["kind"],
        help: "Age of the longest reclaim that goes on now; 0 if there is none",
        source: SOURCE,
        read: |view, out| {
            in_flight(view, |kind, ages| out.push(&[kind], ages.iter().copied().fold(0.0, f64::max)));
        },
    },
];

fn by_cgroup(view: &View<'_>, show: impl FnMut(&[&str], &[u64; RECLAIM_COUNTS])) {
    if view.now.reclaim.is_some() {
        view.tracked.reclaim.each(2, show);
    }
}

fn in_flight(view: &View<'_>, mut show: impl FnMut(&str, &[f64])) {
    let Some(reclaim) = &view.now.reclaim else { return };
    for kind in [ReclaimKind::Direct, ReclaimKind::Memcg] {
        let ages: Vec<_> = reclaim
            .in_flight
            .iter()
            .filter(|task| task.kind == kind)
            .map(|task| view.now.stamp.monotonic_ns.saturating_sub(task.begin_ns) as f64 / 1e9)
            .collect();
        show(kind_word(kind), &ages);
    }
}
