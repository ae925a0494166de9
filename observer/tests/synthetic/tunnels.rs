//! Network namespaces and tunnels.

use observer::snapshot::{
    Log2Histogram, Name,
    encapsulation::{CryptoWork, Encapsulation, Flow, Header, Interface, Packets, Polls},
    ip::Ip,
    link::{Feature, Link, Links},
    network::{Namespace, Network},
    tcp::Owner,
    tunnel::{Kind, Outer, Peer, Prefix, Qdisc, Route, Tunnel},
};

use super::{MIB, Names, SECOND, stamp};

/// Observer's own namespace, as in the other parts.
const OWN: u64 = 4_026_531_840;
/// A namespace that a WireGuard tunnel was moved to; its outer packets leave by the own one.
const SITE: u64 = 4_026_532_501;
const VXLAN: u32 = 3;
const WIREGUARD: u32 = 5;

/// The second tunnel takes packets that are too large for what is below it, and its queue drops.
pub(super) fn network(n: u64, names: &Names) -> Network {
    let [java, ..] = names.processes.clone();
    let own = Namespace {
        netns: OWN,
        own: true,
        process: Some(Owner { pid: 1, comm: "systemd".into(), cgroup: None }),
        ip: Some(Ip { frag_creates: Some(n * 900), reasm_fails: Some(0), ..Ip::default() }),
        tunnels: Some(vec![vxlan(n, names)]),
        ..Namespace::default()
    };
    let wg = Link {
        index: WIREGUARD,
        name: names.link.clone(),
        kind: Some("wireguard".into()),
        up: true,
        mtu: Some(1480),
        rx_bytes: n * MIB,
        tx_bytes: n * 8 * MIB,
        rx_packets: n * 3000,
        tx_packets: n * 6000,
        tx_dropped: n * 2,
        features: Some(vec![
            Feature { name: "tx-generic-segmentation".into(), on: true, fixed: false },
            Feature { name: "rx-gro".into(), on: true, fixed: false },
        ]),
        ..Link::default()
    };
    let site = Namespace {
        netns: SITE,
        names: vec![names.pods[0].clone()],
        process: Some(Owner { pid: 4711, comm: java, cgroup: None }),
        links: Some(Links { list: vec![Link { index: 1, name: "lo".into(), up: true, ..Link::default() }, wg] }),
        tunnels: Some(vec![wireguard(n, names)]),
        ..Namespace::default()
    };
    Network { namespaces: vec![own, site], not_read: 1, ..Network::default() }
}

fn route(names: &Names) -> Route {
    Route { ifindex: 2, device: names.link.clone(), mtu: Some(1500), ..Route::default() }
}

fn queue(n: u64) -> Qdisc {
    Qdisc {
        ifindex: 2,
        netns: OWN,
        kind: "tbf".into(),
        handle: 0x8001_0000,
        parent: u32::MAX,
        bytes: n * 9 * MIB,
        packets: n * 7000,
        drops: n * 120,
        backlog_bytes: MIB / 4,
        backlog_packets: 190,
        ..Qdisc::default()
    }
}

fn vxlan(n: u64, names: &Names) -> Tunnel {
    let peer = |last| Peer {
        address: Some([192, 0, 2, last].into()),
        port: Some(4789),
        route: Some(route(names)),
        ..Peer::default()
    };
    Tunnel {
        ifindex: Some(VXLAN),
        name: "vxlan42".into(),
        kind: Kind::Vxlan,
        outer: Outer { local: Some([192, 0, 2, 1].into()), port: Some(4789), id: Some(42), ..Outer::default() },
        peers: vec![peer(7), peer(8)],
        qdiscs: vec![queue(n)],
        ..Tunnel::default()
    }
}

fn wireguard(n: u64, names: &Names) -> Tunnel {
    let peer = |key: &Name, last: u8, rate: u64, shaken_seconds_ago: Option<u64>| Peer {
        id: key.clone(),
        address: Some([203, 0, 113, last].into()),
        port: Some(51_820),
        rx_bytes: Some(n * rate),
        tx_bytes: Some(n * rate * 8),
        last_handshake_ns: shaken_seconds_ago.map(|ago| stamp(n).realtime_ns - ago * SECOND),
        networks: vec![Prefix { address: [10, 8, last, 0].into(), length: 24 }],
        route: Some(route(names)),
        ..Peer::default()
    };
    let [first, second] = &names.pods;
    Tunnel {
        ifindex: Some(WIREGUARD),
        name: names.link.clone(),
        kind: Kind::Wireguard,
        outer: Outer { port: Some(51_820), dont_fragment: Some(false), ..Outer::default() },
        underlay_netns: Some(OWN),
        peers: vec![peer(first, 9, MIB, Some(40)), peer(second, 10, 0, None)],
        peers_not_listed: 2,
        qdiscs: vec![queue(n)],
        ..Tunnel::default()
    }
}

pub(super) fn encapsulation(n: u64) -> Encapsulation {
    let packets =
        |large, segments| Packets { packets: n * 90, large: n * large, segments: n * segments, bytes: n * 90 * 1400 };
    let mut buckets = vec![0; 14];
    buckets.extend([n * 60, n * 30]);
    let interface = Interface {
        device: (SITE, WIREGUARD),
        tunnel: true,
        entered: packets(40, 900),
        left: packets(0, 90),
        arrived: packets(0, 90),
        received: packets(20, 400),
        unmatched: n,
        sized: n * 90,
        inner_bytes: n * 90 * 1400,
        outer_bytes: n * 90 * 1468,
        latency_ns_sum: n * 90 * 14_000,
        latency: Log2Histogram { buckets },
        ..Interface::default()
    };
    let inner = Header {
        protocol: 6,
        source: ([10, 0, 0, 17].into(), 443),
        destination: ([203, 0, 113, 200].into(), 40_001),
        tos: 0,
        ttl: 64,
        dont_fragment: true,
    };
    let outer = Header {
        protocol: 17,
        source: ([192, 0, 2, 1].into(), 51_820),
        destination: ([203, 0, 113, 9].into(), 51_820),
        dont_fragment: false,
        ..inner
    };
    let flow = Flow {
        tunnel: (SITE, WIREGUARD),
        cookie: Some(1),
        hash: Some(77),
        inner,
        outer: Some(outer),
        leaves_by: Some((OWN, 2)),
        seen_ns: stamp(n).monotonic_ns,
        joined_ns: Some(stamp(n).monotonic_ns),
        sampled: n,
        joined: n,
    };
    let poll = Polls { device: Some((OWN, 2)), cpu: 2, polls: n * 900, full: n * 600, packets: n * 50_000 };
    let work = CryptoWork { function: "wg_packet_encrypt_worker".into(), cpu: 2, calls: n * 900, ns: n * 420_000_000 };
    Encapsulation {
        every: 64,
        interfaces: vec![interface],
        flows: vec![flow],
        polls: Some(vec![poll]),
        crypto: Some(vec![work]),
        ..Encapsulation::default()
    }
}
