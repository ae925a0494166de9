//! kswapd, and who asks for it.

use std::collections::BTreeMap;

use super::{
    View,
    family::{Kind, Metric},
    tracked::buckets,
};
use crate::snapshot::{kswapd::KswapdNode, reclaim::Scanner};

const SCANS: &str = "tracepoint vmscan:mm_vmscan_lru_shrink_inactive";
const CYCLE: &str = "tracepoints vmscan:mm_vmscan_kswapd_{wake,sleep}";

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_kswapd_wakes_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["node"],
        help: "Times that kswapd of the node began to work",
        source: CYCLE,
        read: |view, out| nodes(view, |node, n| out.push(&[node], n.wakes)),
    },
    Metric {
        name: "observer_kswapd_awake_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &["node"],
        help: "Time that kswapd of the node was awake, without the tenth of a second that it waits before it sleeps; its rate is a share from 0 to 1",
        source: CYCLE,
        read: |view, out| {
            if view.now.kswapd.is_some() {
                let awake = &view.tracked.pressure.awake_ns;
                awake.iter().for_each(|(node, ns)| out.push(&[&node.to_string()], *ns as f64 / 1e9));
            }
        },
    },
    Metric {
        name: "observer_kswapd_cycle_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: &["node"],
        help: "Time from a wake of kswapd to its sleep",
        source: CYCLE,
        read: |view, out| {
            nodes(view, |node, n| out.histogram(&[node], buckets(&n.cycle_ns), n.awake_ns as f64 / 1e9));
        },
    },
    Metric {
        name: "observer_kswapd_scanned_bytes_total",
        kind: Kind::Counter,
        unit: Some("bytes"),
        labels: &["node"],
        help: "Memory that kswapd of the node looked at on inactive lists",
        source: SCANS,
        read: |view, out| scans(view, |node, scanned, _| out.push(&[node], scanned)),
    },
    Metric {
        name: "observer_kswapd_reclaimed_bytes_total",
        kind: Kind::Counter,
        unit: Some("bytes"),
        labels: &["node"],
        help: "Memory that kswapd of the node reclaimed from inactive lists",
        source: SCANS,
        read: |view, out| scans(view, |node, _, reclaimed| out.push(&[node], reclaimed)),
    },
    Metric {
        name: "observer_kswapd_requests_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup", "comm"],
        help: "Requests to wake kswapd, by memory cgroup and name of the process whose allocation asked",
        source: "tracepoint vmscan:mm_vmscan_wakeup_kswapd",
        read: |view, out| {
            if view.now.kswapd.is_some() {
                view.tracked.kswapd_requesters.each(2, |labels, [requests]| out.push(labels, *requests));
            }
        },
    },
];

fn nodes(view: &View<'_>, mut show: impl FnMut(&str, &KswapdNode)) {
    let nodes = view.now.kswapd.iter().flat_map(|k| &k.nodes);
    nodes.for_each(|n| show(&n.node.to_string(), n));
}

fn scans(view: &View<'_>, mut show: impl FnMut(&str, u64, u64)) {
    let Some(scans) = view.now.reclaim.as_ref().and_then(|r| r.scans.as_ref()) else { return };
    let mut sums: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for scan in scans.iter().filter(|s| s.by == Scanner::Kswapd) {
        let sum = sums.entry(scan.node).or_default();
        *sum = (sum.0 + scan.scanned_bytes, sum.1 + scan.reclaimed_bytes);
    }
    sums.into_iter().for_each(|(node, (scanned, reclaimed))| show(&node.to_string(), scanned, reclaimed));
}
