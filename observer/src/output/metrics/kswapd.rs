//! kswapd, and who asks for it.

use super::{
    View,
    family::{Kind, Metric},
};
use crate::snapshot::kswapd::KswapdNode;

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
        help: "Time that kswapd of the node was awake, waits included; its rate is a share from 0 to 1",
        source: CYCLE,
        read: |view, out| {
            let now_ns = view.now.stamp.monotonic_ns;
            nodes(view, |node, n| {
                let cycle = n.awake_since_ns.map_or(0, |since| now_ns.saturating_sub(since));
                out.push(&[node], (n.awake_ns + cycle) as f64 / 1e9);
            });
        },
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
