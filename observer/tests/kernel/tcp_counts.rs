//! Connections and retransmits of a private network namespace, against its own /proc/net/snmp.

use std::{
    collections::HashSet,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, TcpStream},
    time::Instant,
};

use observer::{
    snapshot::{
        Snapshot,
        tcp::{ClosedTotals, NamespaceCounts},
    },
    source::kernel::Kernel,
};

use crate::support::{
    cpu::only_on,
    needs_root,
    netns::Netns,
    observer::{load, missed, read},
    perf::Counter,
    seen,
    socket::{
        Info, LOOPBACKS, begin_connect, closed_port, defer_accept, end_by_reset, full, listen, lose, lose_nothing,
        max_segment, pair,
    },
    wait::wait_for,
};

/// What was counted in one namespace; zeros if nothing was.
fn counts(snapshot: &Snapshot, netns: u64) -> NamespaceCounts {
    let all = snapshot.tcp.namespaces.as_ref().expect("namespaces are counted");
    all.iter().find(|n| n.netns == netns).cloned().unwrap_or_default()
}

/// Asserts that observer and snmp agree on a namespace in which all is quiet, and gives what observer counted.
fn assert_equals_snmp(kernel: &mut Kernel, netns: &Netns) -> NamespaceCounts {
    let snapshot = read(kernel);
    for probe in ["tcp_states", "tcp_retransmits", "tcp_synack_retransmits"] {
        assert_eq!(missed(&snapshot, probe), 0, "{probe}");
    }
    let (counted, snmp) = (counts(&snapshot, netns.inode()), netns.snmp());
    seen!("{counted:?}");
    seen!("{snmp:?}");
    let of = |name: &str| snmp.get(name).copied().expect("the kernel counts it");
    assert_eq!(counted.active_opens, of("ActiveOpens"), "ActiveOpens");
    assert_eq!(counted.passive_opens, of("PassiveOpens"), "PassiveOpens");
    assert_eq!(counted.estab_resets, Some(of("EstabResets")), "EstabResets");
    assert_eq!(counted.retrans_segs, Some(of("RetransSegs")), "RetransSegs");
    // Half-open requests that fail are seen by no tracepoint, so observer may leave this one out; it must not be wrong.
    assert!(counted.attempt_fails.is_none_or(|n| n == of("AttemptFails")), "AttemptFails {:?}", counted.attempt_fails);
    // Kernels before 6.10 do not tell of a reset that answers a segment of no connection.
    assert!(counted.resets_sent.is_some_and(|n| n <= of("OutRsts")), "OutRsts {:?}", counted.resets_sent);
    counted
}

/// Waits until no connection is established, and no byte of one under way.
fn quiet(netns: &Netns) {
    wait_for("the connections to end", || (netns.snmp().get("CurrEstab") == Some(&0)).then_some(()));
}

/// Sums of closed connections to one port.
fn closed(snapshot: &Snapshot, netns: u64, port: u16, outgoing: bool) -> ClosedTotals {
    let groups = &snapshot.tcp.closed.as_ref().expect("closed connections are counted").list;
    let mut sum = ClosedTotals::default();
    for group in groups.iter().filter(|g| (g.netns, g.port, g.outgoing) == (netns, port, outgoing)) {
        sum.connections += group.totals.connections;
        sum.bytes_acked += group.totals.bytes_acked;
        sum.bytes_received += group.totals.bytes_received;
        sum.segs_out += group.totals.segs_out;
        sum.retrans_segs += group.totals.retrans_segs;
        sum.srtt_ns_sum += group.totals.srtt_ns_sum;
        sum.timed += group.totals.timed;
        sum.duration_ns_sum += group.totals.duration_ns_sum;
    }
    sum
}

#[test]
fn connections_are_what_snmp_counts() {
    needs_root!("connections_are_what_snmp_counts");
    const EACH: u64 = 300;
    const REFUSED: u64 = 40;
    let mut kernel = load();
    let netns = Netns::new();
    assert_eq!(counts(&read(&mut kernel), netns.inode()), NamespaceCounts::default());
    netns.inside(|| {
        for ip in LOOPBACKS {
            let listener = listen(ip);
            for n in 0..EACH {
                let mut ends = pair(&listener);
                ends.send(100);
                match n % 4 {
                    // Closed by the client, closed by the server, reset by the client, reset by the server.
                    0 => drop(ends.client),
                    1 => drop(ends.server),
                    2 => {
                        end_by_reset(&ends.client);
                        drop(ends.client);
                    }
                    _ => {
                        end_by_reset(&ends.server);
                        drop(ends.server);
                    }
                }
            }
            let nobody = closed_port(ip);
            for _ in 0..REFUSED {
                assert_eq!(TcpStream::connect(nobody).unwrap_err().kind(), ErrorKind::ConnectionRefused);
            }
            // Given up by the one who connects, before there is an answer: begun, but not failed.
            let (full, filler) = full(ip);
            drop(begin_connect(full.local_addr().unwrap()));
            drop((full, filler));
        }
        // Not even begun: there is no route.
        assert!(TcpStream::connect((IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9)).is_err());
    });
    quiet(&netns);
    wait_for("the last acknowledgements", || {
        let now = counts(&read(&mut kernel), netns.inode());
        (now.closed == now.established).then_some(())
    });
    let counted = assert_equals_snmp(&mut kernel, &netns);
    assert_eq!(counted.active_opens, 2 * (EACH + REFUSED + 2));
    assert_eq!(counted.passive_opens, 2 * (EACH + 1));
    assert_eq!(counted.established, 4 * (EACH + 1), "both ends of each connection");
    assert_eq!(counted.closed, counted.established);
    assert!(counted.estab_resets.is_some_and(|n| n >= EACH), "the end that resets, of every second connection");
    assert!(counted.resets_received.is_some_and(|n| n >= EACH), "{:?}", counted.resets_received);
}

#[test]
fn retransmits_under_loss_are_what_snmp_counts() {
    needs_root!("retransmits_under_loss_are_what_snmp_counts");
    const BYTES: usize = 3 << 20;
    let mut kernel = load();
    let netns = Netns::new();
    let mut by_port = Vec::new();
    for ip in LOOPBACKS {
        by_port.push(netns.inside(|| {
            let listener = listen(ip);
            // Many segments in one packet, so that the two are told apart.
            max_segment(&listener, 1000);
            let mut ends = pair(&listener);
            lose(&ends.server, 0.05);
            // Chance may spare all packets of one round: they are few, and large.
            for _ in 0..20 {
                ends.send(BYTES);
                if Info::of(&ends.client).u32(100).unwrap() > 20 {
                    break;
                }
            }
            lose_nothing(&ends.server);
            ends.answer(1);
            let retrans = Info::of(&ends.client).u32(100).unwrap();
            (listener.local_addr().unwrap().port(), u64::from(retrans))
        }));
    }
    quiet(&netns);
    let counted = assert_equals_snmp(&mut kernel, &netns);
    assert!(counted.retrans_segs.is_some_and(|n| n > 20), "one packet in twenty was lost: {:?}", counted.retrans_segs);
    let snapshot = read(&mut kernel);
    for (port, retrans) in by_port {
        let sent = closed(&snapshot, netns.inode(), port, true);
        seen!("port {port}: TCP_INFO {retrans} retransmits, at the end {sent:?}");
        assert!(retrans > 0 && sent.retrans_segs >= retrans, "retransmits of the connection itself");
        assert_eq!(sent.connections, 1);
    }
}

#[test]
fn an_inode_that_is_used_again_has_the_counts_of_the_namespace_that_lives() {
    needs_root!("an_inode_that_is_used_again_has_the_counts_of_the_namespace_that_lives");
    let mut kernel = load();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut round, mut used, mut again) = (0, HashSet::new(), 0);
    // A thread of its own: where it runs is of no matter afterwards.
    let counted = std::thread::spawn(move || {
        wait_for("inodes to be used again", || {
            // Each CPU has cookies of its own: the later namespace has the smaller one half of the time.
            only_on(round % cpus);
            round += 1;
            let netns = Netns::new();
            netns.inside(|| (0..round).for_each(|_| drop(pair(&listen(LOOPBACKS[0])))));
            quiet(&netns);
            assert_equals_snmp(&mut kernel, &netns);
            again += usize::from(!used.insert(netns.inode()));
            (again >= 2 * cpus.min(4)).then_some((round, again))
        })
    });
    let (round, again) = counted.join().expect("all counts are right");
    seen!("{again} of {round} namespaces had an inode that was used before");
}

#[test]
fn retransmits_of_a_handshake_are_what_snmp_counts() {
    needs_root!("retransmits_of_a_handshake_are_what_snmp_counts");
    let mut kernel = load();
    let answered_again = Counter::everywhere("tcp:tcp_retransmit_synack", None);
    let netns = Netns::new();
    netns.inside(|| {
        let mut held = Vec::new();
        for ip in LOOPBACKS {
            // The SYN is lost, and sent again after a second.
            let (listener, filler) = full(ip);
            let stuck = begin_connect(listener.local_addr().unwrap());
            // The SYN-ACK is sent again, because the answer to it does not count before there is data.
            let deferred = listen(ip);
            defer_accept(&deferred, 2);
            let silent = TcpStream::connect(deferred.local_addr().unwrap()).unwrap();
            held.push((listener, filler, stuck, deferred, silent));
        }
        wait_for("handshakes to be sent again", || {
            (netns.snmp()["RetransSegs"] >= 4 && answered_again.read() >= 2).then_some(())
        });
    });
    quiet(&netns);
    let counted = assert_equals_snmp(&mut kernel, &netns);
    assert!(counted.retrans_segs.is_some_and(|n| n >= 4));
}

#[test]
fn connections_shorter_than_a_tick_are_counted_exactly_when_they_close() {
    needs_root!("connections_shorter_than_a_tick_are_counted_exactly_when_they_close");
    const CONNECTIONS: u64 = 500;
    const REQUEST: u64 = 300;
    const ANSWER: u64 = 5000;
    let mut kernel = load();
    let netns = Netns::new();
    let begun = Instant::now();
    let ports = LOOPBACKS.map(|ip| {
        netns.inside(|| {
            let listener = listen(ip);
            for _ in 0..CONNECTIONS {
                let mut ends = pair(&listener);
                ends.send(REQUEST as usize);
                ends.answer(ANSWER as usize);
                // The client closes first and is the one in TIME_WAIT.
                drop(ends.client);
            }
            listener.local_addr().unwrap().port()
        })
    });
    quiet(&netns);
    // The server's end is closed by the last acknowledgement, which may be a moment behind.
    let snapshot = wait_for("every connection to be closed", || {
        let snapshot = read(&mut kernel);
        let all = ports.iter().all(|p| closed(&snapshot, netns.inode(), *p, false).connections >= CONNECTIONS);
        all.then_some(snapshot)
    });
    assert_eq!(snapshot.tcp.closed.as_ref().unwrap().other, ClosedTotals::default());
    for port in ports {
        let (out, inward) =
            (closed(&snapshot, netns.inode(), port, true), closed(&snapshot, netns.inode(), port, false));
        seen!("client {out:?}");
        seen!("server {inward:?}");
        assert_eq!((out.connections, inward.connections), (CONNECTIONS, CONNECTIONS));
        // The kernel's numbers count the SYN and the FIN as a byte each.
        let within = |bytes: u64, each: u64| (each * CONNECTIONS..=(each + 2) * CONNECTIONS).contains(&bytes);
        assert!(within(out.bytes_acked, REQUEST) && within(inward.bytes_received, REQUEST), "requests");
        assert!(within(out.bytes_received, ANSWER) && within(inward.bytes_acked, ANSWER), "answers");
        assert!(out.srtt_ns_sum > 0 && inward.srtt_ns_sum > 0);
        // One after the other: their times together fit into the time of the test.
        assert_eq!((out.timed, inward.timed), (CONNECTIONS, CONNECTIONS), "all began under observer's eyes");
        for sum in [out.duration_ns_sum, inward.duration_ns_sum] {
            assert!(sum > 0 && u128::from(sum) < begun.elapsed().as_nanos(), "{sum} ns");
        }
    }
    assert_equals_snmp(&mut kernel, &netns);
}
