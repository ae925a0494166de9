//! Every kind of tunnel interface that the kernel has, one after the other.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use observer::snapshot::tunnel::{Kind, Tunnel};
use serde_json::Value;

use super::{Ends, Rest, add, address, read_of, send, tunnel};
use crate::support::{needs_root, netns::Netns, seen, skipped, wait::wait_for, wire::ip};

const V4: &str = "local 10.88.0.1 remote 10.88.0.2";
const V6: &str = "local fd88::1 remote fd88::2";

/// Name of the kind as `ip link add` takes it, what it is given, and what it is.
const KINDS: &[(&str, &str, Kind)] = &[
    ("geneve", "id 77 remote 10.88.0.2 dstport 6081 ttl 9 df set", Kind::Geneve),
    ("geneve", "id 77 remote fd88::2", Kind::Geneve),
    ("geneve", "external", Kind::Geneve),
    ("vxlan", "external dstport 4789", Kind::Vxlan),
    ("gre", "V4 ttl 64", Kind::Gre),
    ("gre", "V4 ttl 64 key 9 csum seq", Kind::Gre),
    ("gre", "V4 ttl 64 encap gue encap-sport auto encap-dport 5555", Kind::Gre),
    ("gre", "V4 ttl 64 encap fou encap-sport auto encap-dport 5555", Kind::Gre),
    ("gretap", "V4 ttl inherit nopmtudisc", Kind::Gretap),
    ("gretap", "external", Kind::Gretap),
    ("erspan", "V4 seq key 5 erspan_ver 1 erspan 123", Kind::Erspan),
    ("ip6gre", "V6", Kind::Ip6gre),
    ("ip6gre", "V6 encaplimit none ikey 3 okey 4", Kind::Ip6gre),
    ("ip6gretap", "V6", Kind::Ip6gretap),
    ("ipip", "V4 ttl 64 dev under", Kind::Ipip),
    ("sit", "V4 ttl 64", Kind::Sit),
    ("ip6tnl", "V6 mode any", Kind::Ip6tnl),
    ("ip6tnl", "V6 mode any encaplimit none", Kind::Ip6tnl),
    ("vti", "V4 key 6", Kind::Vti),
    ("vti6", "V6 key 6", Kind::Vti6),
    ("xfrm", "dev under if_id 42", Kind::Xfrm),
    ("bareudp", "dstport 6635 ethertype mpls_uc", Kind::Bareudp),
];

#[test]
fn every_kind_is_as_ip_shows_it() {
    needs_root!("every_kind_is_as_ip_shows_it");
    let (mut made, mut missing) = (0, Vec::new());
    let ends = Ends::new();
    for (name, of, kind) in KINDS {
        let of = of.replace("V4", V4).replace("V6", V6);
        let arguments: Vec<_> = ["t0", "type", name].into_iter().chain(of.split(' ')).collect();
        if let Err(reason) = ends.near.inside(|| add(&arguments)) {
            missing.push(format!("{name} {of}: {reason}"));
            continue;
        }
        made += 1;
        ends.near.inside(|| {
            ip(&["link", "set", "t0", "up"]);
            ip(&["address", "add", "10.77.0.1/24", "dev", "t0"]);
            send("10.77.0.2:9", 100, 3);
        });
        let rest = Rest::of(&ends.near);
        let seen = tunnel(&rest.found, "t0");
        seen!("{name} {of}: {seen:?}");
        assert_eq!(&seen.kind, kind, "{name} {of}");
        rest.same_link("t0");
        same_attributes(seen, &rest.shown("t0")["linkinfo"]["info_data"]);
        if !seen.peers.is_empty() {
            rest.same_route(seen, &ends.near);
        }
        ends.near.inside(|| ip(&["link", "del", "t0"]));
    }
    if made == 0 {
        return skipped("every_kind_is_as_ip_shows_it", &missing.join("; "));
    }
    seen!("{made} of {}; not on this kernel: {missing:#?}", KINDS.len());
}

/// What the tunnel says of its outer packets is what `ip -d link` prints.
fn same_attributes(tunnel: &Tunnel, data: &Value) {
    let any = |address: &std::net::IpAddr| address.is_unspecified();
    let end = |path: &str| address(data, path).filter(|address| !any(address));
    assert_eq!(tunnel.outer.local, end("/local"), "{data}");
    let remote = tunnel.peers.first().and_then(|peer| peer.address);
    assert_eq!(remote, end("/remote").or(end("/remote6")), "{data}");
    let has = |name: &str| data.get(name).is_some_and(|value| value != &Value::Bool(false));
    assert_eq!(
        tunnel.outer.external,
        has("external") || has("collect_metadata") || tunnel.kind == Kind::Bareudp,
        "{data}"
    );
    assert_eq!((tunnel.outer.checksum, tunnel.outer.sequence), (has("ocsum"), has("oseq")), "{data}");
    if tunnel.outer.key || has("okey") {
        // As an address with dots in GRE and VTI.
        let key = data["okey"].as_str().and_then(|key| key.parse::<std::net::Ipv4Addr>().ok()).map(u32::from);
        assert_eq!(tunnel.outer.id, key.map(u64::from), "{data}");
    }
    if let Some(id) = data.get("id").filter(|_| !tunnel.outer.external) {
        assert_eq!(tunnel.outer.id, id.as_u64());
    }
    let encap = data.pointer("/encap/type").and_then(Value::as_str);
    assert_eq!((tunnel.outer.udp, tunnel.outer.gue), (encap.is_some(), encap == Some("gue")), "{data}");
    if matches!(tunnel.kind, Kind::Ip6gre | Kind::Ip6gretap | Kind::Ip6tnl) {
        assert_eq!(tunnel.outer.encap_limit, !has("ip6_tnl_f_ign_encap_limit"), "{data}");
    }
}

/// Runs `wg` in the present namespace, with something on its standard input; `None` where there is none.
pub(super) fn wg(arguments: &[&str], input: &str) -> Option<String> {
    let mut child = Command::new("wg").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("wg reads");
    let output = child.wait_with_output().expect("wg ends");
    assert!(output.status.success(), "wg {arguments:?}");
    Some(String::from_utf8(output.stdout).expect("text").trim().to_owned())
}

#[test]
fn wireguard_peers_are_as_wg_shows_them() {
    const NAME: &str = "wireguard_peers_are_as_wg_shows_them";
    needs_root!("wireguard_peers_are_as_wg_shows_them");
    let ends = Ends::new();
    for namespace in [&ends.near, &ends.far] {
        if let Err(reason) = namespace.inside(|| add(&["wg0", "type", "wireguard"])) {
            return skipped(NAME, &reason);
        }
    }
    let Some(keys) = [(); 2].iter().map(|()| wg(&["genkey"], "")).collect::<Option<Vec<_>>>() else {
        return skipped(NAME, "there is no wg");
    };
    let public: Vec<_> = keys.iter().map(|key| wg(&["pubkey"], key).expect("wg")).collect();
    for (namespace, own, other) in [(&ends.near, 0, 1), (&ends.far, 1, 0)] {
        let mut key = tempfile::NamedTempFile::new().expect("a file");
        key.write_all(keys[own].as_bytes()).expect("it is written");
        namespace.inside(|| {
            let endpoint = format!("10.88.0.{}:51820", other + 1);
            let file = key.path().to_str().expect("a path");
            let port = ["set", "wg0", "listen-port", "51820", "fwmark", "0x1f", "private-key", file];
            let rest = ["allowed-ips", "10.66.0.0/24,fd66::/64", "persistent-keepalive", "25", "endpoint", &endpoint];
            wg(&[&port[..], &["peer", &public[other]], &rest[..]].concat(), "").expect("wg");
            ip(&["address", "add", &format!("10.66.0.{}/24", own + 1), "dev", "wg0"]);
            ip(&["link", "set", "wg0", "up"]);
        });
    }
    ends.near.inside(|| send("10.66.0.2:9", 1000, 10));
    let dump = || ends.near.inside(|| wg(&["show", "wg0", "dump"], "")).expect("wg");
    let (rest, dump) = wait_for("a handshake, and peace", || {
        let before = dump();
        let rest = Rest::of(&ends.near);
        let shook = tunnel(&rest.found, "wg0").peers.iter().any(|peer| peer.last_handshake_ns.is_some());
        (shook && before == dump()).then_some((rest, before))
    });
    let seen = tunnel(&rest.found, "wg0");
    seen!("{seen:?}");
    let mut lines = dump.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let (device, shown) = (lines.next().expect("the device"), lines.next().expect("the peer"));
    assert_eq!((&seen.kind, seen.outer.port), (&Kind::Wireguard, device[2].parse().ok()));
    assert_eq!((seen.outer.mark, seen.outer.dont_fragment), (Some(0x1f), Some(false)));
    let [peer] = seen.peers.as_slice() else { panic!("{seen:?}") };
    let endpoint = peer.address.zip(peer.port).map(|(address, port)| format!("{address}:{port}"));
    assert_eq!((peer.id.as_str(), endpoint.as_deref()), (shown[0], Some(shown[2])));
    let networks: Vec<_> = peer.networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks.join(","), shown[3]);
    assert_eq!(peer.last_handshake_ns.map(|ns| (ns / 1_000_000_000).to_string()).as_deref(), Some(shown[4]));
    assert_eq!([peer.rx_bytes, peer.tx_bytes], [shown[5].parse().ok(), shown[6].parse().ok()]);
    assert_eq!(peer.keepalive_seconds, shown[7].parse().ok());
    rest.same_link("wg0");
    rest.same_route(seen, &ends.near);
    assert_eq!(seen.underlay_netns, Some(ends.near.inode()));
    let text = format!("{:?}", rest.found);
    assert!(keys.iter().all(|key| !text.contains(key.as_str())), "no private key is kept");
    // Its socket stays where the interface was made.
    let inner = Netns::new();
    let into = inner.pid().to_string();
    ends.near.inside(|| ip(&["link", "set", "wg0", "netns", &into]));
    inner.inside(|| ip(&["link", "set", "wg0", "up"]));
    // The port is free in the namespace of the far end alone, which has an interface with the same one.
    ends.far.inside(|| ip(&["link", "del", "wg0"]));
    let found = read_of(&inner);
    let moved = tunnel(&found, "wg0");
    assert_eq!(moved.underlay_netns, Some(ends.near.inode()));
    rest.same_route(moved, &ends.near);
}
