//! The parts of a snapshot that belong to a tunnel.

use super::{Peer, Qdisc, Samples, Tunnel, drops, growth, peer, totals::Traffic};
use crate::{
    model::{
        interval::{Interval, sort_descending},
        link::{self, Link},
        namespace::title,
    },
    snapshot::{
        self, Snapshot,
        link::Links,
        network::Namespace,
        tunnel::{Kind, Tunnel as Read, Xfrm},
    },
};

/// Two snapshots of one host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Host<'a> {
    pub(super) now: &'a Snapshot,
    pub(super) before: Option<&'a Snapshot>,
    pub(super) interval: Option<Interval>,
}

/// A namespace of a snapshot.
pub(super) fn namespace(snapshot: &Snapshot, netns: u64) -> Option<&Namespace> {
    snapshot.network.as_ref()?.namespaces.iter().find(|n| n.netns == netns)
}

/// Interfaces of a namespace: observer's own ones are in a place of their own.
pub(super) fn links<'a>(snapshot: &'a Snapshot, namespace: &'a Namespace) -> Option<&'a Links> {
    namespace.links.as_ref().or(if namespace.own { snapshot.links.as_ref() } else { None })
}

fn link_of(snapshot: &Snapshot, netns: u64, ifindex: u32) -> Option<&snapshot::link::Link> {
    links(snapshot, namespace(snapshot, netns)?)?.list.iter().find(|l| l.index == ifindex)
}

impl<'a> Host<'a> {
    /// An interface with its rates.
    pub(super) fn link(&self, netns: u64, ifindex: u32) -> Option<Link> {
        let now = link_of(self.now, netns, ifindex)?;
        let before = self.before.and_then(|b| link_of(b, netns, ifindex));
        Some(link::row(now, before, self.interval))
    }

    /// A number of a namespace, as it grew.
    pub(super) fn growth(&self, netns: u64, field: impl Fn(&Namespace) -> Option<u64>) -> (Option<f64>, Option<u64>) {
        let of = |snapshot| namespace(snapshot, netns).and_then(&field);
        growth(self.interval, of(self.now), self.before.and_then(of))
    }

    /// Packets that came in by an interface in the interval, bad ones included.
    pub(super) fn taken(&self, netns: u64, ifindex: u32) -> Option<u64> {
        let of = |snapshot| link_of(snapshot, netns, ifindex).map(|l| l.rx_packets + l.rx_errors);
        growth(self.interval, of(self.now), self.before.and_then(of)).1
    }

    /// IPsec of a namespace, now and before.
    pub(super) fn xfrm(&self, netns: u64) -> (Option<&'a Xfrm>, Option<&'a Xfrm>) {
        let of = |snapshot: &'a Snapshot| namespace(snapshot, netns).and_then(|n| n.xfrm.as_ref());
        (of(self.now), self.before.and_then(of))
    }

    /// A tunnel with all that is known of it.
    pub(super) fn tunnel(&self, namespace: &Namespace, now: &Read) -> Tunnel {
        let netns = namespace.netns;
        let before = self.before.and_then(|b| same(b, netns, now));
        let underlay_netns = now.underlay_netns.unwrap_or(netns);
        let link = now.ifindex.and_then(|i| self.link(netns, i));
        let mut peers: Vec<Peer> = peer::peers(self, namespace, now, before, link.as_ref());
        sort_descending(&mut peers, |p| p.rx.unwrap_or(0.0) + p.tx.unwrap_or(0.0));
        let mut ways: Vec<u32> =
            now.peers.iter().filter_map(|p| p.route.as_ref()).map(|r| r.ifindex).chain(now.underlay_ifindex).collect();
        ways.sort_unstable();
        ways.dedup();
        let underlays: Vec<_> = ways.into_iter().filter_map(|i| self.link(underlay_netns, i)).collect();
        let inner = link.as_ref().map_or_else(|| Traffic::of_peers(&peers), Traffic::of_link);
        let qdiscs: Vec<_> =
            now.qdiscs.iter().map(|q| Qdisc::new(q, before, self.interval, netns, now.ifindex)).collect();
        // An IPv6 packet is cut where it is sent alone, and counted apart.
        let both = |four: fn(&snapshot::ip::Ip) -> Option<u64>, six: fn(&snapshot::ip::Ip6) -> Option<u64>| {
            self.growth(underlay_netns, |n| {
                let (four, six) = (n.ip.as_ref().and_then(four), n.ip6.as_ref().and_then(six));
                four.map_or(six, |four| Some(four + six.unwrap_or(0)))
            })
        };
        let (fragments, fragments_in_interval) = both(|i| i.frag_creates, |i| i.frag_creates);
        let (_, reassembled_in_interval) = both(|i| i.reasm_oks, |i| i.reasm_oks);
        let mut tunnel = Tunnel {
            netns,
            namespace: title(namespace),
            own: namespace.own,
            process: namespace.process.clone(),
            ifindex: now.ifindex,
            name: now.name.clone(),
            kind: now.kind.clone(),
            outer: now.outer.clone(),
            underlay_netns,
            holder: now.holder.clone(),
            peers_not_listed: now.peers_not_listed,
            link,
            inner,
            underlays,
            peers,
            qdiscs,
            drops: Vec::new(),
            fragments,
            fragments_in_interval,
            reassembled_in_interval,
            samples: now.ifindex.and_then(|i| Samples::of(self, (netns, i))),
            flows: Vec::new(),
        };
        tunnel.drops = drops::all(self, &tunnel);
        tunnel
    }
}

/// The tunnel of an earlier snapshot: an interface's index is not used again soon, a name is.
fn same<'a>(snapshot: &'a Snapshot, netns: u64, tunnel: &Read) -> Option<&'a Read> {
    let is = |t: &&Read| t.ifindex == tunnel.ifindex && t.name == tunnel.name && t.kind == tunnel.kind;
    namespace(snapshot, netns)?.tunnels.as_ref()?.iter().find(is)
}

/// True if a process carries the packets, and the kernel does not know where to.
pub(super) fn is_made_by_process(kind: &Kind) -> bool {
    matches!(kind, Kind::Tun | Kind::Tap)
}
