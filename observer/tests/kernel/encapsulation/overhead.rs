//! What each kind of tunnel adds to a packet, against the sizes that its RFC gives.

use std::net::{IpAddr, Ipv6Addr};

use observer::{
    model::Model,
    snapshot::{Snapshot, encapsulation::Interface, network::Network, tunnel::Kind},
    source::kernel::encapsulation::{Reader, Watched, watched},
};

use super::{
    Flows,
    bed::{Bed, Outside, PORT, TUNNEL, address, inside},
    read, reader,
};
use crate::{
    support::{needs_root, netns::Netns, seen, skipped, wait::wait_for, wire::ip_lines},
    tunnel_sources::read_of,
};

/// A tunnel that is not there: while one is watched, the programs stay loaded.
const NOWHERE: Watched =
    Watched { device: (1, 1), tunnel: true, wireguard: false, protocols: [0, 0], udp: false, port: None };

/// Sends to an address of the far end until packets of a whole segment were sampled.
fn sampled(reader: &mut Reader, bed: &Bed, watched: &[Watched], to: IpAddr) -> Interface {
    let mut flows = Flows::connect(bed, to, 2);
    let tunnel = wait_for("packets to be sampled", || {
        flows.send(200_000);
        let now = read(reader, watched);
        now.interfaces.into_iter().find(|i| i.tunnel && i.sized > 20)
    });
    // What comes next may be in a namespace of the same number.
    read(reader, &[NOWHERE]);
    tunnel
}

/// The bytes that all packets must have had more outside than inside.
fn same(of: &str, tunnel: &Interface, bytes: u64) {
    seen!("{of}: {:?} {tunnel:?}", tunnel.overhead_bytes());
    assert_eq!(tunnel.outer_bytes - tunnel.inner_bytes, tunnel.sized * bytes, "{of}: {tunnel:?}");
}

/// Sees what a kind adds; false where the kernel has no such tunnel.
fn adds(reader: &mut Reader, kind: &Kind, outside: Outside, options: &[&str], port: Option<u16>, bytes: u64) -> bool {
    let Some(bed) = Bed::new(kind.clone(), outside, options) else { return false };
    let tunnel = sampled(reader, &bed, &bed.watched(port), inside(2));
    same(&format!("{kind:?} over {outside:?}"), &tunnel, bytes);
    true
}

#[test]
fn vxlan_adds_what_its_headers_have() {
    needs_root!("vxlan_adds_what_its_headers_have");
    let options = ["vxlan", "id", "7", "local", "LOCAL", "remote", "REMOTE", "dstport", "4789"];
    let mut reader = reader();
    let v4 = adds(&mut reader, &Kind::Vxlan, Outside::V4, &options, Some(PORT), 50);
    if !(v4 && adds(&mut reader, &Kind::Vxlan, Outside::V6, &options, Some(PORT), 70)) {
        skipped("vxlan_adds_what_its_headers_have", "no VXLAN here");
    }
}

#[test]
fn tunnels_without_ciphers_add_what_their_headers_have() {
    needs_root!("tunnels_without_ciphers_add_what_their_headers_have");
    let plain = |kind: &'static str| [kind, "local", "LOCAL", "remote", "REMOTE"].to_vec();
    let with = |kind: &'static str, more: &[&'static str]| [&plain(kind), more].concat();
    let geneve = ["geneve", "id", "7", "remote", "REMOTE", "dstport", "4789"].to_vec();
    let (mut seen, mut reader) = (0, reader());
    for (kind, outside, options, port, bytes) in [
        (Kind::Geneve, Outside::V4, geneve.clone(), Some(PORT), 50),
        (Kind::Geneve, Outside::V6, geneve, Some(PORT), 70),
        (Kind::Gre, Outside::V4, plain("gre"), None, 24),
        (Kind::Gre, Outside::V4, with("gre", &["key", "7"]), None, 28),
        (Kind::Gretap, Outside::V4, plain("gretap"), None, 38),
        (Kind::Ip6gre, Outside::V6, with("ip6gre", &["encaplimit", "none"]), None, 44),
        (Kind::Ip6gretap, Outside::V6, with("ip6gretap", &["encaplimit", "none"]), None, 58),
        (Kind::Ipip, Outside::V4, plain("ipip"), None, 20),
        (Kind::Ip6tnl, Outside::V6, with("ip6tnl", &["mode", "any", "encaplimit", "none"]), None, 40),
        (Kind::Ip6tnl, Outside::V6, with("ip6tnl", &["mode", "any"]), None, 48),
    ] {
        seen += u32::from(adds(&mut reader, &kind, outside, &options, port, bytes));
    }
    if seen == 0 {
        skipped("tunnels_without_ciphers_add_what_their_headers_have", "this kernel has none of them");
    }
}

/// A tunnel that needs more than one command.
struct Recipe {
    kind: Kind,
    /// What `ip` is told at both ends before.
    before: &'static str,
    /// What `ip link add … type` is told.
    link: &'static str,
    /// True if the packets inside are of IPv6.
    six: bool,
    bytes: u64,
}

const RECIPES: [Recipe; 4] = [
    Recipe { kind: Kind::Sit, before: "", link: "sit local LOCAL remote REMOTE", six: true, bytes: 20 },
    Recipe {
        kind: Kind::Ipip,
        before: "fou add port 5555 ipproto 4",
        link: "ipip local LOCAL remote REMOTE encap fou encap-sport auto encap-dport 5555",
        six: false,
        bytes: 28,
    },
    Recipe {
        kind: Kind::Ipip,
        before: "fou add port 5556 gue",
        link: "ipip local LOCAL remote REMOTE encap gue encap-sport auto encap-dport 5556",
        six: false,
        bytes: 32,
    },
    Recipe {
        kind: Kind::Gre,
        before: "fou add port 5557 ipproto 47",
        link: "gre local LOCAL remote REMOTE encap fou encap-sport auto encap-dport 5557",
        six: false,
        bytes: 32,
    },
];

#[test]
fn what_a_tunnel_adds_is_computed_from_how_the_kernel_describes_it() {
    needs_root!("what_a_tunnel_adds_is_computed_from_how_the_kernel_describes_it");
    let (mut seen, mut reader) = (0, reader());
    for Recipe { kind, before, link, six, bytes } in RECIPES {
        let bed = Bed::cabled(kind);
        let prepared = |end: &Netns| {
            before.is_empty() || end.inside(|| ip_lines(&[before.to_owned()]).map_err(|e| println!("{e}")).is_ok())
        };
        let made = [&bed.near, &bed.far].into_iter().all(prepared);
        let words: Vec<&str> = link.split(' ').collect();
        let Some(bed) = made.then_some(bed).and_then(|bed| bed.with_tunnel(Outside::V4, &words)) else { continue };
        let of_six = |end: u16| IpAddr::from(Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, end));
        for (netns, end) in [(&bed.near, 1), (&bed.far, 2)] {
            netns.inside(|| six.then(|| address(TUNNEL, of_six(end))));
        }
        let network = Network { namespaces: vec![read_of(&bed.near)], ..Network::default() };
        let watched = watched(&network);
        let model = Model::new(&Snapshot { network: Some(network), ..Snapshot::default() }, None);
        let tunnels = model.tunnels.expect("the namespace was read");
        let tunnel = tunnels.list.iter().find(|t| t.name.as_str() == TUNNEL).expect("it is found");
        let computed = tunnel.overhead().map(|o| (u64::from(o.least), u64::from(o.most)));
        assert_eq!(computed, Some((bytes, bytes)), "{link}");
        same(link, &sampled(&mut reader, &bed, &watched, if six { of_six(2) } else { inside(2) }), bytes);
        seen += 1;
    }
    if seen == 0 {
        skipped("what_a_tunnel_adds_is_computed_from_how_the_kernel_describes_it", "this kernel has none of them");
    }
}
