//! Traffic that is counted once.
//!
//! A packet of a connection inside a tunnel passes the tunnel's interface, often a bridge and a pair of veths, and in the end a
//! device that leads out of the host: each counts it. A sum over interfaces would count it as often. So the total is that of the
//! devices that lead out alone, which are those without a kind: everything that the kernel makes in software has one.

use serde::Serialize;

use super::{
    Peer, Tunnel,
    host::{Host, links},
};
use crate::model::link::{self, Link};

/// Rates both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Traffic {
    /// Bytes a second received.
    pub rx: Option<f64>,
    /// Bytes a second sent.
    pub tx: Option<f64>,
    /// Packets a second received.
    pub rx_packets: Option<f64>,
    /// Packets a second sent. A packet that the device cuts into segments itself is one.
    pub tx_packets: Option<f64>,
}

impl Traffic {
    pub(super) fn of_link(link: &Link) -> Self {
        Self { rx: link.rx, tx: link.tx, rx_packets: link.rx_packets_rate, tx_packets: link.tx_packets_rate }
    }

    pub(super) fn of_peers(peers: &[Peer]) -> Self {
        let sum = |field: fn(&Peer) -> Option<f64>| peers.iter().filter_map(field).reduce(|a, b| a + b);
        Self { rx: sum(|p| p.rx), tx: sum(|p| p.tx), rx_packets: None, tx_packets: None }
    }

    fn and(self, other: Self) -> Self {
        let add = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b).or(a).or(b);
        Self {
            rx: add(self.rx, other.rx),
            tx: add(self.tx, other.tx),
            rx_packets: add(self.rx_packets, other.rx_packets),
            tx_packets: add(self.tx_packets, other.tx_packets),
        }
    }

    /// Bytes a second both ways; what is not known is none.
    pub fn bytes(&self) -> f64 {
        self.rx.unwrap_or(0.0) + self.tx.unwrap_or(0.0)
    }
}

/// Traffic of the devices that lead out of the host, of every namespace. `None` if there is no such device.
pub(super) fn outside(host: &Host<'_>) -> Option<Traffic> {
    let namespaces = &host.now.network.as_ref()?.namespaces;
    let every = namespaces.iter().filter_map(|n| Some((n.netns, links(host.now, n)?)));
    let outside =
        every.flat_map(|(netns, links)| links.list.iter().filter(|l| leads_out(l)).map(move |l| (netns, l.index)));
    outside.filter_map(|(netns, index)| host.link(netns, index)).map(|l| Traffic::of_link(&l)).reduce(Traffic::and)
}

/// True for a device that leads out of the host.
fn leads_out(link: &crate::snapshot::link::Link) -> bool {
    link.kind.is_none() && link.name.as_str() != link::LOOPBACK
}

/// Traffic of the tunnels whose outer packets go through no further tunnel. `None` if there is no tunnel.
pub(super) fn carried(tunnels: &[Tunnel]) -> Option<Traffic> {
    let is_tunnel = |netns: u64, index: u32| tunnels.iter().any(|t| t.netns == netns && t.ifindex == Some(index));
    let outermost = tunnels.iter().filter(|t| !t.underlays.iter().any(|u| is_tunnel(t.underlay_netns, u.now.index)));
    outermost.map(|t| t.inner).reduce(Traffic::and)
}
