//! Where a VXLAN sends what: its forwarding database (`RTM_GETNEIGH` of `AF_BRIDGE`).

use std::{collections::HashSet, net::IpAddr, ops::ControlFlow};

use crate::{
    snapshot::tunnel::{Peer, Tunnel},
    source::netlink::{
        Message, Netlink, NetlinkError, Problem, Request,
        attribute::{be16_of, find, ip_of, u32_of},
    },
};

/// Bytes of `struct ndmsg`.
const NDMSG: usize = 12;
/// Entries that are read at most: a database may have one for each of a hundred thousand stations.
const MAX_ENTRIES: usize = 1 << 16;

/// Places that an interface sends to, each once.
pub fn destinations(netlink: &mut Netlink, ifindex: u32) -> Result<Vec<Peer>, NetlinkError> {
    let mut head = vec![0; NDMSG];
    head.splice(..1, [libc::AF_BRIDGE as u8]);
    head.splice(4..8, ifindex.to_ne_bytes());
    let mut request = Request::new("RTM_GETNEIGH", libc::RTM_GETNEIGH, &head);
    let read = netlink.list(&mut request, Read::default, |read, message| read.take(ifindex, message))?;
    Ok(read.peers)
}

/// Adds destinations to what the tunnel itself says.
pub fn add(tunnel: &mut Tunnel, destinations: &[Peer], max_peers: usize) {
    let known: HashSet<Option<IpAddr>> = tunnel.peers.iter().map(|peer| peer.address).collect();
    for peer in destinations.iter().filter(|peer| !known.contains(&peer.address)) {
        if tunnel.peers.len() < max_peers {
            tunnel.peers.push(peer.clone());
        } else {
            tunnel.peers_not_listed += 1;
        }
    }
}

#[derive(Default)]
struct Read {
    peers: Vec<Peer>,
    seen: HashSet<IpAddr>,
    entries: usize,
}

impl Read {
    fn take(&mut self, ifindex: u32, message: Message<'_>) -> Result<ControlFlow<()>, Problem> {
        self.entries += 1;
        let index = message.payload.get(4..8).and_then(u32_of);
        let attributes = message.payload.get(NDMSG..).unwrap_or_default();
        // Entries of its bridge have no address.
        if message.kind == libc::RTM_NEWNEIGH
            && index == Some(ifindex)
            && let Some(address) = find(attributes, libc::NDA_DST).and_then(ip_of)
            && self.seen.insert(address)
        {
            let port = find(attributes, libc::NDA_PORT).and_then(be16_of);
            self.peers.push(Peer { address: Some(address), port, ..Peer::default() });
        }
        Ok(if self.entries < MAX_ENTRIES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::netlink::testing::attribute;

    fn entry(index: u32, destination: &[u8]) -> Vec<u8> {
        let head = [&[7, 0, 0, 0][..], &index.to_ne_bytes(), &[0; 4]].concat();
        [head, attribute(libc::NDA_DST, destination), attribute(libc::NDA_PORT, &[0x12, 0xb5])].concat()
    }

    #[test]
    fn each_destination_is_one_peer_and_what_is_known_is_not_added() {
        let mut read = Read::default();
        for payload in [entry(3, &[10, 0, 0, 2]), entry(3, &[10, 0, 0, 2]), entry(3, &[10, 0, 0, 3]), entry(4, &[1; 4])]
        {
            let flow = read.take(3, Message { kind: libc::RTM_NEWNEIGH, payload: &payload }).unwrap();
            assert!(flow.is_continue());
        }
        let addresses: Vec<_> = read.peers.iter().filter_map(|p| Some(p.address?.to_string())).collect();
        assert_eq!(addresses, ["10.0.0.2", "10.0.0.3"]);
        assert_eq!(read.peers.first().and_then(|p| p.port), Some(4789));
        let known = Peer { address: Some("10.0.0.3".parse().unwrap()), ..Peer::default() };
        let mut tunnel = Tunnel { peers: vec![known], ..Tunnel::default() };
        add(&mut tunnel, &read.peers, 2);
        assert_eq!((tunnel.peers.len(), tunnel.peers_not_listed), (2, 0));
        add(&mut tunnel, &[Peer { address: Some("10.0.0.4".parse().unwrap()), ..Peer::default() }], 2);
        assert_eq!((tunnel.peers.len(), tunnel.peers_not_listed), (2, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_peers(payload in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Read::default().take(0, Message { kind: libc::RTM_NEWNEIGH, payload: &payload });
        }
    }
}
