//! Attributes of tunnels that are an IP protocol of their own (linux/if_tunnel.h), and of interfaces of IPsec.

use super::attributes::{bound_to, remote, unless_zero};
use crate::{
    snapshot::tunnel::{Outer, Tunnel},
    source::netlink::attribute::{be16_of, be32_of, ip_of, u8_of, u16_of, u32_of},
};

/// `IP6_TNL_F_IGN_ENCAP_LIMIT` of linux/ip6_tunnel.h.
const NO_ENCAP_LIMIT: u32 = 1;

/// `IFLA_GRE_*`, over IPv4 and IPv6.
pub(super) fn gre(tunnel: &mut Tunnel, kind: u16, value: &[u8]) {
    const LINK: u16 = 1;
    const OFLAGS: u16 = 3;
    const OKEY: u16 = 5;
    const LOCAL: u16 = 6;
    const REMOTE: u16 = 7;
    const TTL: u16 = 8;
    const PMTUDISC: u16 = 10;
    const FLAGS: u16 = 13;
    const ENCAP_TYPE: u16 = 14;
    const ENCAP_DPORT: u16 = 17;
    const COLLECT_METADATA: u16 = 18;
    const FWMARK: u16 = 20;
    const ERSPAN_INDEX: u16 = 21;
    const ERSPAN_VER: u16 = 22;
    // Of the GRE header itself (RFC 2784, RFC 2890).
    const CSUM: u16 = 0x8000;
    const KEY: u16 = 0x2000;
    const SEQ: u16 = 0x1000;
    let outer = &mut tunnel.outer;
    match kind {
        LINK => bound_to(tunnel, value),
        OFLAGS => {
            let flags = be16_of(value).unwrap_or_default();
            (outer.checksum, outer.key, outer.sequence) = (flags & CSUM != 0, flags & KEY != 0, flags & SEQ != 0);
        }
        OKEY => outer.id = unless_zero(be32_of(value)).map(u64::from),
        LOCAL => outer.local = ip_of(value),
        REMOTE => remote(tunnel, ip_of(value)),
        TTL => outer.ttl = unless_zero(u8_of(value)),
        PMTUDISC => outer.dont_fragment = discovery(value),
        FLAGS => outer.encap_limit &= has_encap_limit(value),
        ENCAP_TYPE => wrapped(outer, value),
        ENCAP_DPORT => outer.port = unless_zero(be16_of(value)),
        COLLECT_METADATA => outer.external = true,
        FWMARK => outer.mark = unless_zero(u32_of(value)),
        ERSPAN_VER => outer.erspan_version = u8_of(value),
        // Before version 2 there is no other number.
        ERSPAN_INDEX if outer.id.is_none() => outer.id = unless_zero(u32_of(value)).map(u64::from),
        _ => {}
    }
}

/// `IFLA_IPTUN_*`: IPIP, SIT and ip6tnl.
pub(super) fn iptun(tunnel: &mut Tunnel, kind: u16, value: &[u8]) {
    const LINK: u16 = 1;
    const LOCAL: u16 = 2;
    const REMOTE: u16 = 3;
    const TTL: u16 = 4;
    const FLAGS: u16 = 8;
    const PMTUDISC: u16 = 10;
    const ENCAP_TYPE: u16 = 15;
    const ENCAP_DPORT: u16 = 18;
    const COLLECT_METADATA: u16 = 19;
    const FWMARK: u16 = 20;
    let outer = &mut tunnel.outer;
    match kind {
        LINK => bound_to(tunnel, value),
        LOCAL => outer.local = ip_of(value),
        REMOTE => remote(tunnel, ip_of(value)),
        TTL => outer.ttl = unless_zero(u8_of(value)),
        FLAGS => outer.encap_limit &= has_encap_limit(value),
        PMTUDISC => outer.dont_fragment = discovery(value),
        ENCAP_TYPE => wrapped(outer, value),
        ENCAP_DPORT => outer.port = unless_zero(be16_of(value)),
        COLLECT_METADATA => outer.external = true,
        FWMARK => outer.mark = unless_zero(u32_of(value)),
        _ => {}
    }
}

/// `IFLA_VTI_*`, over IPv4 and IPv6.
pub(super) fn vti(tunnel: &mut Tunnel, kind: u16, value: &[u8]) {
    const LINK: u16 = 1;
    const OKEY: u16 = 3;
    const LOCAL: u16 = 4;
    const REMOTE: u16 = 5;
    const FWMARK: u16 = 6;
    let outer = &mut tunnel.outer;
    match kind {
        LINK => bound_to(tunnel, value),
        OKEY => outer.id = unless_zero(be32_of(value)).map(u64::from),
        LOCAL => outer.local = ip_of(value),
        REMOTE => remote(tunnel, ip_of(value)),
        FWMARK => outer.mark = unless_zero(u32_of(value)),
        _ => {}
    }
}

/// `IFLA_XFRM_*`. The ends are those of its security associations.
pub(super) fn xfrm(tunnel: &mut Tunnel, kind: u16, value: &[u8]) {
    const LINK: u16 = 1;
    const IF_ID: u16 = 2;
    const COLLECT_METADATA: u16 = 3;
    match kind {
        LINK => bound_to(tunnel, value),
        IF_ID => tunnel.outer.id = u32_of(value).map(u64::from),
        COLLECT_METADATA => tunnel.outer.external = true,
        _ => {}
    }
}

/// Without path MTU discovery an outer packet may be cut if the inner one may.
fn discovery(value: &[u8]) -> Option<bool> {
    (u8_of(value)? != 0).then_some(true)
}

/// The flags of SIT are other ones, in two bytes: it has no such option anyway.
fn has_encap_limit(value: &[u8]) -> bool {
    u32_of(value).is_none_or(|flags| flags & NO_ENCAP_LIMIT == 0)
}

/// `enum tunnel_encap_types`.
fn wrapped(outer: &mut Outer, value: &[u8]) {
    const FOU: u16 = 1;
    const GUE: u16 = 2;
    let wrap = u16_of(value);
    outer.udp = matches!(wrap, Some(FOU | GUE));
    outer.gue = wrap == Some(GUE);
}
