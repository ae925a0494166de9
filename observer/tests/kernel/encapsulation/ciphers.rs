//! Tunnels that encrypt: WireGuard, on other CPUs and in pieces, and ESP behind an XFRM interface.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
};

use observer::snapshot::{
    encapsulation::{Encapsulation, Header, Interface},
    tunnel::Kind,
};

use super::{
    FLOWS, Flows, all_joined,
    bed::{Bed, Outside, TUNNEL, address, inside},
    newest, read, reader,
};
use crate::support::{needs_root, netns::Netns, seen, skipped, wait::wait_for, wire::ip};

/// Port of the near end; those of the far ends follow.
const PORT: u16 = 51820;

/// Keys of one end.
struct Keys {
    private: String,
    public: String,
}

impl Keys {
    fn new() -> Self {
        let private = wg(&["genkey"], "");
        let public = wg(&["pubkey"], &private);
        Self { private, public }
    }
}

fn wg(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("wg");
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("wg");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("wg reads");
    let output = child.wait_with_output().expect("wg ends");
    assert!(output.status.success(), "wg {arguments:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn can_wireguard() -> bool {
    Command::new("wg").arg("--version").output().is_ok_and(|o| o.status.success())
        && Netns::new().inside(|| {
            let made = Command::new("ip").args(["link", "add", "probe", "type", "wireguard"]).output();
            made.is_ok_and(|o| o.status.success())
        })
}

/// An interface of the present namespace, with its peers: public key, outer address, inner network.
fn interface(name: &str, keys: &Keys, port: u16, peers: &[(&Keys, SocketAddr, String)]) {
    ip(&["link", "add", name, "type", "wireguard"]);
    let port = port.to_string();
    wg(&["set", name, "listen-port", &port, "private-key", "/proc/self/fd/0"], &keys.private);
    for (peer, endpoint, network) in peers {
        let endpoint = endpoint.to_string();
        wg(&["set", name, "peer", &peer.public, "endpoint", &endpoint, "allowed-ips", network], "");
    }
    ip(&["link", "set", name, "up"]);
}

/// One interface near, and two far ones that are its peers: 10.79.0.1 on one side, 10.79.1.2 and 10.79.2.2 on the other.
fn bed(outside: Outside) -> Bed {
    let bed = Bed::cabled(Kind::Wireguard);
    let [near, first, second] = [Keys::new(), Keys::new(), Keys::new()];
    let far = |place: u16| SocketAddr::new(outside.far(), PORT + place);
    bed.near.inside(|| {
        let peers = [(&first, far(1), "10.79.1.0/24".to_owned()), (&second, far(2), "10.79.2.0/24".to_owned())];
        interface(TUNNEL, &near, PORT, &peers);
        address(TUNNEL, inside(1));
        for place in ["10.79.1.0/24", "10.79.2.0/24"] {
            ip(&["route", "add", place, "dev", TUNNEL]);
        }
    });
    bed.far.inside(|| {
        for (place, keys) in [(1, &first), (2, &second)] {
            let name = format!("{TUNNEL}{place}");
            let back = [(&near, SocketAddr::new(outside.near(), PORT), "10.79.0.0/24".to_owned())];
            interface(&name, keys, PORT + place, &back);
            address(&name, peer(place as u8));
            // Each answers by the interface that it was asked on.
            let table = format!("{}", 100 + place);
            ip(&["route", "add", "10.79.0.0/24", "dev", &name, "table", &table]);
            ip(&["rule", "add", "from", &peer(place as u8).to_string(), "lookup", &table]);
        }
    });
    bed
}

fn peer(place: u8) -> IpAddr {
    Ipv4Addr::new(10, 79, place, 2).into()
}

#[test]
fn fifty_flows_through_wireguard_have_the_outer_packets_of_their_peers() {
    needs_root!("fifty_flows_through_wireguard_have_the_outer_packets_of_their_peers");
    if !can_wireguard() {
        skipped("fifty_flows_through_wireguard_have_the_outer_packets_of_their_peers", "no WireGuard here");
        return;
    }
    for outside in [Outside::V4, Outside::V6] {
        let bed = bed(outside);
        let mut flows = [1, 2].map(|place| Flows::connect(&bed, peer(place), FLOWS / 2));
        let (mut reader, watched) = (reader(), bed.watched(Some(PORT)));
        let encapsulation = all_joined(&mut reader, &watched, &mut flows);
        for (place, flows) in (1..).zip(&flows) {
            for (at, cookie) in flows.cookies().into_iter().enumerate() {
                let flow = newest(&encapsulation, cookie).expect("it was there");
                let Header { source, destination, protocol, .. } = flow.outer.expect("it was there");
                let expected = ((outside.near(), PORT), (outside.far(), PORT + place), 17);
                assert_eq!((source, destination, protocol), expected, "peer {place}, flow {at}: {flow:?}");
                assert_eq!(flow.inner.source, (inside(1), flows.port(at)));
                assert_eq!(flow.leaves_by, Some(watched[1].device));
            }
        }
        let more = wait_for("packets that are not cut to have been timed, and pieces of large ones sized", || {
            flows.iter_mut().for_each(|flows| {
                flows.send(100);
                flows.send(50_000);
            });
            let now = read(&mut reader, &watched);
            let tunnel = tunnel(&now);
            (tunnel.latency.count() > 10 && tunnel.sized > 20 && tunnel.entered.large > 0).then_some(now)
        });
        let tunnel = tunnel(&more);
        seen!("{outside:?}: {:?} {tunnel:?}", tunnel.overhead_bytes());
        let least = if outside == Outside::V4 { 60.0 } else { 80.0 };
        let adds = tunnel.overhead_bytes().expect("some were sized");
        assert!((least..=least + 15.0).contains(&adds), "{adds}");
        works(&more);
    }
}

fn tunnel(encapsulation: &Encapsulation) -> &Interface {
    encapsulation.interfaces.iter().find(|i| i.tunnel).expect("it is watched")
}

/// Both sides' packets are encrypted and decrypted on this machine.
fn works(encapsulation: &Encapsulation) {
    let crypto = encapsulation.crypto.as_ref().expect("WireGuard is loaded");
    seen!("{crypto:?}");
    for function in ["wg_packet_encrypt_worker", "wg_packet_decrypt_worker", "wg_packet_tx_worker"] {
        let all = crypto.iter().filter(|work| work.function.as_str() == function);
        let (calls, ns) = all.fold((0, 0), |(calls, ns), work| (calls + work.calls, ns + work.ns));
        assert!(calls > 0 && ns > calls, "{function}: {calls} calls, {ns} ns");
    }
    let polls = encapsulation.polls.as_ref().expect("the kernel tells");
    seen!("{polls:?}");
    assert!(polls.iter().any(|p| p.device.is_some() && p.polls > 0 && p.packets > 0));
    assert!(polls.iter().all(|p| p.full <= p.polls));
}

/// An XFRM interface between the ends; false where the kernel has none.
fn esp(bed: &Bed, outside: Outside) -> bool {
    let (near, far) = (outside.near().to_string(), outside.far().to_string());
    let key = format!("0x{}", "5a".repeat(20));
    for (netns, end) in [(&bed.near, 1), (&bed.far, 2)] {
        let made = netns.inside(|| {
            let made = Command::new("ip").args(["link", "add", TUNNEL, "type", "xfrm", "if_id", "7"]).output();
            if !made.is_ok_and(|o| o.status.success()) {
                return false;
            }
            for (from, to, spi) in [(&near, &far, "0x11"), (&far, &near, "0x12")] {
                let out = (from == &near) == (end == 1);
                let direction = if out { "out" } else { "in" };
                let state =
                    ["xfrm", "state", "add", "src", from, "dst", to, "proto", "esp", "spi", spi, "mode", "tunnel"];
                let cipher = [
                    "if_id",
                    "7",
                    "aead",
                    "rfc4106(gcm(aes))",
                    &key,
                    "128",
                    "sel",
                    "src",
                    "0.0.0.0/0",
                    "dst",
                    "0.0.0.0/0",
                ];
                let added = Command::new("ip").args([&state[..], &cipher].concat()).output().expect("ip");
                if !added.status.success() {
                    println!("ip xfrm state: {}", String::from_utf8_lossy(&added.stderr));
                    return false;
                }
                let policy = ["xfrm", "policy", "add", "src", "10.79.0.0/24", "dst", "10.79.0.0/24", "dir", direction];
                let template = ["if_id", "7", "tmpl", "src", from, "dst", to, "proto", "esp", "mode", "tunnel"];
                ip(&[&policy[..], &template].concat());
            }
            ip(&["link", "set", TUNNEL, "up"]);
            address(TUNNEL, inside(end));
            true
        });
        if !made {
            return false;
        }
    }
    true
}

#[test]
fn flows_through_esp_are_known_again_and_pay_for_it() {
    needs_root!("flows_through_esp_are_known_again_and_pay_for_it");
    for (outside, most) in [(Outside::V4, 57), (Outside::V6, 77)] {
        let bed = Bed::cabled(Kind::Xfrm);
        if !esp(&bed, outside) {
            skipped("flows_through_esp_are_known_again_and_pay_for_it", "no XFRM interfaces with AES-GCM here");
            return;
        }
        let (mut reader, watched) = (reader(), bed.watched(None));
        let mut flows = [Flows::connect(&bed, inside(2), 10)];
        let encapsulation = all_joined(&mut reader, &watched, &mut flows);
        for cookie in flows[0].cookies() {
            let outer = newest(&encapsulation, cookie).and_then(|flow| flow.outer).expect("it was there");
            assert_eq!((outer.source.0, outer.destination.0, outer.protocol), (outside.near(), outside.far(), 50));
        }
        let tunnel = tunnel(&encapsulation);
        seen!("{outside:?}: {:?} {tunnel:?}", tunnel.overhead_bytes());
        let adds = tunnel.overhead_bytes().expect("some were sized");
        assert!((f64::from(most) - 3.0..=f64::from(most)).contains(&adds), "{adds}");
    }
}
