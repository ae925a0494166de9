//! Attributes of tunnels in UDP, and of devices that a process reads (linux/if_link.h).

use super::attributes::{bound_to, remote, unless_zero};
use crate::{
    snapshot::tunnel::{Kind, Tunnel},
    source::netlink::attribute::{be16_of, ip_of, u8_of, u32_of},
};

/// `IFLA_VXLAN_*`.
pub(super) fn vxlan(tunnel: &mut Tunnel, kind: u16, value: &[u8]) {
    const ID: u16 = 1;
    const GROUP: u16 = 2;
    const LINK: u16 = 3;
    const LOCAL: u16 = 4;
    const TTL: u16 = 5;
    const PORT: u16 = 15;
    const GROUP6: u16 = 16;
    const LOCAL6: u16 = 17;
    const COLLECT_METADATA: u16 = 25;
    const GPE: u16 = 27;
    const DF: u16 = 29;
    let outer = &mut tunnel.outer;
    match kind {
        ID => outer.id = u32_of(value).map(u64::from),
        GROUP | GROUP6 => remote(tunnel, ip_of(value)),
        LINK => bound_to(tunnel, value),
        LOCAL | LOCAL6 => outer.local = ip_of(value),
        TTL => outer.ttl = unless_zero(u8_of(value)),
        PORT => outer.port = be16_of(value),
        COLLECT_METADATA => outer.external = u8_of(value) == Some(1),
        GPE => outer.layer3 = true,
        DF => outer.dont_fragment = df(value),
        _ => {}
    }
}

/// `IFLA_GENEVE_*`. Options come with each packet.
pub(super) fn geneve(tunnel: &mut Tunnel, kind: u16, value: &[u8]) {
    const ID: u16 = 1;
    const REMOTE: u16 = 2;
    const TTL: u16 = 3;
    const PORT: u16 = 5;
    const COLLECT_METADATA: u16 = 6;
    const REMOTE6: u16 = 7;
    const DF: u16 = 13;
    const INNER_PROTO_INHERIT: u16 = 14;
    let outer = &mut tunnel.outer;
    match kind {
        ID => outer.id = u32_of(value).map(u64::from),
        REMOTE | REMOTE6 => remote(tunnel, ip_of(value)),
        TTL => outer.ttl = unless_zero(u8_of(value)),
        PORT => outer.port = be16_of(value),
        COLLECT_METADATA => outer.external = true,
        DF => outer.dont_fragment = df(value),
        INNER_PROTO_INHERIT => outer.layer3 = true,
        _ => {}
    }
}

/// `enum ifla_vxlan_df` and `ifla_geneve_df`: unset, set, as the inner packet.
fn df(value: &[u8]) -> Option<bool> {
    match u8_of(value)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// `IFLA_BAREUDP_*`. Addresses come with each packet.
pub(super) fn bareudp(tunnel: &mut Tunnel, kind: u16, value: &[u8]) {
    const PORT: u16 = 1;
    const ETHERTYPE: u16 = 2;
    match kind {
        PORT => tunnel.outer.port = be16_of(value),
        ETHERTYPE => tunnel.outer.id = be16_of(value).map(u64::from),
        _ => {}
    }
}

/// `IFLA_TUN_*`.
pub(super) fn tun(tunnel: &mut Tunnel, kind: u16, value: &[u8]) {
    const OWNER: u16 = 1;
    const TYPE: u16 = 3;
    match kind {
        OWNER => tunnel.owner_uid = u32_of(value),
        TYPE if u8_of(value).map(i32::from) == Some(libc::IFF_TAP) => tunnel.kind = Kind::Tap,
        _ => {}
    }
}
