//! kswapd over an interval, and who asked for it.

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, grown, grown_histogram, grown_outside, ranked, rate, ratio},
};
use crate::snapshot::{
    self, Log2Histogram, Name, Snapshot,
    kswapd::{KswapdNode, KswapdRequester},
    reclaim::{Scan, Scanner},
};

/// kswapd over an interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kswapd {
    /// By NUMA node.
    pub nodes: Vec<Node>,
    /// Who asked for it, most requests first.
    pub requesters: Vec<Requester>,
    /// Requests in the interval of those who found no place in the kernel's map, or ended in it and made room.
    pub other_requests: u64,
}

/// One node's kswapd.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// NUMA node.
    pub node: u32,
    /// Wakes a second.
    pub wakes: Option<f64>,
    /// Share of the interval in which it was awake, 0 to 1: from wake to sleep, what it waited for within included, but for the
    /// tenth of a second that it waits for more to do before it sleeps.
    pub awake_ratio: Option<f64>,
    /// Bytes a second that it looked at. `None` without the probe of reclaim scans.
    pub scanned: Option<f64>,
    /// Bytes a second that it reclaimed.
    pub reclaimed: Option<f64>,
    /// What it reclaimed of what it looked at in the interval, 0 to 1. `None` if it looked at nothing.
    pub efficiency: Option<f64>,
    /// Nanoseconds of the cycles that ended in the interval, from wake to sleep.
    pub cycle_ns: Log2Histogram,
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

/// A moment's kswapd: the counts, the scans of reclaim, and when they were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) kswapd: &'a snapshot::kswapd::Kswapd,
    pub(super) scans: Option<&'a [Scan]>,
    pub(super) monotonic_ns: u64,
}

impl<'a> At<'a> {
    /// `None` if the snapshot has no kswapd.
    pub(super) fn of(snapshot: &'a Snapshot) -> Option<Self> {
        Some(Self {
            kswapd: snapshot.kswapd.as_ref()?,
            scans: snapshot.reclaim.as_ref().and_then(|r| r.scans.as_deref()),
            monotonic_ns: snapshot.stamp.monotonic_ns,
        })
    }

    fn node(&self, node: u32) -> Option<&'a KswapdNode> {
        self.kswapd.nodes.iter().find(|n| n.node == node)
    }

    /// Bytes that the node's kswapd looked at and reclaimed. `None` without the probe.
    fn scanned(&self, node: u32) -> Option<(u64, u64)> {
        let own = self.scans?.iter().filter(|s| s.by == Scanner::Kswapd && s.node == node);
        Some(own.fold((0, 0), |sum, s| (sum.0 + s.scanned_bytes, sum.1 + s.reclaimed_bytes)))
    }
}

/// Time awake until `at_ns`, the cycle that goes on included.
fn awake_until(node: &KswapdNode, at_ns: u64) -> u64 {
    node.awake_ns + node.awake_since_ns.map_or(0, |since| at_ns.saturating_sub(since))
}

/// Nanoseconds that it was awake since `before`. While it waits for more to do it is awake; once it sleeps, that wait is taken
/// off again: the sum may go back by as much. `None` if it went back by more: it was counted anew.
fn awake_since(now: u64, before: u64) -> Option<u64> {
    /// How long it waits before it sleeps (`HZ / 10` in `kswapd_try_to_sleep`), and a tick of the timer more.
    const WAIT_NS: u64 = 110_000_000;
    now.checked_sub(before).or_else(|| (before - now <= WAIT_NS).then_some(0))
}

impl Node {
    fn new(n: &KswapdNode, now: At<'_>, before: Option<At<'_>>, interval: Option<Interval>) -> Self {
        let absent = KswapdNode::default();
        let old = before.map(|b| (b.node(n.node).unwrap_or(&absent), b.monotonic_ns));
        let before_ns = old.map(|(o, ns)| awake_until(o, ns));
        let awake_ns = before_ns.and_then(|before| awake_since(awake_until(n, now.monotonic_ns), before));
        let (scanned, scanned_before) = (now.scanned(n.node), before.and_then(|b| b.scanned(n.node)));
        let grown = |part: fn((u64, u64)) -> u64| part(scanned?).checked_sub(part(scanned_before?));
        let (looked_at, taken) = (grown(|s| s.0), grown(|s| s.1));
        let per_second = |bytes: Option<u64>| Some(interval?.per_second(bytes?));
        Self {
            node: n.node,
            wakes: rate(interval, Some(n.wakes), old.map(|(o, _)| o.wakes)),
            awake_ratio: per_second(awake_ns).map(|ns| (ns / 1e9).min(1.0)),
            scanned: per_second(looked_at),
            reclaimed: per_second(taken),
            efficiency: taken.zip(looked_at).and_then(|(taken, looked_at)| ratio(taken, looked_at)),
            cycle_ns: grown_histogram(&n.cycle_ns, old.map(|(o, _)| &o.cycle_ns)),
            awake_for_seconds: n.awake_since_ns.map(|since| now.monotonic_ns.saturating_sub(since) as f64 / 1e9),
        }
    }
}

impl Kswapd {
    pub(super) fn new(now: At<'_>, before: Option<At<'_>>, interval: Option<Interval>, paths: &Paths<'_>) -> Self {
        let interval = interval.filter(|_| before.is_some());
        let nodes = now.kswapd.nodes.iter().map(|n| Node::new(n, now, before, interval)).collect();
        let old = before.map(|b| b.kswapd.requesters.as_slice());
        let requesters: Vec<Requester> = ranked(&now.kswapd.requesters, old, key, |r, old| {
            let requests = grown(r.requests, old.map(|o| o.requests));
            let row = Requester {
                cgroup_path: paths.get(r.cgroup),
                requests_in_interval: requests,
                per_second: interval.map(|i| i.per_second(requests)),
                who: r.clone(),
            };
            (requests > 0).then_some((requests, row))
        });
        let in_rows = requesters.iter().map(|r| r.requests_in_interval).sum();
        let other_requests = grown_outside(now.kswapd.requests(), before.map(|b| b.kswapd.requests()), in_rows);
        Self { nodes, requesters, other_requests }
    }
}

fn key(r: &KswapdRequester) -> (u32, u32, Option<snapshot::CgroupId>) {
    (r.node, r.pid, r.cgroup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn the_wait_before_it_sleeps_was_no_work_and_is_not_unknown() {
        const MS: u64 = 1_000_000;
        let at = |ms: u64, awake_ms: u64, since_ms: Option<u64>| Snapshot {
            stamp: snapshot::Stamp { monotonic_ns: ms * MS, ..Default::default() },
            kswapd: Some(snapshot::kswapd::Kswapd {
                nodes: vec![KswapdNode {
                    awake_ns: awake_ms * MS,
                    awake_since_ns: since_ms.map(|ms| ms * MS),
                    ..KswapdNode::default()
                }],
                ..Default::default()
            }),
            ..Snapshot::default()
        };
        let awake =
            |now: &Snapshot, before: &Snapshot| Model::new(now, Some(before)).kswapd.unwrap().nodes[0].awake_ratio;
        // It worked for 10 ms from 940 on, and waited from 950 until it slept at 1050.
        assert_eq!(awake(&at(2000, 10, None), &at(1000, 0, Some(940))), Some(0.0));
        assert_eq!(awake(&at(2000, 510, None), &at(1000, 10, None)), Some(0.5));
        assert_eq!(awake(&at(2000, 10, None), &at(1000, 500, None)), None, "counted anew");
    }

    #[test]
    fn requests_of_a_process_that_ended_and_made_room_are_not_new() {
        let requester = |pid, requests| KswapdRequester { pid, requests, ..KswapdRequester::default() };
        let at = |second: u64, requesters, other_requests| Snapshot {
            stamp: snapshot::Stamp { monotonic_ns: second * 1_000_000_000, ..Default::default() },
            kswapd: Some(snapshot::kswapd::Kswapd { nodes: Vec::new(), requesters, other_requests }),
            ..Snapshot::default()
        };
        let before = at(1, vec![requester(7, 5000), requester(8, 10)], 2);
        // The first asked three times more, ended, and made room.
        let now = at(2, vec![requester(8, 14)], 5005);
        let kswapd = Model::new(&now, Some(&before)).kswapd.unwrap();
        assert_eq!((kswapd.requesters[0].requests_in_interval, kswapd.other_requests), (4, 3));
    }
}
