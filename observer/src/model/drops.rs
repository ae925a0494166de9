//! Dropped packets over an interval.

use serde::Serialize;

use super::interval::{Interval, grown, ranked};
use crate::snapshot::drops::{Drop, Drops as Read};

/// Dropped packets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drops {
    /// By reason and place, most in the interval first.
    pub rows: Vec<Row>,
    /// Packets of the interval that found no place in the kernel's map.
    pub other: u64,
}

/// Packets that were dropped in the interval for one reason at one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Reason and place, and all packets since the probe was attached.
    #[serde(flatten)]
    pub now: Drop,
    /// Packets in the interval.
    pub packets_in_interval: u64,
    /// Packets a second. `None` without an interval.
    pub rate: Option<f64>,
}

/// Reasons (`enum skb_drop_reason`) that mean that there was no room: for a packet, in a socket, in a queue.
const NO_ROOM: &[&str] = &[
    "cake_flood",
    "cpu_backlog",
    "fq_band_limit",
    "fq_flow_limit",
    "full_ring",
    "neigh_queuefull",
    "nomem",
    "proto_mem",
    "qdisc_congested",
    "qdisc_drop",
    "qdisc_overlimit",
    "socket_backlog",
    "socket_rcvbuff",
    "tcp_listen_overflow",
    "tcp_ofo_queue_prune",
];

impl Row {
    /// True if the reason is that there was no room.
    pub fn is_no_room(&self) -> bool {
        self.now.reason.as_ref().is_some_and(|reason| NO_ROOM.contains(&reason.as_str()))
    }

    /// True if it is a packet of a network, and not a message between processes.
    pub fn is_packet(&self) -> bool {
        self.now.protocol.is_some()
    }
}

impl Drops {
    pub(super) fn new(now: &Read, before: Option<&Read>, interval: Option<Interval>) -> Self {
        let key = |d: &Drop| (d.reason.clone(), d.function.clone(), d.netns, d.ifindex, d.protocol);
        let rows = ranked(&now.list, before.map(|b| b.list.as_slice()), key, |drop, old| {
            let packets = grown(drop.packets, old.map(|o| o.packets));
            let rate = interval.filter(|_| before.is_some()).map(|i| i.per_second(packets));
            (packets > 0).then(|| (packets, Row { now: drop.clone(), packets_in_interval: packets, rate }))
        });
        Self { rows, other: grown(now.other, before.map(|b| b.other)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_told_and_what_is_no_room_is_known() {
        let drop = |reason: &str, packets| Drop { reason: Some(reason.into()), packets, ..Drop::default() };
        let before = Read { list: vec![drop("no_socket", 5), drop("socket_rcvbuff", 1)], other: 1 };
        let now = Read { list: vec![drop("no_socket", 5), drop("socket_rcvbuff", 9)], other: 4 };
        let drops = Drops::new(&now, Some(&before), Some(Interval { seconds: 2.0 }));
        let [row] = drops.rows.as_slice() else { panic!("{drops:?}") };
        assert_eq!((row.packets_in_interval, row.rate, row.is_no_room(), drops.other), (8, Some(4.0), true, 3));
    }
}
