//! kswapd over an interval, and who asked for it.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, rate, sort_descending},
};
use crate::snapshot::{self, Name, kswapd::KswapdNode, kswapd::KswapdRequester};

/// kswapd over an interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kswapd {
    /// By NUMA node.
    pub nodes: Vec<Node>,
    /// Who asked for it, most requests first.
    pub requesters: Vec<Requester>,
    /// Requests in the interval of those who found no place in the kernel's map.
    pub other_requests: u64,
}

/// One node's kswapd.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// NUMA node.
    pub node: u32,
    /// Wakes a second.
    pub wakes: Option<f64>,
    /// Share of the interval in which it worked, 0 to 1. The kernel's word: from wake to sleep, waits included.
    pub awake_ratio: Option<f64>,
    /// For how long it has worked without a pause, in seconds; `None` while it sleeps.
    pub awake_for_seconds: Option<f64>,
}

/// A process that asked for kswapd.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Requester {
    /// The process, with its count since the probes were attached.
    #[serde(flatten)]
    pub who: KswapdRequester,
    /// Path of its cgroup, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// Requests in the interval; since the probes were attached if there is no interval.
    pub requests_in_interval: u64,
    /// Requests a second.
    pub per_second: Option<f64>,
}

/// Time awake until `at_ns`, the cycle that goes on included.
fn awake_until(node: &KswapdNode, at_ns: u64) -> u64 {
    node.awake_ns + node.awake_since_ns.map_or(0, |since| at_ns.saturating_sub(since))
}

impl Kswapd {
    pub(super) fn new(
        (now, now_ns): (&snapshot::kswapd::Kswapd, u64),
        before: Option<(&snapshot::kswapd::Kswapd, u64)>,
        interval: Option<Interval>,
        paths: &Paths<'_>,
    ) -> Self {
        let interval = interval.filter(|_| before.is_some());
        let nodes = now
            .nodes
            .iter()
            .map(|n| {
                let absent = KswapdNode::default();
                let old = before.map(|(b, ns)| (b.nodes.iter().find(|o| o.node == n.node).unwrap_or(&absent), ns));
                let awake = rate(interval, Some(awake_until(n, now_ns)), old.map(|(o, ns)| awake_until(o, ns)));
                Node {
                    node: n.node,
                    wakes: rate(interval, Some(n.wakes), old.map(|(o, _)| o.wakes)),
                    awake_ratio: awake.map(|ns_per_s| (ns_per_s / 1e9).min(1.0)),
                    awake_for_seconds: n.awake_since_ns.map(|since| now_ns.saturating_sub(since) as f64 / 1e9),
                }
            })
            .collect();

        let old: HashMap<_, _> =
            before.map(|(b, _)| b.requesters.iter().map(|r| (key(r), r.requests)).collect()).unwrap_or_default();
        let mut requesters: Vec<_> = now
            .requesters
            .iter()
            .map(|r| {
                let requests = r.requests.checked_sub(old.get(&key(r)).copied().unwrap_or(0)).unwrap_or(r.requests);
                Requester {
                    cgroup_path: paths.get(r.cgroup),
                    requests_in_interval: requests,
                    per_second: interval.map(|i| i.per_second(requests)),
                    who: r.clone(),
                }
            })
            .filter(|r| r.requests_in_interval > 0)
            .collect();
        sort_descending(&mut requesters, |r| r.requests_in_interval as f64);
        let old_other = before.map_or(0, |(b, _)| b.other_requests);
        Self { nodes, requesters, other_requests: now.other_requests.saturating_sub(old_other) }
    }
}

fn key(r: &KswapdRequester) -> (u32, u32, Option<snapshot::CgroupId>) {
    (r.node, r.pid, r.cgroup)
}
