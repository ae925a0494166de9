//! Which connections a tunnel carries.

use std::{collections::HashMap, net::IpAddr};

use serde::Serialize;

use super::Tunnel;
use crate::{
    model::tcp::{Connection, Open},
    snapshot::encapsulation::Flow,
};

/// Number of TCP among the protocols of IP (IANA).
const TCP: u8 = 6;

/// A connection that a tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Inode of the connection's network namespace.
    pub netns: u64,
    /// The kernel's number of the socket.
    pub cookie: u64,
    /// Its place in the list of open connections.
    #[serde(skip)]
    pub place: usize,
}

/// Gives every connection to the tunnel that its packets go through: the interface that the kernel sends them by, or that
/// the last one came in by; else the tunnel in which one of its packets was sampled, such as behind a bridge or a router.
pub(super) fn assign(tunnels: &mut [Tunnel], open: &Open) {
    let by_interface: HashMap<(u64, u32), usize> =
        tunnels.iter().enumerate().filter_map(|(at, t)| Some(((t.netns, t.ifindex?), at))).collect();
    let by_sample: HashMap<Mark, usize> = tunnels
        .iter()
        .enumerate()
        .flat_map(|(at, t)| {
            t.samples.iter().flat_map(|s| &s.flows).flat_map(move |f| marks(f).map(move |mark| (mark, at)))
        })
        .collect();
    for (place, connection) in open.list.iter().enumerate() {
        let netns = connection.now.netns;
        let tunnel = interfaces(connection).find_map(|index| by_interface.get(&(netns, index)));
        let tunnel = tunnel.or_else(|| marks_of(connection).find_map(|mark| by_sample.get(&mark)));
        if let Some(tunnel) = tunnel.and_then(|at| tunnels.get_mut(*at)) {
            tunnel.flows.push(Carried { netns, cookie: connection.now.cookie, place });
        }
    }
}

/// What a packet is known again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mark {
    /// Its socket.
    Cookie(u64),
    /// The hash of its connection; of a packet that was routed, which has lost its socket, and whose address may have been
    /// translated.
    Hash(u32),
    /// The ends of its connection; of a packet that was routed.
    Ends((IpAddr, u16), (IpAddr, u16)),
}

/// The marks of the packets that were sampled of a flow.
fn marks(flow: &Flow) -> impl Iterator<Item = Mark> {
    let routed = flow.cookie.is_none() && flow.inner.protocol == TCP;
    let hash = flow.hash.filter(|hash| routed && *hash != 0).map(Mark::Hash);
    let ends = routed.then_some(Mark::Ends(flow.inner.source, flow.inner.destination));
    [flow.cookie.map(Mark::Cookie), hash, ends].into_iter().flatten()
}

/// The marks that packets of a connection may have, the surest first.
fn marks_of(connection: &Connection) -> impl Iterator<Item = Mark> {
    let now = &connection.now;
    let hash = now.txhash.filter(|hash| *hash != 0).map(Mark::Hash);
    [Some(Mark::Cookie(now.cookie)), hash, Some(Mark::Ends(now.local, now.remote))].into_iter().flatten()
}

impl Tunnel {
    /// What was sampled of a connection that it carries.
    pub fn sampled(&self, connection: &Connection) -> Option<&Flow> {
        let flows = || self.samples.iter().flat_map(|s| &s.flows);
        marks_of(connection).find_map(|mark| flows().find(|flow| marks(flow).any(|other| other == mark)))
    }
}

/// The interfaces that a connection's packets are known to pass.
fn interfaces(connection: &Connection) -> impl Iterator<Item = u32> {
    [connection.now.tx_ifindex, connection.now.rx_ifindex].into_iter().flatten()
}

impl Carried {
    /// The connection itself, in the list that the model was made with.
    pub fn connection<'a>(&self, open: &'a Open) -> Option<&'a Connection> {
        open.list.get(self.place).filter(|c| c.now.cookie == self.cookie && c.now.netns == self.netns)
    }
}
