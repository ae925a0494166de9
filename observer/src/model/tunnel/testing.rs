//! A small host with a tunnel, for tests.

use crate::snapshot::{
    Snapshot, Stamp,
    ip::Ip,
    link::{Link, Links},
    network::{Namespace, Network},
    tcp::{Socket, Sockets},
    tunnel::{Kind, Outer, Peer, Qdisc, Route, Tunnel},
};

/// Inode of the namespace that all is in.
pub(crate) const NETNS: u64 = 4_026_531_840;
/// Indexes of its interfaces.
pub(crate) const ETH0: u32 = 2;
pub(crate) const VETH: u32 = 3;
pub(crate) const BRIDGE: u32 = 4;
pub(crate) const TUNNEL: u32 = 7;
const ROOT: u32 = 0xffff_ffff;

/// What a second of traffic counts.
pub(crate) const BYTES: u64 = 10_000_000;
pub(crate) const PACKETS: u64 = 10_000;

fn link(index: u32, name: &str, kind: Option<&str>, mtu: u32, second: u64) -> Link {
    Link {
        index,
        name: name.into(),
        kind: kind.map(Into::into),
        up: true,
        mtu: Some(mtu),
        rx_bytes: second * BYTES / 10,
        tx_bytes: second * BYTES,
        rx_packets: second * PACKETS / 2,
        tx_packets: second * PACKETS,
        ..Link::default()
    }
}

/// A host whose connection goes through a VXLAN over `eth0`, with a bridge and a veth before it, that many seconds after boot.
pub(crate) fn vxlan(second: u64) -> Snapshot {
    let peer = Peer {
        address: Some([192, 0, 2, 2].into()),
        route: Some(Route { ifindex: ETH0, device: "eth0".into(), mtu: Some(1500), ..Route::default() }),
        ..Peer::default()
    };
    let qdisc = Qdisc {
        ifindex: ETH0,
        netns: NETNS,
        kind: "tbf".into(),
        handle: 0x8001_0000,
        parent: ROOT,
        bytes: second * BYTES,
        packets: second * PACKETS,
        ..Qdisc::default()
    };
    let tunnel = Tunnel {
        ifindex: Some(TUNNEL),
        name: "vxlan7".into(),
        kind: Kind::Vxlan,
        outer: Outer { id: Some(7), port: Some(4789), ..Outer::default() },
        peers: vec![peer],
        qdiscs: vec![qdisc],
        ..Tunnel::default()
    };
    let links = Links {
        list: vec![
            link(1, "lo", None, 65_536, second),
            link(ETH0, "eth0", None, 1500, second),
            link(VETH, "veth0", Some("veth"), 1450, second),
            link(BRIDGE, "br0", Some("bridge"), 1450, second),
            link(TUNNEL, "vxlan7", Some("vxlan"), 1450, second),
        ],
    };
    let namespace = Namespace {
        netns: NETNS,
        own: true,
        names: vec!["site-a".into()],
        ip: Some(Ip {
            out_requests: Some(second * PACKETS),
            frag_creates: Some(0),
            reasm_fails: Some(0),
            ..Ip::default()
        }),
        tunnels: Some(vec![tunnel]),
        ..Namespace::default()
    };
    let socket = Socket {
        rx_ifindex: Some(TUNNEL),
        ..Socket::new(77, NETNS, ([10, 0, 0, 1].into(), 40_000), ([10, 0, 0, 2].into(), 443))
    };
    let ns = second * 1_000_000_000;
    let mut snapshot = Snapshot {
        stamp: Stamp { monotonic_ns: ns, boottime_ns: ns, realtime_ns: 1_700_000_000_000_000_000 + ns },
        links: Some(links),
        network: Some(Network { namespaces: vec![namespace], ..Network::default() }),
        ..Snapshot::default()
    };
    snapshot.tcp.sockets = Some(Sockets { list: vec![socket], ..Sockets::default() });
    snapshot
}

/// The tunnel of that host.
pub(crate) fn tunnel(snapshot: &mut Snapshot) -> &mut Tunnel {
    &mut namespace(snapshot).tunnels.as_mut().unwrap()[0]
}

/// Its namespace.
pub(crate) fn namespace(snapshot: &mut Snapshot) -> &mut Namespace {
    &mut snapshot.network.as_mut().unwrap().namespaces[0]
}

/// One of its interfaces.
pub(crate) fn interface(snapshot: &mut Snapshot, index: u32) -> &mut Link {
    snapshot.links.as_mut().unwrap().list.iter_mut().find(|l| l.index == index).unwrap()
}
