//! WireGuard: the peers of an interface, over generic netlink (linux/wireguard.h). The answer holds private keys.

use std::ops::ControlFlow;

use crate::{
    snapshot::{
        Name,
        tunnel::{Peer, Prefix, Tunnel},
    },
    source::netlink::{
        Netlink, NetlinkError, Request,
        attribute::{endpoint_of, find, ip_any, nested, u8_of, u16_of, u32_of, u64_of},
        generic::GENLMSGHDR,
    },
};

/// Networks of one peer that are kept at most.
const MAX_NETWORKS: usize = 64;

/// Name of the family. It is there once an interface of that kind is: asking before that would make the kernel load the
/// module.
pub const FAMILY: &[u8] = b"wireguard\0";

/// Fills in port, mark and peers.
pub fn fill(tunnel: &mut Tunnel, netlink: &mut Netlink, family: u16, max_peers: usize) -> Result<(), NetlinkError> {
    const WG_CMD_GET_DEVICE: u8 = 0;
    const WGDEVICE_A_IFINDEX: u16 = 1;
    let index = tunnel.ifindex.unwrap_or_default();
    let mut request = Request::new("WG_CMD_GET_DEVICE", family, &[WG_CMD_GET_DEVICE, 1, 0, 0])
        .with(WGDEVICE_A_IFINDEX, &index.to_ne_bytes())
        .secret();
    let begin = || Tunnel { peers: Vec::new(), peers_not_listed: 0, ..tunnel.clone() };
    let filled = netlink.list(&mut request, begin, |tunnel, message| {
        take(tunnel, message.payload, max_peers);
        Ok(ControlFlow::Continue(()))
    })?;
    *tunnel = filled;
    Ok(())
}

/// Takes one message: the device, and some of its peers.
fn take(tunnel: &mut Tunnel, payload: &[u8], max_peers: usize) {
    const LISTEN_PORT: u16 = 6;
    const FWMARK: u16 = 7;
    const PEERS: u16 = 8;
    for (kind, value) in nested(payload.get(GENLMSGHDR..).unwrap_or_default()) {
        match kind {
            LISTEN_PORT => tunnel.outer.port = u16_of(value).filter(|port| *port != 0),
            FWMARK => tunnel.outer.mark = u32_of(value).filter(|mark| *mark != 0),
            PEERS => nested(value).for_each(|(_, peer)| take_peer(tunnel, peer, max_peers)),
            _ => {}
        }
    }
}

fn take_peer(tunnel: &mut Tunnel, attributes: &[u8], max_peers: usize) {
    const PUBLIC_KEY: u16 = 1;
    const ENDPOINT: u16 = 4;
    const KEEPALIVE: u16 = 5;
    const LAST_HANDSHAKE_TIME: u16 = 6;
    const RX_BYTES: u16 = 7;
    const TX_BYTES: u16 = 8;
    const ALLOWEDIPS: u16 = 9;
    let mut peer = Peer::default();
    for (kind, value) in nested(attributes) {
        match kind {
            PUBLIC_KEY => peer.id = Name::from(base64(value)),
            ENDPOINT => (peer.address, peer.port) = endpoint_of(value).unzip(),
            KEEPALIVE => peer.keepalive_seconds = u16_of(value).filter(|s| *s != 0).map(u32::from),
            LAST_HANDSHAKE_TIME => peer.last_handshake_ns = timespec(value),
            RX_BYTES => peer.rx_bytes = u64_of(value),
            TX_BYTES => peer.tx_bytes = u64_of(value),
            ALLOWEDIPS => networks(&mut peer, value),
            _ => {}
        }
    }
    let full = tunnel.peers.len() >= max_peers;
    match tunnel.peers.last_mut() {
        // One whose networks do not fit into one message is continued in the next.
        Some(last) if last.id == peer.id => {
            let room = MAX_NETWORKS.saturating_sub(last.networks.len());
            last.networks_not_listed += peer.networks_not_listed + peer.networks.len().saturating_sub(room) as u64;
            last.networks.extend(peer.networks.into_iter().take(room));
        }
        _ if full => tunnel.peers_not_listed += 1,
        _ => tunnel.peers.push(peer),
    }
}

fn networks(peer: &mut Peer, list: &[u8]) {
    const IPADDR: u16 = 2;
    const CIDR_MASK: u16 = 3;
    for (_, network) in nested(list) {
        let parts = find(network, IPADDR).and_then(ip_any).zip(find(network, CIDR_MASK).and_then(u8_of));
        match parts {
            Some((address, length)) if peer.networks.len() < MAX_NETWORKS => {
                peer.networks.push(Prefix { address, length });
            }
            _ => peer.networks_not_listed += 1,
        }
    }
}

/// Nanoseconds of a `struct __kernel_timespec`; none if it is zero.
fn timespec(value: &[u8]) -> Option<u64> {
    let (seconds, rest) = value.split_at_checked(8)?;
    let ns = u64_of(seconds)?.checked_mul(1_000_000_000)?.checked_add(u64_of(rest)?)?;
    (ns != 0).then_some(ns)
}

/// A public key as `wg` writes it (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * at) & 63) as usize).copied().unwrap_or_default();
            out.push(if at <= chunk.len() as u32 { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::netlink::testing::attribute;

    fn peer(key: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let rest = attributes.iter().flat_map(|(kind, value)| attribute(*kind, value));
        attribute(0, &attribute(1, &[key; 32]).into_iter().chain(rest).collect::<Vec<_>>())
    }

    fn network(last: u8) -> Vec<u8> {
        attribute(0, &[attribute(2, &[10, 0, 0, last]), attribute(3, &[32])].concat())
    }

    fn message(peers: &[Vec<u8>]) -> Vec<u8> {
        [vec![0; 4], attribute(6, &51820u16.to_ne_bytes()), attribute(8, &peers.concat())].concat()
    }

    #[test]
    fn a_peer_may_go_on_in_the_next_message() {
        let mut tunnel = Tunnel::default();
        let endpoint = [&(libc::AF_INET as u16).to_ne_bytes()[..], &[0xca, 0x6c, 10, 9, 0, 1], &[0; 8]].concat();
        let time = [5u64.to_ne_bytes(), 7u64.to_ne_bytes()].concat();
        let first = [(4u16, &endpoint[..]), (6, &time[..]), (7, &9u64.to_ne_bytes()), (9, &network(1)[..])];
        take(&mut tunnel, &message(&[peer(1, &first)]), 2);
        take(&mut tunnel, &message(&[peer(1, &[(9, &network(2))]), peer(2, &[(5, &25u16.to_ne_bytes())])]), 2);
        take(&mut tunnel, &message(&[peer(3, &[])]), 2);
        let [one, two] = tunnel.peers.as_slice() else { panic!("{tunnel:?}") };
        let networks: Vec<_> = one.networks.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.0.0.1/32", "10.0.0.2/32"]);
        assert_eq!((one.address.map(|a| a.to_string()), one.port), (Some("10.9.0.1".into()), Some(51820)));
        assert_eq!((one.last_handshake_ns, one.rx_bytes), (Some(5_000_000_007), Some(9)));
        assert_eq!((two.keepalive_seconds, two.last_handshake_ns, two.rx_bytes), (Some(25), None, None));
        assert_eq!((tunnel.outer.port, tunnel.peers_not_listed), (Some(51820), 1));
    }

    #[test]
    fn too_many_networks_are_counted() {
        let many: Vec<u8> = (0..100).flat_map(network).collect();
        let mut tunnel = Tunnel::default();
        take(&mut tunnel, &message(&[peer(1, &[(9, &many)])]), 1);
        take(&mut tunnel, &message(&[peer(1, &[(9, &network(200))])]), 1);
        let only = tunnel.peers.first().unwrap();
        assert_eq!((only.networks.len(), only.networks_not_listed), (64, 37));
    }

    #[test]
    fn keys_are_written_as_in_the_rfc() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        cases.iter().for_each(|(plain, coded)| assert_eq!(base64(plain.as_bytes()), *coded));
        assert_eq!(base64(&[0xff; 32]), format!("{}8=", "/".repeat(42)));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_tunnel(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut tunnel = Tunnel::default();
            take(&mut tunnel, &bytes, 4);
            take_peer(&mut tunnel, &bytes, 4);
        }
    }
}
