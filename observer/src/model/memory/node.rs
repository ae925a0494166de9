//! NUMA nodes over an interval.

use serde::Serialize;

use crate::{
    model::interval::{Interval, rate, ratio},
    snapshot::{self, memory::NumaStat},
};

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// The node as it stands.
    #[serde(flatten)]
    pub now: snapshot::memory::Node,
    /// Free memory as a share of the node's, 0 to 1.
    pub free_ratio: Option<f64>,
    /// Pages a second allocated here as meant.
    pub hit: Option<f64>,
    /// Pages a second allocated here though another node was meant.
    pub miss: Option<f64>,
    /// Pages a second meant for this node and allocated on another.
    pub foreign: Option<f64>,
    /// Pages a second allocated here by tasks that ran on another node.
    pub other: Option<f64>,
}

pub(super) fn rank(
    now: &[snapshot::memory::Node],
    before: Option<&Vec<snapshot::memory::Node>>,
    interval: Option<Interval>,
) -> Vec<Node> {
    now.iter()
        .map(|node| {
            let old = before.and_then(|b| b.iter().find(|o| o.node == node.node)).and_then(|o| o.numastat.as_ref());
            let of = |field: fn(&NumaStat) -> Option<u64>| {
                rate(interval, node.numastat.as_ref().and_then(field), old.and_then(field))
            };
            Node {
                free_ratio: node.meminfo.as_ref().and_then(|m| ratio(m.free?, m.total?)),
                hit: of(|s| s.hit),
                miss: of(|s| s.miss),
                foreign: of(|s| s.foreign),
                other: of(|s| s.other),
                now: node.clone(),
            }
        })
        .collect()
}
