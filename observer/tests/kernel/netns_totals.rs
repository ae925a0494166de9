//! The totals of a network namespace, against its own files under /proc.

use std::{collections::HashMap, net::UdpSocket, process::Command, time::Duration};

use observer::{snapshot::network::Namespace, source::network::Reader};

use crate::support::{
    needs_root,
    netns::Netns,
    seen,
    socket::{LOOPBACKS, begin_connect, closed_port, full, listen, pair},
    wait::wait_for,
};

/// Every counter of a namespace, by its kernel name, as a process that is in it reads them.
fn files(pid: u32) -> HashMap<String, u64> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
    let mut counters = HashMap::new();
    for text in [read("snmp"), read("netstat")] {
        let lines: Vec<_> = text.lines().collect();
        for two in lines.chunks_exact(2) {
            let (table, names) = two[0].split_once(": ").expect("a table");
            let (again, values) = two[1].split_once(": ").expect("its values");
            assert_eq!(table, again);
            for (name, value) in names.split(' ').zip(values.split(' ')) {
                // MaxConn is -1.
                let Ok(value) = value.parse() else { continue };
                counters.insert(format!("{table} {name}"), value);
            }
        }
    }
    for line in read("snmp6").lines() {
        let (name, value) = line.split_once(char::is_whitespace).expect("a name and a value");
        counters.insert(name.to_owned(), value.trim().parse().expect("a number"));
    }
    counters
}

/// The same of observer's reading.
fn counters(namespace: &Namespace) -> HashMap<String, u64> {
    let mut counters = HashMap::new();
    let mut add = |table: &str, name: &str, value: Option<u64>| {
        counters.extend(value.map(|value| (format!("{table}{name}"), value)));
    };
    namespace.snmp.iter().flat_map(|s| s.iter()).for_each(|(name, value)| add("Tcp ", name, value));
    namespace.netstat.iter().flat_map(|s| s.iter()).for_each(|(name, value)| add("TcpExt ", name, value));
    namespace.ip.iter().flat_map(|s| s.iter()).for_each(|(name, value)| add("Ip ", name, value));
    namespace.ip6.iter().flat_map(|s| s.iter()).for_each(|(name, value)| add("", name, value));
    counters
}

#[test]
fn every_counter_of_a_namespace_is_that_of_its_files() {
    needs_root!("every_counter_of_a_namespace_is_that_of_its_files");
    let mut reader = Reader::open().expect("the own namespace");
    let netns = Netns::new();
    // Segments, refused connections, a full accept queue, and packets in fragments, of both versions.
    let held: Vec<_> = LOOPBACKS
        .into_iter()
        .map(|ip| {
            netns.inside(|| {
                let mut ends = pair(&listen(ip));
                ends.send(300_000);
                let _ = std::net::TcpStream::connect(closed_port(ip)).expect_err("nobody listens");
                let (listener, filler) = full(ip);
                let attempt = begin_connect(listener.local_addr().expect("an address"));
                let receiver = UdpSocket::bind((ip, 0)).expect("a socket");
                receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
                let done = Command::new("ip").args(["link", "set", "lo", "mtu", "1500"]).status();
                assert!(done.expect("ip is installed").success());
                let to = receiver.local_addr().expect("an address");
                UdpSocket::bind((ip, 0)).expect("a socket").send_to(&[7; 5000], to).expect("a packet");
                assert_eq!(receiver.recv(&mut [0; 6000]).expect("the packet comes"), 5000);
                let _ = Command::new("ip").args(["link", "set", "lo", "mtu", "65536"]).status();
                (ends, listener, filler, attempt)
            })
        })
        .collect();
    let ours = wait_for("counters that stand still", || {
        let before = files(netns.holder());
        let (network, _) = reader.read(&[]).expect("the namespaces");
        let found = network.namespaces.iter().find(|n| n.netns == netns.inode())?.clone();
        if before != files(netns.holder()) {
            return None;
        }
        assert_eq!(found.process.as_ref().map(|p| p.pid), Some(netns.holder()));
        assert!(found.names.is_empty() && !found.own, "{found:?}");
        let ours = counters(&found);
        for (name, value) in &ours {
            assert_eq!(before.get(name), Some(value), "{name}");
        }
        // It takes a retransmission time-out until the kernel tells of the queue that was full.
        let grown = |name: &str| ours.get(name).is_some_and(|n| *n > 0);
        (grown("TcpExt ListenOverflows") && grown("TcpExt TCPSynRetrans")).then_some(ours)
    });
    for name in ["Tcp ActiveOpens", "Tcp AttemptFails", "Tcp OutSegs", "Tcp OutRsts", "Ip FragCreates", "Ip ReasmOKs"] {
        assert!(ours.get(name).is_some_and(|n| *n > 0), "{name}: {ours:?}");
    }
    assert!(ours.get("Ip6FragCreates").is_none_or(|n| *n > 0), "{ours:?}");
    seen!("{} counters alike, fragments made: {:?}", ours.len(), ours.get("Ip FragCreates"));
    drop(held);
}
