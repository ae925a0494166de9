//! The other ends of a tunnel: their traffic, and how large a packet to them may be.

use serde::Serialize;

use super::{
    Nominal,
    esp::{Esp, is_ipsec, states_to},
    growth,
    host::Host,
};
use crate::{
    model::link::Link,
    snapshot::{self, network::Namespace, tunnel::Tunnel as Read},
};

/// The other end of a tunnel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Peer {
    /// What the kernel reports now.
    #[serde(flatten)]
    pub now: snapshot::tunnel::Peer,
    /// Bytes a second received from it, as the tunnel counts them.
    pub rx: Option<f64>,
    /// Bytes a second sent to it, as the tunnel counts them.
    pub tx: Option<f64>,
    /// Bytes sent to it in the interval.
    pub tx_in_interval: Option<u64>,
    /// Bytes received from it in the interval.
    pub rx_in_interval: Option<u64>,
    /// Seconds since the last handshake; `None` if there was none, or the kind has none.
    pub handshake_age_seconds: Option<f64>,
    /// What the tunnel adds to a packet to it.
    pub overhead: Option<Nominal>,
    /// What is left of the largest outer packet.
    pub budget: Option<Budget>,
}

/// What the underlay leaves for an inner packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Largest outer packet that the route to the peer takes, in bytes.
    pub route_mtu: u32,
    /// Largest inner packet that fits into it.
    pub most: u32,
    /// Largest packet that the tunnel's interface takes; `None` without an interface.
    pub device_mtu: Option<u32>,
    /// `most` less `device_mtu`: below zero the interface takes packets that do not fit.
    pub headroom: Option<i64>,
}

impl Budget {
    fn new(route_mtu: u32, overhead: Nominal, device_mtu: Option<u32>) -> Self {
        let most = overhead.room(route_mtu);
        Self { route_mtu, most, device_mtu, headroom: device_mtu.map(|mtu| i64::from(most) - i64::from(mtu)) }
    }
}

/// The peers of a tunnel.
pub(super) fn peers(
    host: &Host<'_>,
    namespace: &Namespace,
    now: &Read,
    before: Option<&Read>,
    link: Option<&Link>,
) -> Vec<Peer> {
    let device_mtu = link.and_then(|l| l.now.mtu);
    let xfrm = namespace.xfrm.as_ref().filter(|_| is_ipsec(&now.kind));
    now.peers
        .iter()
        .map(|peer| {
            let old = before.and_then(|b| b.peers.iter().find(|p| is_same(p, peer)));
            let state = xfrm.zip(peer.address).and_then(|(x, a)| states_to(x, now, a).first().copied());
            let overhead = Nominal::of(now, peer.address, state.and_then(Esp::of).as_ref());
            let route_mtu = peer.route.as_ref().and_then(|r| r.mtu);
            let (rx, rx_in_interval) = growth(host.interval, peer.rx_bytes, old.and_then(|o| o.rx_bytes));
            let (tx, tx_in_interval) = growth(host.interval, peer.tx_bytes, old.and_then(|o| o.tx_bytes));
            Peer {
                rx,
                tx,
                tx_in_interval,
                rx_in_interval,
                handshake_age_seconds: peer
                    .last_handshake_ns
                    .and_then(|at| host.now.stamp.realtime_ns.checked_sub(at))
                    .map(|ns| ns as f64 / 1e9),
                overhead,
                budget: route_mtu.zip(overhead).map(|(mtu, o)| Budget::new(mtu, o, device_mtu)),
                now: peer.clone(),
            }
        })
        .collect()
}

/// True for what names a peer: its key where it has one, it may move; else its address.
fn is_same(a: &snapshot::tunnel::Peer, b: &snapshot::tunnel::Peer) -> bool {
    if a.id.is_empty() { b.id.is_empty() && a.address == b.address } else { a.id == b.id }
}
