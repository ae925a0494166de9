//! A time-out gives a connection another hash, and with it another outer port.

use std::{
    collections::HashMap,
    io::{Read, Write},
};

use observer::snapshot::tunnel::Kind;

use super::{
    Flows, all_joined,
    bed::{Bed, CABLE, Outside, PORT, inside},
    capture::Capture,
    newest, read, reader,
};
use crate::support::{line, needs_root, netns::Netns, seen, skipped, wait::wait_for, wire::tc};

#[test]
fn a_connection_is_known_again_by_its_new_outer_packets_after_a_time_out() {
    needs_root!("a_connection_is_known_again_by_its_new_outer_packets_after_a_time_out");
    let options = ["vxlan", "id", "7", "local", "LOCAL", "remote", "REMOTE", "dstport", "4789"];
    let Some(bed) = Bed::new(Kind::Vxlan, Outside::V4, &options) else {
        return skipped("a_connection_is_known_again_by_its_new_outer_packets_after_a_time_out", "no VXLAN here");
    };
    let capture = bed.near.inside(|| Capture::new(CABLE));
    let mut flows = [Flows::connect(&bed, inside(2), 1)];
    let (mut reader, watched) = (reader(), bed.watched(Some(PORT)));
    let first = all_joined(&mut reader, &watched, &mut flows);
    let cookie = flows[0].cookies()[0];
    let port = |e: &_| newest(e, cookie).and_then(|flow| flow.outer).map(|outer| outer.source.1);
    let old = port(&first);

    let (timeouts, rehashes) = (count(&bed.near, "TCPTimeouts"), count(&bed.near, "TcpTimeoutRehash"));
    bed.near.inside(|| line::drop_above(CABLE, 0));
    flows[0].0[0].0.write_all(b"?").expect("write");
    wait_for("a time-out that changes the hash", || {
        (count(&bed.near, "TcpTimeoutRehash") > rehashes && count(&bed.near, "TCPTimeouts") > timeouts).then_some(())
    });
    bed.near.inside(|| tc(&["qdisc", "del", "dev", CABLE, "clsact"]));
    flows[0].0[0].1.read_exact(&mut [0]).expect("it comes at last");

    let new = wait_for("the connection to be known again outside", || {
        flows[0].send(1000);
        port(&read(&mut reader, &watched)).filter(|port| Some(*port) != old)
    });
    let mut truth = HashMap::new();
    capture.vxlan(&mut truth);
    seen!("outer port {old:?}, after a time-out {new}");
    assert_eq!(truth[&flows[0].port(0)].outer.0.1, new);
}

/// A number of /proc/net/netstat of a namespace.
fn count(netns: &Netns, name: &str) -> u64 {
    let text = netns.file("net/netstat");
    let lines: Vec<&str> = text.lines().collect();
    let mut pairs = lines.chunks(2).flat_map(|pair| pair[0].split(' ').zip(pair[1].split(' ')));
    pairs.find(|(key, _)| *key == name).and_then(|(_, n)| n.parse().ok()).unwrap_or_else(|| panic!("no {name}: {text}"))
}
