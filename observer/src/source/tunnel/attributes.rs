//! What all kinds of tunnels have in common.

use std::net::IpAddr;

use super::Attribute;
use crate::{
    snapshot::tunnel::{Kind, Peer, Tunnel},
    source::netlink::attribute::{nested, u32_of},
};

/// Reads `IFLA_INFO_DATA`.
pub(super) fn read(tunnel: &mut Tunnel, data: &[u8], attribute: Attribute) {
    match tunnel.kind {
        // The IPv6 option is there unless a flag says that it is not.
        Kind::Ip6gre | Kind::Ip6gretap | Kind::Ip6erspan | Kind::Ip6tnl => tunnel.outer.encap_limit = true,
        // net/wireguard sends with `df` of 0, and lets the underlay cut its packets.
        Kind::Wireguard => tunnel.outer.dont_fragment = Some(false),
        Kind::Bareudp => tunnel.outer.external = true,
        _ => {}
    }
    for (kind, value) in nested(data) {
        attribute(tunnel, kind, value);
    }
    if tunnel.outer.external {
        // What comes with the packets is not what the interface says.
        tunnel.outer.encap_limit = false;
        tunnel.outer.id = tunnel.outer.id.filter(|_| tunnel.kind == Kind::Bareudp);
    }
}

/// Notes the other end, if it is known.
pub(super) fn remote(tunnel: &mut Tunnel, address: Option<IpAddr>) {
    tunnel.peers.extend(address.map(|address| Peer { address: Some(address), ..Peer::default() }));
}

/// Index of the interface below, if it is bound to one.
pub(super) fn bound_to(tunnel: &mut Tunnel, value: &[u8]) {
    if let Some(index) = u32_of(value).filter(|index| *index != 0) {
        tunnel.underlay_ifindex = Some(index);
    }
}

/// A number where 0 means that there is none.
pub(super) fn unless_zero<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}
