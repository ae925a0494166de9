//! What all connections carried in an interval, by what it belongs to. The rows of each kind and its `other` add up to the
//! total, exactly.

use std::{collections::HashMap, hash::Hash};

use serde::Serialize;

use super::{cgroup::Paths, interval::Interval};
use crate::snapshot::{
    self, CgroupId, Name, Snapshot,
    container::Container,
    link::Link,
    tcp::{Network, Owner, Service, Share, TrafficTotals},
};

/// Traffic of all connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traffic {
    /// Everything.
    pub total: Carried,
    /// By process; `None` where none is known.
    pub processes: Ranking<Option<Owner>>,
    /// By memory cgroup.
    pub cgroups: Ranking<InCgroup>,
    /// By network of the remote address.
    pub networks: Ranking<Network>,
    /// By port of the service.
    pub services: Ranking<Service>,
    /// By device.
    pub devices: Ranking<Device>,
    /// Open connections that are followed from snapshot to snapshot.
    pub followed: u64,
    /// Open connections that are not: they are counted when they end.
    pub not_followed: u64,
    /// Connections that ended in the interval and are in the total only.
    pub untold: u64,
}

/// What was carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Carried {
    /// In the interval; since observer began if there is no earlier snapshot.
    #[serde(flatten)]
    pub in_interval: TrafficTotals,
    /// Bytes a second that the peers acknowledged.
    pub tx: Option<f64>,
    /// Bytes a second received.
    pub rx: Option<f64>,
}

impl Carried {
    /// What two carried together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut in_interval = self.in_interval;
        in_interval.add(&other.in_interval);
        let sum = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        Self { in_interval, tx: sum(self.tx, other.tx), rx: sum(self.rx, other.rx) }
    }
}

/// The busiest of one kind, most bytes first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking<K> {
    /// Those that carried something.
    pub rows: Vec<Row<K>>,
    /// What is in no row.
    pub other: Carried,
}

/// What belongs to one thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row<K> {
    /// The thing.
    pub of: K,
    /// What was carried.
    #[serde(flatten)]
    pub carried: Carried,
}

/// A memory cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InCgroup {
    /// Its id; `None` where none is known.
    pub id: Option<CgroupId>,
    /// Its path; `None` if no snapshot lists it.
    pub path: Option<Name>,
    /// The container that it belongs to.
    pub container: Option<Container>,
}

impl InCgroup {
    /// What is known of a cgroup.
    pub(super) fn of(id: Option<CgroupId>, paths: &Paths<'_>) -> Self {
        Self { id, path: paths.get(id), container: paths.container(id) }
    }
}

/// A device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Inode of its network namespace.
    pub netns: u64,
    /// Its index there; `None` if unknown.
    pub index: Option<u32>,
    /// Its name, where the interfaces of the namespace were read.
    pub name: Option<Name>,
    /// Its kind, such as `veth` or `wireguard`.
    pub kind: Option<Name>,
}

impl Traffic {
    pub(super) fn new(
        now: &Snapshot,
        before: Option<&Snapshot>,
        interval: Option<Interval>,
        paths: &Paths<'_>,
    ) -> Option<Self> {
        let new = now.tcp.traffic.as_ref()?;
        let old = before.and_then(|b| b.tcp.traffic.as_ref());
        let interval = interval.filter(|_| old.is_some());
        let total = since(&new.total, old.map(|o| &o.total));
        let device = |d: &snapshot::tcp::Device| {
            let link = link(now, d);
            Device {
                netns: d.netns,
                index: d.index,
                name: link.map(|l| l.name.clone()),
                kind: link.and_then(|l| l.kind.clone()),
            }
        };
        let part = Part { total, interval };
        Some(Self {
            total: part.carried(total),
            processes: part.rank(&new.processes, old.map(|o| &o.processes), Clone::clone),
            cgroups: part.rank(&new.cgroups, old.map(|o| &o.cgroups), |id| InCgroup::of(*id, paths)),
            networks: part.rank(&new.networks, old.map(|o| &o.networks), |n| *n),
            services: part.rank(&new.services, old.map(|o| &o.services), |s| *s),
            devices: part.rank(&new.devices, old.map(|o| &o.devices), device),
            followed: new.followed,
            not_followed: new.not_followed,
            untold: super::interval::grown(new.untold, old.map(|o| o.untold)),
        })
    }
}

/// The interface behind a device of the snapshot, if the interfaces of its namespace were read.
pub fn link<'a>(now: &'a Snapshot, device: &snapshot::tcp::Device) -> Option<&'a Link> {
    let namespace = now.network.iter().flat_map(|n| &n.namespaces).find(|n| n.netns == device.netns);
    // Where namespaces were not read there is no saying whose the own interfaces are.
    let links = namespace.and_then(|n| if n.own { now.links.as_ref() } else { n.links.as_ref() });
    links?.list.iter().find(|l| Some(l.index) == device.index)
}

#[derive(Clone, Copy)]
struct Part {
    total: TrafficTotals,
    interval: Option<Interval>,
}

impl Part {
    fn carried(self, in_interval: TrafficTotals) -> Carried {
        let rate = |bytes| self.interval.map(|i| i.per_second(bytes));
        Carried { in_interval, tx: rate(in_interval.bytes_acked), rx: rate(in_interval.bytes_received) }
    }

    fn rank<K: Eq + Hash, T>(
        self,
        now: &[Share<K>],
        before: Option<&Vec<Share<K>>>,
        show: impl Fn(&K) -> T,
    ) -> Ranking<T> {
        let old: HashMap<&K, &TrafficTotals> = before.into_iter().flatten().map(|s| (&s.key, &s.totals)).collect();
        let mut in_rows = TrafficTotals::default();
        let mut rows: Vec<_> = now
            .iter()
            .filter_map(|share| {
                let grown = since(&share.totals, old.get(&share.key).copied());
                in_rows.add(&grown);
                (!grown.is_zero()).then(|| Row { of: show(&share.key), carried: self.carried(grown) })
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.carried.in_interval.bytes()));
        Ranking { rows, other: self.carried(self.total.less(&in_rows)) }
    }
}

/// Growth; all of it where there is nothing earlier, or where it was counted anew.
fn since(now: &TrafficTotals, before: Option<&TrafficTotals>) -> TrafficTotals {
    before.and_then(|before| now.since(before)).unwrap_or(*now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Model,
        snapshot::{Stamp, link::Links, network},
    };

    fn carried(acked: u64, received: u64) -> TrafficTotals {
        TrafficTotals { bytes_acked: acked, bytes_received: received, began: 1, ..TrafficTotals::default() }
    }

    fn at(second: u64, total: TrafficTotals, ports: &[(u16, TrafficTotals)]) -> Snapshot {
        let services =
            ports.iter().map(|(port, totals)| Share { key: Service { port: *port, outgoing: false }, totals: *totals });
        let key = snapshot::tcp::Device { netns: 7, index: Some(3) };
        let traffic = snapshot::tcp::Traffic {
            total,
            services: services.collect(),
            devices: vec![Share { key, totals: total }],
            cgroups: vec![Share { key: Some(CgroupId(5)), totals: total }],
            ..snapshot::tcp::Traffic::default()
        };
        let links = Links { list: vec![Link { index: 3, name: "wg0".into(), ..Link::default() }] };
        let cgroup = snapshot::Cgroup {
            id: CgroupId(5),
            path: "/web".into(),
            container: Some(Container { name: Some("web".into()), ..Container::default() }),
            ..snapshot::Cgroup::default()
        };
        let mut s = Snapshot {
            stamp: Stamp { monotonic_ns: second * 1_000_000_000, ..Stamp::default() },
            network: Some(network::Network {
                namespaces: vec![network::Namespace { netns: 7, links: Some(links), ..network::Namespace::default() }],
                ..network::Network::default()
            }),
            cgroups: Some(snapshot::Cgroups { list: vec![cgroup], ..snapshot::Cgroups::default() }),
            ..Snapshot::default()
        };
        s.tcp.traffic = Some(traffic);
        s
    }

    #[test]
    fn rows_and_other_are_the_total() {
        let before = at(1, carried(1000, 100), &[(80, carried(700, 50)), (443, carried(100, 0)), (22, carried(1, 1))]);
        // 22 lost its row to 9000, which began at zero; 443 lost it and got it again, and is counted anew.
        let now = at(3, carried(2000, 200), &[(80, carried(900, 60)), (443, carried(90, 0)), (9000, carried(400, 0))]);
        let traffic = Model::new(&now, Some(&before)).tcp.traffic.unwrap();
        let rows: Vec<_> = traffic.services.rows.iter().map(|r| (r.of.port, r.carried.in_interval.bytes())).collect();
        assert_eq!(rows, [(9000, 400), (80, 210), (443, 90)]);
        let other = &traffic.services.other;
        assert_eq!((other.in_interval.bytes_acked, other.in_interval.bytes_received), (310, 90));
        assert_eq!(traffic.total.in_interval.bytes(), 1100);
        assert_eq!((traffic.total.tx, other.tx), (Some(500.0), Some(155.0)));
        let first = Model::new(&now, None).tcp.traffic.unwrap();
        assert_eq!((first.total.in_interval.bytes(), first.total.tx), (2200, None), "since observer began");
    }

    #[test]
    fn devices_and_cgroups_have_names() {
        let now = at(1, carried(5, 5), &[]);
        let traffic = Model::new(&now, None).tcp.traffic.unwrap();
        assert_eq!(traffic.devices.rows[0].of.name.as_ref().unwrap().as_str(), "wg0");
        let of = &traffic.cgroups.rows[0].of;
        assert_eq!(of.path.as_ref().unwrap().as_str(), "/web");
        assert_eq!(of.container.as_ref().and_then(|c| c.name.as_ref()).unwrap().as_str(), "web");
        let elsewhere = snapshot::tcp::Device { netns: 8, index: Some(3) };
        assert_eq!(link(&now, &elsewhere), None);
    }
}
