//! Compaction, and what comes before an OOM kill: fallbacks, retries.

use std::collections::BTreeMap;

use super::{
    family::{Kind, Metric},
    tracked::buckets,
};
use crate::snapshot::{Log2Histogram, compaction::Compactor};

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
            let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
            for row in view.now.compaction.iter().flat_map(|c| &c.by_cgroup) {
                for result in &row.results {
                    *sums.entry((word(row.by), result.result.as_str())).or_default() += result.count;
                }
            }
            sums.into_iter().for_each(|((by, result), count)| out.push(&[by, result], count));
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
            let Some(compaction) = &view.now.compaction else { return };
            for by in [Compactor::Direct, Compactor::Kcompactd] {
                let (mut latency, mut ns) = (Log2Histogram::default(), 0);
                for row in compaction.by_cgroup.iter().filter(|row| row.by == by) {
                    latency.add(&row.latency_ns);
                    ns += row.total_ns;
                }
                out.histogram(&[word(by)], buckets(&latency), ns as f64 / 1e9);
            }
        },
    },
    Metric {
        name: "observer_page_alloc_fallbacks_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "Requests that found no block of their migrate type and took one of another, which mixes types in a page block",
        source: "tracepoint kmem:mm_page_alloc_extfrag",
        read: |view, out| {
            let extfrag = view.now.extfrag.as_ref();
            out.push_known(&[], extfrag.map(|e| e.other + e.rows.iter().map(|row| row.count).sum::<u64>()));
        },
    },
    Metric {
        name: "observer_page_alloc_retries_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "Times that the page allocator considered another round of reclaim or compaction, the last steps before an OOM kill",
        source: "tracepoints oom:reclaim_retry_zone, oom:compact_retry",
        read: |view, out| {
            let retries = view.now.retries.as_ref();
            out.push_known(&[], retries.map(|r| r.other + r.rows.iter().map(|row| row.count).sum::<u64>()));
        },
    },
];

fn word(by: Compactor) -> &'static str {
    match by {
        Compactor::Direct => "direct",
        Compactor::Kcompactd => "kcompactd",
    }
}
