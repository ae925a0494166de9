//! Tunnels: what their interfaces say of themselves, and what must be asked for besides.

mod attributes;
pub mod fdb;
pub mod features;
mod ip;
mod overlay;
pub mod qdisc;
pub mod route;
pub mod wireguard;

use crate::snapshot::{
    link::Link,
    tunnel::{Kind, Tunnel},
};

/// Takes one attribute of a tunnel.
type Attribute = fn(&mut Tunnel, u16, &[u8]);

/// Kinds of interfaces (`IFLA_INFO_KIND`) that carry packets inside others, and who reads their attributes.
const KINDS: &[(&str, Kind, Attribute)] = &[
    ("vxlan", Kind::Vxlan, overlay::vxlan),
    ("geneve", Kind::Geneve, overlay::geneve),
    ("bareudp", Kind::Bareudp, overlay::bareudp),
    ("gre", Kind::Gre, ip::gre),
    ("gretap", Kind::Gretap, ip::gre),
    ("erspan", Kind::Erspan, ip::gre),
    ("ip6gre", Kind::Ip6gre, ip::gre),
    ("ip6gretap", Kind::Ip6gretap, ip::gre),
    ("ip6erspan", Kind::Ip6erspan, ip::gre),
    ("ipip", Kind::Ipip, ip::iptun),
    ("sit", Kind::Sit, ip::iptun),
    ("ip6tnl", Kind::Ip6tnl, ip::iptun),
    ("vti", Kind::Vti, ip::vti),
    ("vti6", Kind::Vti6, ip::vti),
    ("xfrm", Kind::Xfrm, ip::xfrm),
    ("tun", Kind::Tun, overlay::tun),
    // They say what they are in a family of generic netlink.
    ("wireguard", Kind::Wireguard, nothing),
    // Known to carry packets inside others, and not looked into.
    ("amt", Kind::Other, nothing),
    ("gtp", Kind::Other, nothing),
    ("l2tpeth", Kind::Other, nothing),
    ("ovpn", Kind::Other, nothing),
    ("ovpn-dco", Kind::Other, nothing),
    ("pfcp", Kind::Other, nothing),
    ("ppp", Kind::Other, nothing),
];

fn nothing(_: &mut Tunnel, _: u16, _: &[u8]) {}

/// The tunnel that an interface is, with what its `IFLA_INFO_DATA` says.
pub fn of_link(link: &Link, data: &[u8]) -> Option<Tunnel> {
    let name = link.kind.as_ref()?;
    let (_, kind, attribute) = KINDS.iter().find(|(known, ..)| *known == name.as_str())?;
    let mut tunnel = Tunnel {
        ifindex: Some(link.index),
        name: link.name.clone(),
        kind: kind.clone(),
        underlay_ifindex: link.parent,
        ..Tunnel::default()
    };
    attributes::read(&mut tunnel, data, *attribute);
    Some(tunnel)
}

#[cfg(test)]
mod tests;
