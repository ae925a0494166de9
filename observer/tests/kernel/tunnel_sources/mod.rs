//! Tunnels as their sources tell them, against `ip`, `wg` and `tc` of the same moment.

mod features;
mod host;
mod ipsec;
mod kinds;
mod namespaces;
mod silent;

use std::{fs, net::IpAddr, os::unix::fs::MetadataExt, process::Command};

use observer::{
    snapshot::{
        coverage::Source,
        link::Link,
        network::{Namespace, Network},
        tunnel::Tunnel,
    },
    source::network::Reader,
};
use serde_json::Value;

use crate::support::{
    netns::Netns,
    wait::wait_for,
    wire::{ip, tc},
};

/// Two namespaces with a veth pair between them: 10.88.0.1 and fd88::1 here, .2 there.
pub(super) struct Ends {
    pub(super) near: Netns,
    pub(super) far: Netns,
}

impl Ends {
    pub(super) fn new() -> Self {
        let (near, far) = (Netns::new(), Netns::new());
        let there = far.pid().to_string();
        near.inside(|| {
            ip(&["link", "add", "under", "type", "veth", "peer", "name", "under", "netns", &there]);
        });
        for (namespace, last) in [(&near, 1), (&far, 2)] {
            namespace.inside(|| {
                ip(&["address", "add", &format!("10.88.0.{last}/24"), "dev", "under"]);
                ip(&["address", "add", &format!("fd88::{last}/64"), "dev", "under", "nodad"]);
                ip(&["link", "set", "under", "up"]);
            });
        }
        Self { near, far }
    }
}

/// Everything that observer reads now, and what it says is missing.
pub(super) fn read() -> (Network, Vec<Source>) {
    Reader::open().expect("the own namespace").read(&[]).expect("namespaces")
}

/// One namespace as observer reads it; nothing may be missing.
pub(super) fn read_of(namespace: &Netns) -> Namespace {
    let (network, missing) = read();
    assert_eq!(missing, [], "nothing is missing");
    let inode = namespace.inode();
    network.namespaces.into_iter().find(|n| n.netns == inode).expect("the namespace is found")
}

/// An interface as observer reads it.
pub(super) fn link<'a>(namespace: &'a Namespace, name: &str) -> &'a Link {
    let mut links = namespace.links.iter().flat_map(|links| &links.list);
    links.find(|link| link.name.as_str() == name).expect("the interface is listed")
}

/// A tunnel as observer reads it.
pub(super) fn tunnel<'a>(namespace: &'a Namespace, name: &str) -> &'a Tunnel {
    let mut tunnels = namespace.tunnels.iter().flatten();
    tunnels.find(|tunnel| tunnel.name.as_str() == name).unwrap_or_else(|| panic!("{name}: {:?}", namespace.tunnels))
}

/// What a program prints in the present namespace; the reason if it fails.
pub(super) fn run_text(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Makes an interface in the present namespace; the reason if it cannot be made.
pub(super) fn add(arguments: &[&str]) -> Result<(), String> {
    run_text("ip", &[&["link", "add"], arguments].concat()).map(|_| ())
}

/// What a program of iproute2 says in JSON, in the present namespace.
pub(super) fn json(program: &str, arguments: &[&str]) -> Value {
    let output = Command::new(program).arg("-j").args(arguments).output().expect("iproute2 is there");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A namespace as observer reads it, and as `ip` and `tc` show it before and after: nothing happened meanwhile.
pub(super) struct Rest {
    pub(super) found: Namespace,
    links: Value,
    queues: Value,
}

impl Rest {
    pub(super) fn of(namespace: &Netns) -> Self {
        let shown =
            || namespace.inside(|| (json("ip", &["-d", "-s", "link", "show"]), json("tc", &["-s", "qdisc", "show"])));
        wait_for("the namespace to be at rest", || {
            let before = shown();
            let found = read_of(namespace);
            let (links, queues) = shown();
            (before == (links.clone(), queues.clone())).then_some(Self { found, links, queues })
        })
    }

    /// An interface as `ip` shows it.
    pub(super) fn shown(&self, name: &str) -> &Value {
        let mut all = self.links.as_array().into_iter().flatten();
        all.find(|link| link["ifname"] == name).expect("ip shows it")
    }

    /// The interface has the numbers that `ip` shows.
    fn same_link(&self, name: &str) {
        same_link(link(&self.found, name), self.shown(name));
    }

    /// The queues of a tunnel are those that `tc` shows of one interface.
    pub(super) fn same_queues(&self, tunnel: &Tunnel, device: &str) {
        let (inode, index) = (self.found.netns, link(&self.found, device).index);
        let ours: Vec<_> = tunnel.qdiscs.iter().filter(|q| q.ifindex == index && q.netns == inode).collect();
        let shown = self.queues.as_array().into_iter().flatten();
        let theirs: Vec<_> = shown.filter(|q| q["dev"] == device && q["kind"] != "noqueue").collect();
        assert_eq!(ours.len(), theirs.len(), "{ours:?} {theirs:?}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(Some(ours.kind.as_str()), theirs["kind"].as_str());
            let numbers = [
                (ours.bytes, "bytes"),
                (ours.packets, "packets"),
                (ours.drops, "drops"),
                (ours.overlimits, "overlimits"),
                (ours.requeues, "requeues"),
                (ours.backlog_bytes, "backlog"),
                (ours.backlog_packets, "qlen"),
            ];
            numbers.iter().for_each(|(ours, name)| assert_eq!(Some(*ours), theirs[name].as_u64(), "{name}"));
        }
    }

    /// The route of the only peer of a tunnel is the one that `ip route get` shows.
    pub(super) fn same_route(&self, tunnel: &Tunnel, namespace: &Netns) {
        same_route(tunnel, namespace, &self.found.links.as_ref().expect("links").list);
    }
}

/// The interface has the numbers that `ip` shows.
fn same_link(link: &Link, shown: &Value) {
    let number = |path: &str| shown.pointer(path).and_then(Value::as_u64);
    assert_eq!(Some(u64::from(link.index)), number("/ifindex"));
    assert_eq!(link.mtu.map(u64::from), number("/mtu"));
    assert_eq!(
        link.kind.as_ref().map(|kind| kind.as_str()),
        shown.pointer("/linkinfo/info_kind").and_then(Value::as_str)
    );
    assert_eq!(link.gso_max_size.map(u64::from), number("/gso_max_size"));
    let counters = [
        (link.rx_bytes, "/stats64/rx/bytes"),
        (link.rx_packets, "/stats64/rx/packets"),
        (link.rx_errors, "/stats64/rx/errors"),
        (link.rx_dropped, "/stats64/rx/dropped"),
        (link.tx_bytes, "/stats64/tx/bytes"),
        (link.tx_packets, "/stats64/tx/packets"),
        (link.tx_errors, "/stats64/tx/errors"),
        (link.tx_dropped, "/stats64/tx/dropped"),
    ];
    for (ours, path) in counters {
        assert_eq!(Some(ours), number(path), "{} {path}", link.name);
    }
}

/// An address in what `ip` shows.
pub(super) fn address(shown: &Value, path: &str) -> Option<IpAddr> {
    shown.pointer(path)?.as_str()?.parse().ok()
}

/// The inode of the namespace that this thread is in.
pub(super) fn here() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").expect("/proc is there").ino()
}

/// The route of the only peer of a tunnel is the one that `ip route get` shows in the namespace that it leaves by.
pub(super) fn same_route(tunnel: &Tunnel, namespace: &Netns, links: &[Link]) {
    let [peer] = tunnel.peers.as_slice() else { panic!("{:?}", tunnel.peers) };
    let to = peer.address.expect("its address is known").to_string();
    let shown = namespace.inside(|| json("ip", &["route", "get", &to]))[0].clone();
    let route = peer.route.as_ref().unwrap_or_else(|| panic!("{peer:?}"));
    assert_eq!(Some(route.device.as_str()), shown["dev"].as_str());
    assert_eq!(route.source, address(&shown, "/prefsrc"));
    assert_eq!(route.gateway, address(&shown, "/gateway"));
    let device = links.iter().find(|link| link.index == route.ifindex).expect("its interface is there");
    let mtu = shown.pointer("/metrics/0/mtu").and_then(Value::as_u64).or(device.mtu.map(u64::from));
    assert_eq!((route.mtu.map(u64::from), route.device_mtu), (mtu, device.mtu));
}

/// Sends datagrams of some bytes to an address, from the present namespace.
pub(super) fn send(to: &str, bytes: usize, datagrams: usize) {
    let socket = std::net::UdpSocket::bind(if to.contains('[') { "[::]:0" } else { "0.0.0.0:0" }).expect("a socket");
    for _ in 0..datagrams {
        // A queue that is full refuses it, which is part of the test.
        let _ = socket.send_to(&vec![7; bytes], to);
    }
}

/// Limits the underlay of the present namespace.
pub(super) fn narrow() {
    tc(&["qdisc", "add", "dev", "under", "root", "tbf", "rate", "1mbit", "burst", "10kb", "limit", "20kb"]);
}
