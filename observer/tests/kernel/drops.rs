//! Packets that the kernel drops for a known reason, against the counters of the protocol that drops them.

use std::{
    net::{IpAddr, UdpSocket},
    os::fd::AsRawFd,
};

use observer::{
    snapshot::{Snapshot, drops::Drop},
    source::kernel::Kernel,
};

use crate::support::{
    needs_root,
    netns::{Netns, counters},
    observer::{load, missed, read},
    seen, skipped,
    socket::{LOOPBACKS, lose},
};

/// Drops of one namespace for one reason.
fn of_reason(snapshot: &Snapshot, netns: u64, reason: &str) -> u64 {
    let drops = snapshot.drops.as_ref().expect("drops are counted");
    let is = |d: &&Drop| d.netns == Some(netns) && d.reason.as_ref().is_some_and(|r| r.as_str() == reason);
    drops.list.iter().filter(is).map(|d| d.packets).sum()
}

/// True if this kernel says why it drops.
fn has_reasons(kernel: &mut Kernel, test: &str) -> bool {
    let snapshot = read(kernel);
    let probe = snapshot.coverage.probes.iter().find(|p| p.name == "drops").expect("the probe is in the table");
    let has = !probe.fields_missing.iter().any(|lacks| lacks.contains("reason"));
    if !has {
        skipped(test, "this kernel does not say why it drops");
    }
    has
}

fn unspecified(ip: IpAddr) -> UdpSocket {
    UdpSocket::bind((ip, 0)).expect("a free port")
}

/// Sends datagrams, also such as nobody takes.
fn send(from: &UdpSocket, to: std::net::SocketAddr, count: usize, bytes: usize) {
    for _ in 0..count {
        // An error is that of the datagram before, which was refused.
        while from.send_to(&vec![0; bytes], to).is_err() {}
    }
}

#[test]
fn drops_by_reason_are_what_the_protocols_count() {
    const NAME: &str = "drops_by_reason_are_what_the_protocols_count";
    needs_root!("drops_by_reason_are_what_the_protocols_count");
    let mut kernel = load();
    if !has_reasons(&mut kernel, NAME) {
        return;
    }
    let netns = Netns::new();
    for (ip, table, names) in [
        (LOOPBACKS[0], "Udp", ["NoPorts", "RcvbufErrors", "InErrors"]),
        (LOOPBACKS[1], "Udp6", ["NoPorts", "RcvbufErrors", "InErrors"]),
    ] {
        let before = read(&mut kernel);
        netns.inside(|| {
            let sender = unspecified(ip);
            // Nobody there.
            let nobody = unspecified(ip).local_addr().unwrap();
            send(&sender, nobody, 30, 10);
            // Nobody reads: what does not fit into the buffer is dropped.
            let full = unspecified(ip);
            send(&unspecified(ip), full.local_addr().unwrap(), 2000, 1000);
            // A filter that lets nothing through.
            let deaf = unspecified(ip);
            lose(&deaf, 1.0);
            send(&unspecified(ip), deaf.local_addr().unwrap(), 70, 10);
            assert!(full.as_raw_fd() != deaf.as_raw_fd());
        });
        let after = read(&mut kernel);
        assert_eq!(missed(&after, "drops"), 0);
        let grown = |reason| of_reason(&after, netns.inode(), reason) - of_reason(&before, netns.inode(), reason);
        let counts = netns.inside(|| counters(table));
        let [nobody, full, all] = names.map(|name| counts[name]);
        let seen = ["no_socket", "socket_rcvbuff", "socket_filter"].map(grown);
        seen!("{ip}: {seen:?}, {table} {names:?} {:?}", [nobody, full, all]);
        assert_eq!(seen, [nobody, full, all - full], "{table}");
        assert_eq!((seen[0], seen[2]), (30, 70));
        assert!(full > 100, "two megabytes do not fit");
        assert_eq!(after.drops.as_ref().unwrap().other, 0);
    }
    let snapshot = read(&mut kernel);
    let own = snapshot.drops.iter().flat_map(|d| &d.list).filter(|d| d.netns == Some(netns.inode()));
    let named: Vec<_> = own.filter(|d| d.function.is_some()).collect();
    seen!("{named:?}");
    assert!(named.iter().any(|d| d.function.as_ref().is_some_and(|f| f.as_str().contains("udp"))), "by function");
    assert!(named.iter().any(|d| d.protocol == Some(0x0800)) && named.iter().any(|d| d.protocol == Some(0x86dd)));
}
