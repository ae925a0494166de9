//! Series of the traffic of all connections, one set for each kind of thing that it belongs to.

use std::collections::HashMap;

use super::{
    super::top_k::{Row, TopK},
    path,
};
use crate::{
    model::traffic::link,
    snapshot::{
        CgroupId, Name, Snapshot,
        tcp::{Share, Traffic, TrafficTotals},
    },
};

/// Kinds, in the order of the series.
pub(in crate::output::metrics) const PROCESS: usize = 0;
pub(in crate::output::metrics) const CGROUP: usize = 1;
pub(in crate::output::metrics) const NETWORK: usize = 2;
pub(in crate::output::metrics) const SERVICE: usize = 3;
pub(in crate::output::metrics) const DEVICE: usize = 4;

/// Places of the counts.
pub(in crate::output::metrics) const SENT: usize = 0;
pub(in crate::output::metrics) const RECEIVED: usize = 1;

/// A label for traffic of which nobody is known. No command and no path is written so.
const UNKNOWN: &str = "unknown";

/// Names a thing for good: its label, and what tells it from others of that label.
type Key = (Vec<String>, u64);

/// The series of every kind.
#[derive(Debug)]
pub(in crate::output::metrics) struct TrafficSeries([TopK<Key, 2>; 5]);

impl TrafficSeries {
    pub(super) fn new(top: usize) -> Self {
        Self(std::array::from_fn(|_| TopK::new(top, |c| c.iter().sum())))
    }

    pub(super) fn update(&mut self, now: &Snapshot, paths: &HashMap<CgroupId, Name>) {
        let Some(traffic) = &now.tcp.traffic else { return };
        let at = now.stamp.monotonic_ns;
        let total = Some(counts(&traffic.total));
        for (series, rows) in self.0.iter_mut().zip(rows(traffic, now, paths)) {
            series.update(at, rows, total);
        }
    }

    /// The series of one kind.
    pub(in crate::output::metrics) fn of(&self, kind: usize) -> Option<&TopK<Key, 2>> {
        self.0.get(kind)
    }
}

fn rows(traffic: &Traffic, now: &Snapshot, paths: &HashMap<CgroupId, Name>) -> [Vec<Row<Key, 2>>; 5] {
    [
        labelled(&traffic.processes, |owner| match owner {
            Some(owner) => (vec![owner.comm.to_string()], owner.pid.into()),
            None => (vec![UNKNOWN.to_owned()], 0),
        }),
        labelled(&traffic.cgroups, |id| (vec![path(paths, *id)], id.map_or(0, |id| id.0))),
        labelled(&traffic.networks, |network| (vec![network.to_string()], 0)),
        labelled(&traffic.services, |s| {
            (vec![s.port.to_string(), if s.outgoing { "out" } else { "in" }.to_owned()], 0)
        }),
        labelled(&traffic.devices, |d| {
            let index = d.index.map_or(UNKNOWN.to_owned(), |index| index.to_string());
            let name = link(now, d).map_or(index, |link| link.name.to_string());
            (vec![d.netns.to_string(), name], d.index.unwrap_or(0).into())
        }),
    ]
}

fn labelled<K>(shares: &[Share<K>], label: impl Fn(&K) -> Key) -> Vec<Row<Key, 2>> {
    let row = |share: &Share<K>| {
        let key = label(&share.key);
        Row { label: Some(key.0.clone()), key, counts: counts(&share.totals) }
    };
    shares.iter().map(row).collect()
}

fn counts(totals: &TrafficTotals) -> [u64; 2] {
    [totals.bytes_acked, totals.bytes_received]
}
