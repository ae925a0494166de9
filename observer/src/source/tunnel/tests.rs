//! Attributes as kernels send them.

use proptest::prelude::*;

use super::*;
use crate::{
    snapshot::tunnel::{Outer, Peer},
    source::netlink::testing::attribute,
};

fn read(kind: &str, attributes: &[(u16, &[u8])]) -> Tunnel {
    let link = Link { index: 5, name: "t0".into(), kind: Some(kind.into()), ..Link::default() };
    let data: Vec<u8> = attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect();
    of_link(&link, &data).unwrap()
}

fn end(address: &str) -> Vec<Peer> {
    vec![Peer { address: Some(address.parse().unwrap()), ..Peer::default() }]
}

#[test]
fn each_kind_of_the_list_is_one_and_others_are_none() {
    for (name, ..) in KINDS {
        assert_eq!(read(name, &[]).ifindex, Some(5), "{name}");
    }
    for name in ["veth", "bridge", "dummy", "vlan"] {
        assert_eq!(of_link(&Link { kind: Some(name.into()), ..Link::default() }, &[]), None);
    }
    assert_eq!(of_link(&Link::default(), &[]), None);
}

#[test]
fn vxlan_and_geneve() {
    let ends: [(u16, &[u8]); 3] = [(1, &42u32.to_ne_bytes()), (15, &[0x12, 0xb5]), (3, &7u32.to_ne_bytes())];
    let vxlan = read("vxlan", &[ends[0], ends[1], ends[2], (2, &[10, 0, 0, 2]), (4, &[10, 0, 0, 1]), (29, &[1])]);
    let outer = Outer {
        id: Some(42),
        port: Some(4789),
        local: Some("10.0.0.1".parse().unwrap()),
        dont_fragment: Some(true),
        ..Outer::default()
    };
    assert_eq!((vxlan.outer, vxlan.peers, vxlan.underlay_ifindex), (outer, end("10.0.0.2"), Some(7)));
    assert!(read("vxlan", &[(25, &[1])]).outer.external && !read("vxlan", &[(25, &[0])]).outer.external);
    let geneve = read("geneve", &[(1, &9u32.to_ne_bytes()), (3, &[64]), (5, &[0x17, 0xc1]), (7, &[0xfd; 16])]);
    assert_eq!((geneve.outer.id, geneve.outer.ttl, geneve.outer.port), (Some(9), Some(64), Some(6081)));
    assert_eq!(geneve.peers, end("fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd"));
}

#[test]
fn gre_has_flags_and_a_key_of_its_way_out() {
    let gre = read("gre", &[(2, &[0, 0]), (3, &[0xb0, 0]), (5, &[0, 0, 1, 0]), (14, &2u16.to_ne_bytes()), (10, &[1])]);
    assert!(gre.outer.checksum && gre.outer.key && gre.outer.sequence && gre.outer.udp && gre.outer.gue);
    assert_eq!((gre.outer.id, gre.outer.dont_fragment), (Some(256), Some(true)));
    let with = read("ip6gre", &[(13, &0u32.to_ne_bytes())]);
    let without = read("ip6gre", &[(13, &1u32.to_ne_bytes())]);
    assert!(with.outer.encap_limit && !without.outer.encap_limit && !read("gre", &[]).outer.encap_limit);
    assert!(!read("ip6tnl", &[(19, &[])]).outer.encap_limit, "metadata decide");
}

#[test]
fn tun_and_tap() {
    assert_eq!(read("tun", &[(3, &[1])]).kind, Kind::Tun);
    let tap = read("tun", &[(1, &1000u32.to_ne_bytes()), (3, &[2])]);
    assert_eq!((tap.kind, tap.owner_uid), (Kind::Tap, Some(1000)));
}

#[test]
fn an_address_of_zeros_is_none() {
    let any = read("ipip", &[(2, &[0; 4]), (3, &[0; 4]), (4, &[0])]);
    assert_eq!((any.outer, any.peers.len()), (Outer::default(), 0));
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_tunnel(kind in 0..KINDS.len(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let link = Link { kind: Some(KINDS[kind].0.into()), ..Link::default() };
        let _ = of_link(&link, &bytes);
    }
}
