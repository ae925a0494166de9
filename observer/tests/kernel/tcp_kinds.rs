//! Connections of every kind, and namespaces of every kind, through the iterators and through sock_diag.

use std::{
    collections::HashSet,
    io::Write,
    net::{IpAddr, Ipv4Addr},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use observer::{
    snapshot::{
        Snapshot,
        coverage::Source,
        tcp::{Socket, Sockets, State},
    },
    source::{Collector, Options, netns, network::Reader},
};

use crate::support::{
    hidden::{Hidden, Keeper},
    needs_root,
    netns::Netns,
    seen, skipped,
    socket::{LOOPBACKS, Pair, cookie, full, listen, mapped, mptcp_to, pair},
    sockets::{Eyes, with_port},
    wait::wait_for,
    workload::Workload,
};

fn inode(socket: &impl AsRawFd) -> u64 {
    std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).expect("it is open").ino()
}

fn port(ends: &Pair) -> u16 {
    ends.server.local_addr().expect("an address").port()
}

/// Waits until both readers see what is asked for, and gives what each saw.
fn by_both(eyes: &mut Eyes, what: &str, is_it: impl Fn(&Sockets) -> bool) -> [(&'static str, Sockets); 2] {
    wait_for(what, || {
        let looks = eyes.look();
        looks.iter().all(|(_, sockets)| is_it(sockets)).then_some(looks)
    })
}

#[test]
fn an_ipv4_address_in_an_ipv6_socket_is_ipv4() {
    needs_root!("an_ipv4_address_in_an_ipv6_socket_is_ipv4");
    let mut eyes = Eyes::open();
    let netns = Netns::new();
    let ends = netns.inside(mapped);
    let (name, here) = (cookie(&ends.client), netns.inode());
    let looks = by_both(&mut eyes, "the owner of the socket", |sockets| {
        sockets.list.iter().any(|s| s.cookie == name && s.owner.is_some())
    });
    for (reader, sockets) in &looks {
        let found = with_port(sockets, here, port(&ends));
        assert_eq!(found.len(), 2, "{reader}: {found:?}");
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!(found.iter().all(|s| s.local.0 == local && s.remote.0 == local), "{reader}: {found:?}");
    }
}

#[test]
fn a_subflow_of_mptcp_is_seen_once_with_its_owner() {
    needs_root!("a_subflow_of_mptcp_is_seen_once_with_its_owner");
    let mut eyes = Eyes::open();
    let netns = Netns::new();
    for server_is_plain in [false, true] {
        let Some(mut ends) = netns.inside(|| mptcp_to(server_is_plain)) else {
            return skipped("a_subflow_of_mptcp_is_seen_once_with_its_owner", "the kernel has no MPTCP");
        };
        ends.send(5000);
        let (port, here) = (port(&ends), netns.inode());
        let owned = |s: &&Socket| s.owner.as_ref().is_some_and(|o| o.pid == std::process::id());
        let looks = by_both(&mut eyes, "the owner of both ends", |sockets| {
            with_port(sockets, here, port).into_iter().filter(owned).count() == 2
        });
        for (reader, sockets) in &looks {
            let found = with_port(sockets, here, port);
            assert_eq!(found.len(), 2, "{reader}: {found:?}");
            for (end, sent) in [(&ends.client, 5000), (&ends.server, 0)] {
                let local = end.local_addr().expect("an address").port();
                let subflow = found.iter().find(|s| s.local.1 == local).expect("one of the two");
                assert_eq!((subflow.inode, subflow.info.bytes_sent), (inode(end), Some(sent)), "{reader}: {subflow:?}");
            }
        }
        seen!("plain server: {server_is_plain}, each end once by both");
    }
}

#[test]
fn a_socket_that_no_process_holds_has_no_owner() {
    needs_root!("a_socket_that_no_process_holds_has_no_owner");
    let mut eyes = Eyes::open();
    let netns = Netns::new();
    for ip in LOOPBACKS {
        let here = netns.inode();
        // Closed with data that the peer does not read: the kernel goes on alone.
        let Pair { mut client, server } = netns.inside(|| pair(&listen(ip)));
        let orphan = cookie(&client);
        client.set_nonblocking(true).expect("a flag");
        while client.write(&[7; 65536]).is_ok() {}
        drop(client);
        // Established, and not accepted.
        let (listener, filler) = netns.inside(|| full(ip));
        let port = listener.local_addr().expect("an address").port();
        let waits = |s: &&Socket| s.local.1 == port && s.netns == here;
        let looks = by_both(&mut eyes, "an orphan and a connection that waits", |sockets| {
            sockets.list.iter().any(|s| s.cookie == orphan && s.state == State::FinWait1)
                && sockets.list.iter().any(|s| s.cookie == cookie(&filler) && s.owner.is_some())
        });
        for (reader, sockets) in &looks {
            let orphan = sockets.list.iter().find(|s| s.cookie == orphan).expect("it was there");
            assert_eq!((orphan.inode, orphan.netns), (0, here), "{reader}");
            // That one opened it was seen by a probe, if at all.
            let opener = orphan.owner.as_ref().map(|o| o.pid);
            assert!(
                opener.is_none() || *reader == "iterator" && opener == Some(std::process::id()),
                "{reader}: {orphan:?}"
            );
            assert!(
                orphan.info.unacked_bytes.zip(orphan.info.notsent_bytes).is_some_and(|(a, b)| a + b > 0),
                "{reader}"
            );
            let waiting: Vec<_> = sockets.list.iter().filter(waits).collect();
            assert!(matches!(waiting.as_slice(), [s] if s.inode == 0 && s.owner.is_none()), "{reader}: {waiting:?}");
        }
        drop(server);
    }
}

#[test]
fn namespaces_of_files_and_threads_are_found() {
    needs_root!("namespaces_of_files_and_threads_are_found");
    let mut eyes = Eyes::open();
    for keeper in [Keeper::File, Keeper::Thread] {
        let hidden = Hidden::new(keeper);
        let name = cookie(&hidden.ends.first().expect("a connection").client);
        let looks = by_both(&mut eyes, "the connection in the namespace", |sockets| {
            sockets.list.iter().any(|s| s.cookie == name && s.owner.is_some())
        });
        for (reader, sockets) in &looks {
            let found = sockets.list.iter().find(|s| s.cookie == name).expect("it was there");
            assert_eq!(found.netns, hidden.inode, "{reader}");
            assert_eq!(found.owner.as_ref().map(|o| o.pid), Some(std::process::id()), "{reader}");
        }
        seen!("{keeper:?}: found by both");
    }
}

/// The reason why parts of the network namespaces are missing.
fn reasons(snapshot: &Snapshot) -> Vec<String> {
    let parts = snapshot.coverage.sources.iter().filter(|s| s.name == Source::NETWORK_PARTS);
    parts.filter_map(|s| Some(s.missing.as_ref()?.to_string())).collect()
}

#[test]
fn a_namespace_to_which_nothing_leads_is_said_to_be_missing() {
    needs_root!("a_namespace_to_which_nothing_leads_is_said_to_be_missing");
    let mut collector = Collector::new(Options::default());
    let mut hidden = Hidden::new(Keeper::Nothing);
    let mut last = Instant::now();
    let said = wait_for("the coverage to tell", || {
        // Nobody can begin a connection there any more, but those that are there end.
        if last.elapsed() > Duration::from_millis(300) {
            drop(hidden.ends.pop());
            last = Instant::now();
        }
        let snapshot = collector.snapshot();
        assert!(!snapshot.network.as_ref().is_some_and(|n| n.namespaces.iter().any(|n| n.netns == hidden.inode)));
        reasons(&snapshot).into_iter().find(|why| why.contains("to which no process, mount or open file leads"))
    });
    seen!("{said}");
}

#[test]
fn a_namespace_that_is_mounted_where_one_process_sees_it_is_found_and_named() {
    needs_root!("a_namespace_that_is_mounted_where_one_process_sees_it_is_found_and_named");
    let mut process = Workload::start("netns mounted", None);
    let inode: u64 = process.step().parse().expect("the inode");
    // Both are opened now, so that they look for namespaces now.
    let mut eyes = Eyes::open();
    let looks = by_both(&mut eyes, "the connection in the namespace", |s| s.list.iter().any(|s| s.netns == inode));
    for (reader, sockets) in &looks {
        let here: Vec<_> = sockets.list.iter().filter(|s| s.netns == inode).collect();
        assert!(here.iter().all(|s| s.owner.as_ref().is_some_and(|o| o.pid == process.pid())), "{reader}: {here:?}");
        assert_eq!(here.len(), 2, "{reader}");
    }
    let own = netns::own().expect("the own namespace");
    let others = netns::others(&own);
    let (network, _) = Reader::open().and_then(|mut r| r.read(&[])).expect("the namespaces");
    let found = network.namespaces.iter().find(|n| n.netns == inode).expect("it is mounted");
    assert_eq!(found.names.len(), 1, "{found:?}");
    assert!(found.names.iter().all(|n| n.as_str().starts_with("observer-test-netns")) && found.snmp.is_some());
    // It ends between being found and being visited: that is no failure.
    assert_eq!(process.step(), "gone");
    let visits = netns::visit(&own, &others, |_| Ok(())).expect("a thread");
    let gone = others.iter().zip(visits.iter().skip(1)).find(|(n, _)| n.inode == inode).map(|(_, visit)| visit);
    assert!(matches!(gone, Some(netns::Visit::Gone)), "{gone:?}");
    process.finish();
}

#[test]
fn a_process_in_other_mount_and_pid_namespaces_is_named_by_its_outer_pid() {
    needs_root!("a_process_in_other_mount_and_pid_namespaces_is_named_by_its_outer_pid");
    let mut process = Workload::start("netns jailed", None);
    let told = process.step();
    let (pid, inode) = told.split_once(' ').expect("a pid and an inode");
    let (pid, inode): (u32, u64) = (pid.parse().expect("a pid"), inode.parse().expect("an inode"));
    let mut eyes = Eyes::open();
    let looks = by_both(&mut eyes, "the owner of the connection", |sockets| {
        sockets.list.iter().any(|s| s.netns == inode && s.owner.is_some())
    });
    for (reader, sockets) in &looks {
        let here: Vec<_> = sockets.list.iter().filter(|s| s.netns == inode).collect();
        let owners: Vec<_> = here.iter().filter_map(|s| s.owner.as_ref()).collect();
        assert_eq!(
            owners.iter().map(|o| (o.pid, o.comm.as_str())).collect::<Vec<_>>(),
            [(pid, "obs-jailed"); 2],
            "{reader}"
        );
    }
    process.finish();
}

#[test]
fn namespaces_that_vanish_while_they_are_read_are_no_error() {
    needs_root!("namespaces_that_vanish_while_they_are_read_are_no_error");
    const RUN: Duration = Duration::from_secs(4);
    let mut collector = Collector::new(Options::default());
    let (stop, made) = (AtomicBool::new(false), AtomicU32::new(0));
    let mut met = HashSet::new();
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let netns = Netns::new();
                netns.inside(|| drop(pair(&listen(LOOPBACKS[0]))));
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
        let begun = Instant::now();
        // On a slow machine until some have come and gone.
        let enough = |met: &HashSet<u64>| made.load(Ordering::Relaxed) > 1 && met.len() > 1;
        while begun.elapsed() < RUN || (!enough(&met) && begun.elapsed() < RUN * 20) {
            // Freshly opened, they look for namespaces each time.
            let diag = observer::source::sock_diag::Reader::open(1000, false).and_then(|mut r| r.read());
            let (sockets, _) = diag.expect("sock_diag reads on");
            assert_eq!(sockets.namespaces_not_read, 0);
            let snapshot = collector.snapshot();
            let sockets = snapshot.tcp.sockets.as_ref().expect("the iterator reads on");
            assert_eq!(sockets.namespaces_not_read, 0);
            let network = snapshot.network.as_ref().expect("the namespaces are read on");
            assert_eq!(network.not_read, 0, "{:?}", reasons(&snapshot));
            met.extend(network.namespaces.iter().map(|n| n.netns));
            met.extend(snapshot.tcp.namespaces.iter().flatten().map(|n| n.netns));
        }
        stop.store(true, Ordering::Relaxed);
        churn.join().expect("the churn ends");
        let made = made.load(Ordering::Relaxed);
        seen!("{made} namespaces came and went, {} different inodes met", met.len());
        assert!(made > 1 && met.len() > 1);
    });
}
