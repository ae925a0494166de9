//! Compaction, and what comes before an OOM kill: fallbacks, retries.

use super::{
    family::{Kind, Metric},
    tracked::{COMPACTION_FIRST_BUCKET, COMPACTION_NS, latency_bounds},
};
use crate::snapshot::compaction::Compactor;

const COMPACTION: &str = "tracepoints compaction:mm_compaction_{begin,end}";

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_compaction_zones_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["by", "result"],
        help: "Compactions of a zone that ended, by who compacted (direct is a task that needs a block) and by the kernel's word for the result",
        source: COMPACTION,
        read: |view, out| {
            if view.now.compaction.is_some() {
                let sums = view.tracked.pressure.compacted.iter();
                sums.for_each(|((by, result), [count])| out.push(&[word(*by), result.as_str()], *count));
            }
        },
    },
    Metric {
        name: "observer_compaction_latency_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: &["by"],
        help: "Time of one compaction of a zone, by who compacted",
        source: COMPACTION,
        read: |view, out| {
            if view.now.compaction.is_none() {
                return;
            }
            for by in [Compactor::Direct, Compactor::Kcompactd] {
                let counts = view.tracked.pressure.compaction.get(&by);
                let buckets = latency_bounds().zip(counts.into_iter().skip(COMPACTION_FIRST_BUCKET)).collect();
                out.histogram(&[word(by)], buckets, counts[COMPACTION_NS] as f64 / 1e9);
            }
        },
    },
    Metric {
        name: "observer_page_alloc_fallbacks_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["wanted", "taken"],
        help: "Requests that found no block of the migrate type that they wanted and took one of another, which mixes types in a page block",
        source: "tracepoint kmem:mm_page_alloc_extfrag",
        read: |view, out| {
            if view.now.extfrag.is_some() {
                view.tracked.pressure.fallbacks.each(2, |labels, [count]| out.push(labels, *count));
            }
        },
    },
    Metric {
        name: "observer_page_alloc_retries_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup", "kind"],
        help: "Times that the page allocator considered another round of reclaim or of compaction, the last steps before an OOM kill, by memory cgroup of the task",
        source: "tracepoints oom:reclaim_retry_zone, oom:compact_retry",
        read: |view, out| {
            if view.now.retries.is_some() {
                view.tracked.pressure.retries.each(2, |labels, [count]| out.push(labels, *count));
            }
        },
    },
];

fn word(by: Compactor) -> &'static str {
    match by {
        Compactor::Direct => "direct",
        Compactor::Kcompactd => "kcompactd",
    }
}
