//! Series of listening sockets, of dropped packets and of CPUs.

use super::super::{
    gained::Gained,
    top_k::{Row, TopK},
};
use crate::snapshot::{
    Snapshot,
    buffers::{Buffers, Full},
    drops::{Drop, Drops},
    tcp::Listener,
};

use super::UNKNOWN;

/// Places of the counts of a CPU.
pub(in crate::output::metrics) const SOFTIRQ_NS: usize = 0;
pub(in crate::output::metrics) const IRQ_NS: usize = 1;
pub(in crate::output::metrics) const STEAL_NS: usize = 2;
pub(in crate::output::metrics) const SOFTNET_PACKETS: usize = 3;
pub(in crate::output::metrics) const SOFTNET_DROPPED: usize = 4;
pub(in crate::output::metrics) const TIME_SQUEEZE: usize = 5;

/// What tells a place of drops for good.
type Place = Option<Drop>;

/// What tells a group of sockets for good.
type Group = Option<Full>;

/// The series.
#[derive(Debug)]
pub(in crate::output::metrics) struct NetworkSeries {
    /// Refused connections, by namespace and address.
    pub(in crate::output::metrics) listeners: Gained<u64, 1>,
    /// Packets by reason and function.
    pub(in crate::output::metrics) drops: TopK<Place, 1>,
    /// Events by what had no room, protocol, port and namespace.
    pub(in crate::output::metrics) buffers: TopK<Group, 1>,
    /// By CPU.
    pub(in crate::output::metrics) cpus: Gained<u32, 6>,
    top: usize,
}

impl NetworkSeries {
    pub(super) fn new(top: usize) -> Self {
        Self {
            listeners: Gained::new(top),
            drops: TopK::new(top, |c| c.iter().sum()),
            buffers: TopK::new(top, |c| c.iter().sum()),
            cpus: Gained::new(top),
            top,
        }
    }

    pub(super) fn update(&mut self, now: &Snapshot) {
        let at = now.stamp.monotonic_ns;
        if let Some(listeners) = &now.tcp.listeners {
            let rows = listeners.iter().filter_map(|l| Some((l.cookie, listener_label(l), [l.drops?.into()])));
            self.listeners.update(at, rows);
        }
        if let Some(drops) = &now.drops {
            self.dropped(at, drops);
        }
        if let Some(buffers) = &now.buffers {
            self.full(at, buffers);
        }
        if let Some(cpus) = &now.cpus {
            let rows = cpus.list.iter().map(|c| {
                let net = c.softnet.unwrap_or_default();
                let times = [c.times.softirq_ns, c.times.irq_ns, c.times.steal_ns];
                let [softirq, irq, steal] = times;
                let counts = [softirq, irq, steal, net.processed, net.dropped + net.flow_limit, net.time_squeeze];
                (c.cpu, vec![c.cpu.to_string()], counts)
            });
            self.cpus.update(at, rows);
        }
    }

    fn dropped(&mut self, at: u64, drops: &Drops) {
        let rows = drops.list.iter().filter(|d| d.protocol.is_some()).map(|d| {
            let word = |name: &Option<crate::snapshot::Name>| {
                name.as_ref().map_or_else(|| UNKNOWN.to_owned(), ToString::to_string)
            };
            Row {
                key: Some(Drop { packets: 0, ..d.clone() }),
                label: Some(vec![word(&d.reason), word(&d.function)]),
                counts: [d.packets],
            }
        });
        let rest = Row { key: None, label: None, counts: [drops.other] };
        self.drops.update(at, rows.chain([rest]), None);
    }

    fn full(&mut self, at: u64, buffers: &Buffers) {
        let word = |n: Option<u64>| n.map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string());
        let rows = buffers.list.iter().map(|full| Row {
            key: Some(Full { events: 0, owner: None, ..full.clone() }),
            label: Some(vec![
                full.room.word().to_owned(),
                full.protocol.to_string(),
                word(full.port.map(u64::from)),
                word(full.netns),
            ]),
            counts: [full.events],
        });
        let rest = Row { key: None, label: None, counts: [buffers.other] };
        self.buffers.update(at, rows.chain([rest]), None);
    }

    /// The addresses that gauges name, with connections that wait and may wait, summed over the sockets that share one.
    pub(in crate::output::metrics) fn queues(&self, listeners: &[Listener]) -> Vec<(Vec<String>, [Option<u64>; 2])> {
        let mut all: std::collections::BTreeMap<Vec<String>, [Option<u64>; 2]> = std::collections::BTreeMap::new();
        for listener in listeners {
            let [queue, limit] = all.entry(listener_label(listener)).or_default();
            let add = |sum: &mut Option<u64>, n: Option<u32>| {
                if let Some(n) = n {
                    *sum = Some(sum.unwrap_or(0) + u64::from(n));
                }
            };
            add(queue, listener.queue);
            add(limit, listener.limit);
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(label, [queue, _])| (!self.listeners.has(label), std::cmp::Reverse(queue.unwrap_or(0))));
        all.truncate(self.top);
        all
    }
}

/// Namespace and address; sockets that share them (`SO_REUSEPORT`) are one.
fn listener_label(l: &Listener) -> Vec<String> {
    vec![l.netns.to_string(), std::net::SocketAddr::from(l.local).to_string()]
}
