use super::{
    Stage, Tunnel, Tunnels,
    testing::{BYTES, ETH0, NETNS, PACKETS, TUNNEL, interface, namespace, tunnel, vxlan},
};
use crate::{
    model::Model,
    snapshot::{
        Name, Snapshot,
        cpu::{Cpu, Cpus, Softnet},
        encapsulation::{CryptoWork, Encapsulation, Flow, Header, Interface, Polls},
        ip::Udp,
        tunnel::{Kind, Peer, Route, State, Tunnel as Read, Xfrm},
    },
};

/// The tunnels after one second.
fn after(before: &Snapshot, now: &Snapshot) -> Tunnels {
    Model::new(now, Some(before)).tunnels.unwrap()
}

fn only(tunnels: Tunnels) -> Tunnel {
    let [tunnel] = <[_; 1]>::try_from(tunnels.list).unwrap();
    tunnel
}

#[test]
fn a_packet_is_counted_once() {
    let tunnels = after(&vxlan(1), &vxlan(2));
    // The connection's packets pass veth0, br0, vxlan7 and eth0: the total is that of eth0.
    let outside = tunnels.outside.unwrap();
    assert_eq!((outside.tx, outside.tx_packets), (Some(BYTES as f64), Some(PACKETS as f64)));
    assert_eq!(tunnels.carried.unwrap().tx, Some(BYTES as f64));
}

#[test]
fn a_tunnel_in_a_tunnel_is_counted_once() {
    let with_second = |second| {
        let mut s = vxlan(second);
        let mut inner = tunnel(&mut s).clone();
        let mut link = interface(&mut s, TUNNEL).clone();
        (inner.ifindex, inner.name) = (Some(8), "vxlan8".into());
        inner.peers[0].route.as_mut().unwrap().ifindex = TUNNEL;
        (link.index, link.name) = (8, "vxlan8".into());
        namespace(&mut s).tunnels.as_mut().unwrap().push(inner);
        s.links.as_mut().unwrap().list.push(link);
        s
    };
    let tunnels = after(&with_second(1), &with_second(2));
    assert_eq!(tunnels.list.len(), 2);
    assert_eq!(tunnels.carried.unwrap().tx, Some(BYTES as f64));
}

#[test]
fn rates_budget_and_connections_of_a_tunnel() {
    let mut now = vxlan(2);
    interface(&mut now, TUNNEL).mtu = Some(1500);
    let t = only(after(&vxlan(1), &now));
    assert_eq!((t.inner.rx, t.inner.tx), (Some(BYTES as f64 / 10.0), Some(BYTES as f64)));
    let (peer, budget) = t.budget().unwrap();
    assert_eq!(peer.now.address, Some([192, 0, 2, 2].into()));
    assert_eq!((budget.route_mtu, budget.most, budget.headroom), (1500, 1450, Some(-50)));
    assert_eq!(t.flows.iter().map(|f| (f.netns, f.cookie, f.place)).collect::<Vec<_>>(), [(NETNS, 77, 0)]);
    assert_eq!(t.namespace, Some(Name::from("site-a")));
    assert_eq!(t.underlays[0].now.name, Name::from("eth0"));
}

#[test]
fn a_connection_elsewhere_is_not_of_the_tunnel() {
    let mut now = vxlan(2);
    now.tcp.sockets.as_mut().unwrap().list[0].netns += 1;
    assert_eq!(only(after(&vxlan(1), &now)).flows, []);
}

#[test]
fn drops_are_told_by_place() {
    let mut now = vxlan(2);
    tunnel(&mut now).qdiscs[0].drops = 30;
    tunnel(&mut now).qdiscs[0].backlog_bytes = BYTES / 10;
    interface(&mut now, TUNNEL).tx_dropped = 4;
    namespace(&mut now).ip.as_mut().unwrap().reasm_fails = Some(5);
    let cpus = |dropped| {
        let softnet = Some(Softnet { dropped, ..Softnet::default() });
        Some(Cpus { list: vec![Cpu { softnet, ..Cpu::default() }] })
    };
    now.cpus = cpus(6);
    let before = Snapshot { cpus: cpus(1), ..vxlan(1) };
    let t = only(after(&before, &now));
    let found = |stage| t.dropped(stage).and_then(|d| d.in_interval);
    assert_eq!(found(Stage::UnderlayQueue), Some(30));
    assert_eq!(t.dropped(Stage::UnderlayQueue).unwrap().place, Some(Name::from("tbf of eth0")));
    assert_eq!((found(Stage::Device), found(Stage::Underlay)), (Some(4), Some(0)));
    assert_eq!((found(Stage::Reassembly), found(Stage::Backlog)), (Some(5), Some(5)));
    assert!(t.dropped(Stage::Silent).is_none() && t.dropped(Stage::TunnelQueue).is_none());
    assert_eq!(t.qdiscs[0].standing_seconds, Some(0.1));
}

#[test]
fn what_wireguard_drops_in_silence_is_unknown_and_not_zero() {
    let wireguard = |second| {
        let mut s = vxlan(second);
        let t = tunnel(&mut s);
        t.kind = Kind::Wireguard;
        t.peers[0].id = "key".into();
        t.peers[0].rx_bytes = Some(second * 500);
        t.peers[0].last_handshake_ns = Some(1_700_000_000_000_000_000);
        s
    };
    let mut before = wireguard(1);
    // The endpoint moves, the peer stays.
    tunnel(&mut before).peers[0].address = Some([192, 0, 2, 99].into());
    let t = only(after(&before, &wireguard(2)));
    let silent = t.dropped(Stage::Silent).unwrap();
    assert!(silent.in_interval.is_none() && silent.unknown.is_some() && silent.at_most.is_none());
    assert_eq!((t.peers[0].rx, t.handshake_age()), (Some(500.0), Some(2.0)));
    assert_eq!(t.budget().unwrap().1.most, 1440);
}

#[test]
fn what_wireguard_drops_in_silence_is_what_came_and_was_not_taken() {
    let lost = |datagrams: u64, sockets: u64| {
        let wireguard = |second| {
            let mut s = vxlan(second);
            let t = tunnel(&mut s);
            (t.kind, t.underlay_netns) = (Kind::Wireguard, Some(NETNS));
            namespace(&mut s).udp = Some(Udp { in_datagrams: second * datagrams, sockets: Some(sockets) });
            s
        };
        only(after(&wireguard(1), &wireguard(2))).dropped(Stage::Silent).unwrap().clone()
    };
    let taken = PACKETS / 2;
    assert_eq!(lost(taken + 1000, 2).in_interval, Some(1000));
    assert_eq!(lost(taken + 30, 1).in_interval, Some(0), "they may have been under way");
    assert_eq!(lost(taken - 10, 2).in_interval, Some(0));
    let shared = lost(taken + 1000, 3);
    assert_eq!((shared.in_interval, shared.at_most, shared.unknown.is_some()), (None, Some(1000), true));
}

#[test]
fn ipsec_without_an_interface_counts_by_its_associations() {
    let ipsec = |second: u64| {
        let mut s = vxlan(second);
        let route = Route { ifindex: ETH0, device: "eth0".into(), mtu: Some(1500), ..Route::default() };
        let peer = |id: &str| Peer {
            id: id.into(),
            address: Some([192, 0, 2, 2].into()),
            tx_bytes: Some(second * 1000),
            route: Some(route.clone()),
            ..Peer::default()
        };
        let state = |cipher: &str, added_seconds| State {
            destination: Some([192, 0, 2, 2].into()),
            protocol: 50,
            tunnel_mode: true,
            cipher: Some(cipher.into()),
            icv_bits: Some(128),
            added_seconds,
            ..State::default()
        };
        let n = namespace(&mut s);
        n.tunnels = Some(vec![Read {
            kind: Kind::Ipsec,
            name: "a to b".into(),
            peers: vec![peer("1"), peer("2")],
            ..Read::default()
        }]);
        n.xfrm = Some(Xfrm {
            states: vec![state("cbc(aes)", 10), state("rfc4106(gcm(aes))", 20)],
            counters: vec![("XfrmInStateSeqError".into(), second * 3), ("XfrmAcquireError".into(), 0)],
            ..Xfrm::default()
        });
        s
    };
    let t = only(after(&ipsec(1), &ipsec(2)));
    assert_eq!(t.inner.tx, Some(2000.0));
    assert_eq!(t.overhead().map(|o| (o.least, o.most)), Some((54, 57)), "the newest association");
    let (_, budget) = t.budget().unwrap();
    assert_eq!((budget.most, budget.headroom), (1446, None));
    let refused = t.dropped(Stage::Xfrm).unwrap();
    assert_eq!((refused.in_interval, refused.place.clone()), (Some(3), Some(Name::from("XfrmInStateSeqError"))));
}

#[test]
fn namespaces_that_were_not_read_are_told() {
    let mut now = vxlan(2);
    now.network.as_mut().unwrap().not_read = 2;
    namespace(&mut now).tunnels = None;
    let tunnels = after(&vxlan(1), &now);
    assert_eq!((tunnels.namespaces, tunnels.namespaces_not_read, tunnels.carried), (0, 3, None));
    now.network = None;
    assert!(Model::new(&now, None).tunnels.is_none());
}

#[test]
fn samples_are_those_of_the_interval_and_tell_of_connections_behind_a_bridge() {
    let sampled = |second: u64| {
        let mut s = vxlan(second);
        let inner = Header {
            protocol: 6,
            source: ([10, 0, 0, 1].into(), 40_000),
            destination: ([10, 0, 0, 2].into(), 443),
            tos: 0,
            ttl: 64,
            dont_fragment: true,
        };
        let flow = Flow {
            tunnel: (NETNS, TUNNEL),
            cookie: Some(77),
            hash: None,
            inner,
            outer: Some(Header { protocol: 17, ..inner }),
            leaves_by: Some((NETNS, ETH0)),
            seen_ns: 0,
            joined_ns: None,
            sampled: 1,
            joined: 1,
        };
        let interface = Interface {
            device: (NETNS, TUNNEL),
            tunnel: true,
            sized: second * 10,
            inner_bytes: second * 10_000,
            outer_bytes: second * 10_500,
            ..Interface::default()
        };
        let polls = Polls { cpu: 1, polls: second * 100, full: second * 75, packets: second * 6400, device: None };
        let work = CryptoWork {
            function: "wg_packet_encrypt_worker".into(),
            cpu: 1,
            ns: second * 250_000_000,
            ..CryptoWork::default()
        };
        s.encapsulation = Some(Encapsulation {
            every: 64,
            interfaces: vec![interface],
            flows: vec![flow],
            polls: Some(vec![polls]),
            crypto: Some(vec![work]),
            ..Encapsulation::default()
        });
        // The connection is of a container: its own interface is a veth.
        let socket = &mut s.tcp.sockets.as_mut().unwrap().list[0];
        (socket.netns, socket.rx_ifindex) = (NETNS + 1, Some(2));
        s
    };
    let tunnels = after(&sampled(1), &sampled(2));
    assert_eq!(tunnels.polls.as_ref().map(|p| p[0].full_ratio), Some(Some(0.75)));
    assert_eq!(tunnels.crypto.as_ref().map(|c| c[0].busy_ratio), Some(Some(0.25)));
    let t = only(tunnels);
    let samples = t.samples.as_ref().unwrap();
    assert_eq!((samples.overhead_bytes, samples.outer_flows), (Some(50.0), 1));
    assert_eq!(t.flows.iter().map(|f| (f.netns, f.cookie)).collect::<Vec<_>>(), [(NETNS + 1, 77)]);
}
