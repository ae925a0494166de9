//! Tunnels that encrypt: WireGuard, on other CPUs and in pieces, and ESP behind an XFRM or VTI interface, also in UDP.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
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
use crate::support::{
    needs_root,
    netns::Netns,
    seen, skipped,
    socket::set,
    wait::wait_for,
    wire::{ip, ip_lines},
};

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

/// What leads packets to their security associations, and how these wrap them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// An XFRM interface.
    Xfrm,
    /// The same, in UDP: for ways through routers that translate addresses.
    XfrmNatT,
    /// A VTI interface.
    Vti,
}

/// Sockets that take ESP out of UDP, while they are open.
type Decapsulators = Vec<UdpSocket>;

/// An interface over ESP between the ends; the error says what the kernel lacks.
fn esp(bed: &Bed, outside: Outside, way: Way) -> Result<Decapsulators, String> {
    let (near, far) = (outside.near(), outside.far());
    let key = format!("0x{}", "5a".repeat(20));
    let mut sockets = Vec::new();
    for (netns, end, local, remote) in [(&bed.near, 1, near, far), (&bed.far, 2, far, near)] {
        let (link, state, policy) = match way {
            Way::Xfrm => ("xfrm if_id 7".to_owned(), "if_id 7", "if_id 7"),
            Way::XfrmNatT => ("xfrm if_id 7".to_owned(), "if_id 7 encap espinudp 4500 4500 0.0.0.0", "if_id 7"),
            Way::Vti => (format!("vti local {local} remote {remote} key 7"), "", "mark 7"),
        };
        let made: Result<(), String> = netns.inside(|| {
            ip_lines(&[format!("link add {TUNNEL} type {link}")])?;
            for (from, to, spi, direction) in [(local, remote, end, "out"), (remote, local, 3 - end, "in")] {
                ip_lines(&[format!(
                    "xfrm state add src {from} dst {to} proto esp spi {spi} mode tunnel {state} \
                     aead rfc4106(gcm(aes)) {key} 128 sel src 0.0.0.0/0 dst 0.0.0.0/0"
                )])?;
                ip_lines(&[format!(
                    "xfrm policy add src 10.79.0.0/24 dst 10.79.0.0/24 dir {direction} {policy} \
                     tmpl src {from} dst {to} proto esp mode tunnel"
                )])?;
            }
            ip(&["link", "set", TUNNEL, "up"]);
            address(TUNNEL, inside(end));
            sockets.extend((way == Way::XfrmNatT).then(decapsulator));
            Ok(())
        });
        made?;
    }
    Ok(sockets)
}

/// What `charon` and others have: without it the kernel gives what comes in to nobody.
fn decapsulator() -> UdpSocket {
    const UDP_ENCAP: libc::c_int = 100;
    const UDP_ENCAP_ESPINUDP: libc::c_int = 2;
    let socket = UdpSocket::bind(("0.0.0.0", 4500)).expect("a socket");
    set(&socket, libc::IPPROTO_UDP, UDP_ENCAP, &UDP_ENCAP_ESPINUDP);
    socket
}

#[test]
fn flows_through_esp_are_known_again_and_pay_for_it() {
    needs_root!("flows_through_esp_are_known_again_and_pay_for_it");
    for (way, outside, most, protocol) in [
        (Way::Xfrm, Outside::V4, 57.0, 50),
        (Way::Xfrm, Outside::V6, 77.0, 50),
        (Way::XfrmNatT, Outside::V4, 65.0, 17),
        (Way::Vti, Outside::V4, 57.0, 50),
    ] {
        let bed = Bed::cabled(if way == Way::Vti { Kind::Vti } else { Kind::Xfrm });
        let decapsulators = match esp(&bed, outside, way) {
            Ok(sockets) => sockets,
            Err(reason) => {
                skipped("flows_through_esp_are_known_again_and_pay_for_it", &format!("{way:?}: {reason}"));
                continue;
            }
        };
        let (mut reader, watched) = (reader(), bed.watched(None));
        let mut flows = [Flows::connect(&bed, inside(2), 10)];
        let encapsulation = all_joined(&mut reader, &watched, &mut flows);
        for cookie in flows[0].cookies() {
            let outer = newest(&encapsulation, cookie).and_then(|flow| flow.outer).expect("it was there");
            let ends = (outer.source.0, outer.destination.0, outer.protocol);
            assert_eq!(ends, (outside.near(), outside.far(), protocol), "{way:?}");
        }
        let tunnel = tunnel(&encapsulation);
        seen!("{way:?} {outside:?}: {:?} {tunnel:?}", tunnel.overhead_bytes());
        let adds = tunnel.overhead_bytes().expect("some were sized");
        assert!((most - 3.0..=most).contains(&adds), "{way:?} {outside:?}: {adds}");
        drop(decapsulators);
    }
}
