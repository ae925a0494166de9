//! Buffers of sockets without room, over an interval.

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, grown, ranked},
};
use crate::snapshot::{
    Name,
    buffers::{Buffers as Read, Full},
};

/// Buffers that had no room.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Buffers {
    /// By what had no room and whose it is, most in the interval first.
    pub rows: Vec<Row>,
    /// Events of the interval that found no place in the kernel's map.
    pub other: u64,
}

/// Sockets that had no room in the interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which, and all events since the probes were attached.
    #[serde(flatten)]
    pub now: Full,
    /// Path of the cgroup, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// Packets refused, or times that memory was, in the interval.
    pub events_in_interval: u64,
    /// The same a second. `None` without an interval.
    pub rate: Option<f64>,
}

impl Buffers {
    pub(super) fn new(now: &Read, before: Option<&Read>, interval: Option<Interval>, paths: &Paths<'_>) -> Self {
        let key = |f: &Full| (f.room, f.protocol.clone(), f.port, f.netns, f.cgroup);
        let rows = ranked(&now.list, before.map(|b| b.list.as_slice()), key, |full, old| {
            let events = grown(full.events, old.map(|o| o.events));
            let rate = interval.filter(|_| before.is_some()).map(|i| i.per_second(events));
            let cgroup_path = paths.get(full.cgroup);
            (events > 0).then(|| (events, Row { now: full.clone(), cgroup_path, events_in_interval: events, rate }))
        });
        Self { rows, other: grown(now.other, before.map(|b| b.other)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Model,
        snapshot::{Snapshot, buffers::Room},
    };

    #[test]
    fn what_is_new_is_told_by_what_had_no_room() {
        let full = |room, events| Full { room, protocol: "UDP".into(), port: Some(53), events, ..Full::default() };
        let at = |second: u64, list: Vec<Full>, other| {
            let mut snapshot = Snapshot { buffers: Some(Read { list, other }), ..Snapshot::default() };
            snapshot.stamp.monotonic_ns = second * 1_000_000_000;
            snapshot
        };
        let before = at(1, vec![full(Room::ReceiveBuffer, 5), full(Room::SendMemory, 1)], 1);
        let now = at(3, vec![full(Room::ReceiveBuffer, 5), full(Room::SendMemory, 9)], 4);
        let buffers = Model::new(&now, Some(&before)).buffers.unwrap();
        let [row] = buffers.rows.as_slice() else { panic!("{buffers:?}") };
        assert_eq!((row.now.room, row.events_in_interval, row.rate), (Room::SendMemory, 8, Some(4.0)));
        assert_eq!(buffers.other, 3);
    }
}
