//! In which namespace a WireGuard interface has its socket: the one it was made in, wherever it has been moved to since.
//!
//! The kernel tells nobody. But the socket is bound to the interface's port on every address, and that shows in the list of
//! UDP sockets of its namespace.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use super::problems::Problems;
use crate::{
    snapshot::{
        coverage::Source,
        network::Network,
        tunnel::{Kind, Tunnel},
    },
    source::{Root, SourceError, file::Buffer, lines::words, netns::Known},
};

/// UDP sockets of the namespace of the thread.
const UDP: &str = "/proc/thread-self/net/udp";

/// Finds the namespaces of sockets, and keeps what it found until the next look for namespaces.
#[derive(Debug, Default)]
pub(super) struct Reader {
    looked: Option<Instant>,
    /// By namespace, interface and port.
    found: HashMap<(u64, u32, u16), Option<u64>>,
}

impl Reader {
    /// Fills in where outer packets of WireGuard leave.
    pub(super) fn fill(&mut self, network: &mut Network, known: &Known, problems: &mut Problems) {
        if self.looked != known.looked() {
            self.found.clear();
            self.looked = known.looked();
        }
        let wanted: HashSet<(u64, u32, u16)> = network
            .namespaces
            .iter()
            .flat_map(|n| n.tunnels.iter().flatten().filter_map(|tunnel| key(n.netns, tunnel)))
            .collect();
        if wanted.iter().any(|key| !self.found.contains_key(key)) {
            let ports: HashSet<u16> = wanted.iter().map(|(_, _, port)| *port).collect();
            let bound = problems.value(Source::WIREGUARD, bound(&ports, known)).unwrap_or_default();
            self.found = wanted.iter().map(|key| (*key, namespace_of(*key, &bound))).collect();
        }
        for namespace in &mut network.namespaces {
            for tunnel in namespace.tunnels.iter_mut().flatten().filter(|tunnel| tunnel.kind == Kind::Wireguard) {
                let found = key(namespace.netns, tunnel).and_then(|key| self.found.get(&key).copied());
                tunnel.underlay_netns = found.flatten();
            }
        }
    }
}

/// One that is down has a port, and no socket.
fn key(netns: u64, tunnel: &Tunnel) -> Option<(u64, u32, u16)> {
    let is_wireguard = tunnel.kind == Kind::Wireguard;
    is_wireguard.then_some((netns, tunnel.ifindex?, tunnel.outer.port?))
}

/// Its own namespace if a socket is there, else the only other one that has one.
fn namespace_of((netns, _, port): (u64, u32, u16), bound: &HashMap<u64, HashSet<u16>>) -> Option<u64> {
    let mut candidates = bound.iter().filter(|(_, ports)| ports.contains(&port)).map(|(inode, _)| *inode);
    if bound.get(&netns).is_some_and(|ports| ports.contains(&port)) {
        return Some(netns);
    }
    let only = candidates.next();
    only.filter(|_| candidates.next().is_none())
}

/// Which of some ports are bound on every address, by namespace.
fn bound(ports: &HashSet<u16>, known: &Known) -> Result<HashMap<u64, HashSet<u16>>, SourceError> {
    let all: HashSet<u64> = known.others().iter().chain([known.own()]).map(|n| n.inode).collect();
    let mut buffer = Buffer::default();
    let read = |_: &_| buffer.parse(&Root::default(), UDP, |text| Ok(on_every_address(text, ports)));
    let visits = known.visit_some(&all, read).map_err(|e| SourceError::io("visit", "network namespaces", e))?;
    visits
        .into_iter()
        .filter_map(|(inode, visit)| Some((inode, visit.ok()?)))
        .map(|(inode, ports)| Ok((inode, ports?)))
        .collect()
}

/// The second word of a line is address and port: `466: 00000000:CA6C 00000000:0000 07 …`.
fn on_every_address(text: &[u8], ports: &HashSet<u16>) -> HashSet<u16> {
    let port = |line| {
        let hex = words(line).nth(1)?.strip_prefix(b"00000000:")?;
        u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    text.split(|b| *b == b'\n').filter_map(port).filter(|port| ports.contains(port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_counts_if_it_is_bound_on_every_address() {
        let text = b"  sl  local_address rem_address   st\n  466: 00000000:CA6C 00000000:0000 07 0\n\
            467: 0100007F:CA6D 00000000:0000 07 0\n 468: 00000000:0035 00000000:0000 07 0\n";
        assert_eq!(on_every_address(text, &HashSet::from([51820, 51821])), HashSet::from([51820]));
    }

    #[test]
    fn the_own_namespace_comes_first_and_two_others_leave_it_open() {
        let bound = |inodes: &[u64]| inodes.iter().map(|inode| (*inode, HashSet::from([51820]))).collect();
        let of = |inodes: &[u64]| namespace_of((1, 5, 51820), &bound(inodes));
        assert_eq!((of(&[1, 2]), of(&[2]), of(&[2, 3]), of(&[])), (Some(1), Some(2), None, None));
    }
}
