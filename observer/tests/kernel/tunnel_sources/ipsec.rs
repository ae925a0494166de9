//! IPsec: security associations, policies, and the tunnels that they are.

use observer::snapshot::{
    network::Namespace,
    tunnel::{Kind, Peer, Xfrm},
};

use super::{Ends, add, read_of, run_text, send, tunnel};
use crate::support::{needs_root, netns::Netns, seen, skipped, wait::wait_for, wire::ip};

/// A key of RFC 4106: 16 bytes and 4 of salt. Nobody is protected by it.
const KEY: &str = "0x3132333435363738393031323334353630313233";

/// Tells both ends of an association each way and of policies, by ESP in tunnel mode between 10.88.0.1 and 10.88.0.2. The
/// reason if the kernel has no IPsec.
fn configure(ends: &Ends, more: &[&str], policy: &[&str]) -> Result<(), String> {
    for (namespace, out) in [(&ends.near, true), (&ends.far, false)] {
        for (from, to, spi, leaves) in [("1", "2", "0x111", out), ("2", "1", "0x222", !out)] {
            let (from, to) = (format!("10.88.0.{from}"), format!("10.88.0.{to}"));
            let state = ["src", &from, "dst", &to, "proto", "esp", "spi", spi, "reqid", "5", "mode", "tunnel"];
            let aead = ["aead", "rfc4106(gcm(aes))", KEY, "128", "replay-window", "32"];
            let inner = [from.replace("10.88", "10.55"), to.replace("10.88", "10.55")].map(|a| format!("{a}/32"));
            let direction = if leaves { "out" } else { "in" };
            let selector = ["src", &inner[0], "dst", &inner[1], "dir", direction];
            let template = ["tmpl", "src", &from, "dst", &to, "proto", "esp", "reqid", "5", "mode", "tunnel"];
            namespace.inside(|| {
                run_text("ip", &[&["xfrm", "state", "add"][..], &state, &aead, more].concat())?;
                run_text("ip", &[&["xfrm", "policy", "add"][..], &selector, policy, &template].concat())
            })?;
        }
    }
    Ok(())
}

/// Numbers of each association as `ip -s xfrm state` prints them: SPI, bytes, packets, replay window, replays, failures.
fn shown(namespace: &Netns) -> Vec<[u64; 6]> {
    let text = namespace.inside(|| run_text("ip", &["-s", "xfrm", "state"])).expect("ip xfrm state");
    let after = |block: &str, mark: &str| -> u64 {
        let rest = block.split_once(mark).map(|(_, rest)| rest).unwrap_or_else(|| panic!("{mark} in {block}"));
        let digits = rest.trim_start().split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).expect("a number"),
            None => digits.parse().unwrap_or_else(|_| panic!("{mark}: {digits:?} in {block}")),
        }
    };
    let mut all: Vec<_> = text
        .split("\nsrc ")
        .map(|block| {
            let current = block.split_once("lifetime current:").expect("counters").1;
            let packets = current.split_once("(bytes), ").expect("packets").1;
            [
                after(block, "spi "),
                after(current, ""),
                after(packets, ""),
                after(current, "replay-window "),
                after(current, "replay "),
                after(current, "failed "),
            ]
        })
        .collect();
    all.sort_unstable();
    all
}

fn ours(xfrm: &Xfrm) -> Vec<[u64; 6]> {
    let numbers = |s: &observer::snapshot::tunnel::State| {
        [s.spi, 0, 0, s.replay_window, s.replay, s.integrity_failed].map(u64::from)
    };
    let mut all: Vec<_> = xfrm
        .states
        .iter()
        .map(|s| {
            let [spi, _, _, window, replay, failed] = numbers(s);
            [spi, s.bytes, s.packets, window, replay, failed]
        })
        .collect();
    all.sort_unstable();
    all
}

/// The associations as observer reads them, the same as `ip` shows before and after, once some have carried packets.
fn at_rest(ends: &Ends) -> Namespace {
    wait_for("packets, and peace", || {
        let before = shown(&ends.near);
        let found = read_of(&ends.near);
        let carried = before.iter().any(|numbers| numbers[2] > 0);
        (carried && before == shown(&ends.near) && Some(before) == found.xfrm.as_ref().map(ours)).then_some(found)
    })
}

fn same_peers(peers: &[Peer]) {
    let mut ids: Vec<_> = peers.iter().map(|peer| peer.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["in 0x00000222", "out 0x00000111"]);
    let remote = "10.88.0.2".parse().ok();
    assert!(peers.iter().all(|peer| peer.address == remote), "{peers:?}");
    assert!(peers.iter().all(|peer| peer.route.as_ref().is_some_and(|r| r.device.as_str() == "under")), "{peers:?}");
    assert!(peers.iter().any(|peer| peer.tx_bytes.is_some_and(|bytes| bytes > 0)), "{peers:?}");
}

#[test]
fn policies_without_an_interface_are_a_tunnel() {
    const NAME: &str = "policies_without_an_interface_are_a_tunnel";
    needs_root!("policies_without_an_interface_are_a_tunnel");
    let ends = Ends::new();
    if let Err(reason) = configure(&ends, &["encap", "espinudp", "4500", "4500", "0.0.0.0"], &[]) {
        return skipped(NAME, &reason);
    }
    ends.near.inside(|| {
        ip(&["address", "add", "10.55.0.1/32", "dev", "lo"]);
        ip(&["route", "add", "10.55.0.2/32", "dev", "under", "src", "10.55.0.1"]);
        ip(&["link", "set", "lo", "up"]);
        send("10.55.0.2:9", 500, 7);
    });
    let found = at_rest(&ends);
    let ipsec = tunnel(&found, "10.88.0.1-10.88.0.2");
    seen!("{ipsec:?}\n{:?}", found.xfrm);
    assert_eq!((&ipsec.kind, ipsec.ifindex, ipsec.underlay_netns), (&Kind::Ipsec, None, Some(ends.near.inode())));
    assert_eq!((ipsec.outer.local, ipsec.outer.udp, ipsec.outer.port), ("10.88.0.1".parse().ok(), true, Some(4500)));
    same_peers(&ipsec.peers);
    let xfrm = found.xfrm.as_ref().unwrap();
    let state = xfrm.states.first().unwrap();
    assert_eq!((state.cipher.as_ref().map(|c| c.as_str()), state.icv_bits), (Some("rfc4106(gcm(aes))"), Some(128)));
    assert_eq!((state.protocol, state.tunnel_mode, state.reqid, state.nat_port), (50, true, 5, Some(4500)));
    let out = xfrm.policies.iter().find(|policy| policy.direction == 1).unwrap();
    assert_eq!(out.destination.map(|network| network.to_string()).as_deref(), Some("10.55.0.2/32"));
    assert_eq!((out.tunnel_destination, out.reqid), ("10.88.0.2".parse().ok(), 5));
    assert!(xfrm.counters.is_empty() || xfrm.counters.iter().any(|(name, _)| name.as_str() == "XfrmInError"));
}

#[test]
fn an_xfrm_interface_has_the_associations_of_its_number() {
    const NAME: &str = "an_xfrm_interface_has_the_associations_of_its_number";
    needs_root!("an_xfrm_interface_has_the_associations_of_its_number");
    let ends = Ends::new();
    let made = configure(&ends, &["if_id", "42"], &["if_id", "42"])
        .and_then(|()| ends.near.inside(|| add(&["x0", "type", "xfrm", "dev", "under", "if_id", "42"])));
    if let Err(reason) = made {
        return skipped(NAME, &reason);
    }
    ends.near.inside(|| {
        ip(&["address", "add", "10.55.0.1/32", "dev", "x0"]);
        ip(&["link", "set", "x0", "up"]);
        ip(&["route", "add", "10.55.0.2/32", "dev", "x0", "src", "10.55.0.1"]);
        send("10.55.0.2:9", 500, 7);
    });
    let found = at_rest(&ends);
    // Modules of other kinds, once loaded, put an interface of theirs into every namespace.
    let ciphers = found.tunnels.iter().flatten().filter(|t| matches!(t.kind, Kind::Xfrm | Kind::Ipsec));
    assert_eq!(ciphers.count(), 1, "policies with a number are no tunnel besides");
    let x0 = tunnel(&found, "x0");
    assert_eq!((&x0.kind, x0.outer.id, x0.outer.local), (&Kind::Xfrm, Some(42), "10.88.0.1".parse().ok()));
    same_peers(&x0.peers);
}
