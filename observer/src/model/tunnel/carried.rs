//! Which connections a tunnel carries.

use std::collections::HashMap;

use serde::Serialize;

use super::Tunnel;
use crate::model::tcp::{Connection, Open};

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
/// the last one came in by; else the tunnel in which one of its packets was sampled, such as behind a bridge.
pub(super) fn assign(tunnels: &mut [Tunnel], open: &Open) {
    let by_interface: HashMap<(u64, u32), usize> =
        tunnels.iter().enumerate().filter_map(|(at, t)| Some(((t.netns, t.ifindex?), at))).collect();
    let by_cookie: HashMap<u64, usize> = tunnels
        .iter()
        .enumerate()
        .flat_map(|(at, t)| t.samples.iter().flat_map(|s| &s.flows).filter_map(move |f| Some((f.cookie?, at))))
        .collect();
    for (place, connection) in open.list.iter().enumerate() {
        let netns = connection.now.netns;
        let tunnel = interfaces(connection).find_map(|index| by_interface.get(&(netns, index)));
        let tunnel = tunnel.or_else(|| by_cookie.get(&connection.now.cookie));
        if let Some(tunnel) = tunnel.and_then(|at| tunnels.get_mut(*at)) {
            tunnel.flows.push(Carried { netns, cookie: connection.now.cookie, place });
        }
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
