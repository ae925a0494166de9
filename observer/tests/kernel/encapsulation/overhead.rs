//! What each kind of tunnel adds to a packet, against the sizes that its RFC gives.

use observer::{
    snapshot::{encapsulation::Interface, tunnel::Kind},
    source::kernel::encapsulation::{Reader, Watched},
};

use super::{
    Flows,
    bed::{Bed, Outside, PORT, inside},
    read, reader,
};
use crate::support::{needs_root, seen, skipped, wait::wait_for};

/// A tunnel that is not there: while one is watched, the programs stay loaded.
const NOWHERE: Watched =
    Watched { device: (1, 1), tunnel: true, wireguard: false, protocols: [0, 0], udp: false, port: None };

/// Sends until packets of a whole segment were sampled.
fn sampled(reader: &mut Reader, bed: &Bed, port: Option<u16>) -> Interface {
    let watched = bed.watched(port);
    let mut flows = Flows::connect(bed, inside(2), 2);
    wait_for("packets to be sampled", || {
        flows.send(200_000);
        let now = read(reader, &watched);
        now.interfaces.into_iter().find(|i| i.tunnel && i.sized > 20)
    })
}

/// Sees what a kind adds; false where the kernel has no such tunnel.
fn adds(reader: &mut Reader, kind: &Kind, outside: Outside, options: &[&str], port: Option<u16>, bytes: u64) -> bool {
    let Some(bed) = Bed::new(kind.clone(), outside, options) else { return false };
    let tunnel = sampled(reader, &bed, port);
    // What comes next may be in a namespace of the same number.
    read(reader, &[NOWHERE]);
    seen!("{kind:?} {outside:?}: {:?} {tunnel:?}", tunnel.overhead_bytes());
    assert_eq!(tunnel.outer_bytes - tunnel.inner_bytes, tunnel.sized * bytes, "{kind:?} over {outside:?}: {tunnel:?}");
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
