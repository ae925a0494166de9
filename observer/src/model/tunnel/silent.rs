//! What WireGuard drops without a counter: datagrams that its socket was given, less those that it took.
//!
//! The kernel counts a datagram that a tunnel's socket is given as received (`InDatagrams`), whatever the tunnel does with it:
//! WireGuard drops it where a queue of a peer is full, where it knows neither key nor handshake, and where it cannot decrypt it.
//! What it took is counted by its interface. Where processes of the namespace receive UDP too, the difference holds their
//! datagrams as well: it is the most that can have been lost.

use super::{Tunnel, host::Host};
use crate::snapshot::tunnel::Kind;

/// Sockets of one WireGuard interface: one for each version of IP.
const SOCKETS: u64 = 2;
/// Datagrams that may be under way between the reading of one counter and of the other.
const UNDER_WAY: u64 = 32;
/// The same as a part of all that came.
const UNDER_WAY_PART: u64 = 100;

/// What was lost in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// So many datagrams; zero also for the few that may have been under way.
    Exactly(u64),
    /// So many at most: others receive UDP in the namespace.
    AtMost(u64),
}

/// Datagrams that did not come out of a WireGuard interface; or why that is not known.
pub(super) fn lost(host: &Host<'_>, tunnel: &Tunnel) -> Result<Option<Lost>, &'static str> {
    let namespaces = || host.now.network.iter().flat_map(|n| &n.namespaces);
    let all = || namespaces().flat_map(|n| n.tunnels.iter().flatten().map(move |t| (n.netns, t)));
    let of_this = all().find(|(netns, t)| *netns == tunnel.netns && t.ifindex == tunnel.ifindex);
    let Some(below) = of_this.and_then(|(_, t)| t.underlay_netns) else {
        return Err("the network namespace of its socket is not known");
    };
    let came = host.growth(below, |n| Some(n.udp?.in_datagrams)).1;
    let Some(sockets) = namespaces().find(|n| n.netns == below).and_then(|n| n.udp).map(|udp| udp.sockets) else {
        return Err("the UDP counters of the network namespace of its socket were not read");
    };
    let in_udp = |kind: &Kind| matches!(kind, Kind::Wireguard | Kind::Vxlan | Kind::Geneve | Kind::Bareudp);
    let sharing: Vec<_> = all()
        .filter(|(_, t)| t.underlay_netns == Some(below) && (in_udp(&t.kind) || t.outer.udp))
        .filter_map(|(netns, t)| Some((netns, t.ifindex?)))
        .collect();
    // What its interface calls an error came and was counted there.
    let taken = sharing.iter().filter_map(|(netns, index)| host.taken(*netns, *index)).sum::<u64>();
    let lost = came.map(|came| (came, came.saturating_sub(taken)));
    let alone = sharing.len() == 1 && sockets.is_some_and(|sockets| sockets <= SOCKETS);
    Ok(lost.map(|(came, lost)| match alone {
        true if lost <= UNDER_WAY.max(came / UNDER_WAY_PART) => Lost::Exactly(0),
        true => Lost::Exactly(lost),
        false => Lost::AtMost(lost),
    }))
}
