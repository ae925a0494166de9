//! Sockets that listen: how many connections wait for them, and how many they refused.

use observer::snapshot::{Snapshot, tcp::Listener};

use crate::support::{
    needs_root,
    netns::{Netns, counters},
    observer::{load, read},
    seen, skipped,
    socket::{LOOPBACKS, begin_connect, cookie, full, listen},
    wait::wait_for,
};

fn listener(snapshot: &Snapshot, netns: u64, cookie: u64) -> Listener {
    let all = snapshot.tcp.listeners.as_ref().expect("listening sockets are read");
    all.iter().find(|l| (l.netns, l.cookie) == (netns, cookie)).cloned().expect("the socket listens")
}

#[test]
fn a_full_queue_refuses_what_netstat_counts() {
    needs_root!("a_full_queue_refuses_what_netstat_counts");
    const WAITING: usize = 10;
    let mut kernel = load();
    let netns = Netns::new();
    let inode = netns.inode();
    let mut refused = 0;
    for ip in LOOPBACKS {
        let (all, idle, at) = netns.inside(|| {
            let (busy, filler) = full(ip);
            let idle = listen(ip);
            let stuck: Vec<_> = (0..WAITING).map(|_| begin_connect(busy.local_addr().unwrap())).collect();
            // The handshake of a connection that was refused is tried again by itself.
            wait_for("refused connections", || {
                (counters("TcpExt")["ListenOverflows"] >= refused + WAITING as u64).then_some(())
            });
            // Give up: no more of them, and the counters are at rest.
            drop(stuck);
            let snapshot = read(&mut kernel);
            let seen = (cookie(&busy), cookie(&idle));
            let at = busy.local_addr().unwrap();
            let both = (listener(&snapshot, inode, seen.0), listener(&snapshot, inode, seen.1));
            drop((filler, busy));
            (both.0, both.1, at)
        });
        let counts = netns.inside(|| counters("TcpExt"));
        seen!("{all:?}; ListenOverflows {} ListenDrops {}", counts["ListenOverflows"], counts["ListenDrops"]);
        let now = counts["ListenDrops"] - refused;
        assert_eq!(u64::from(all.drops.unwrap()), now);
        assert_eq!(counts["ListenOverflows"] - refused, now, "all for the full queue");
        refused += now;
        assert_eq!((all.queue, all.limit, all.local), (Some(1), Some(0), (at.ip(), at.port())));
        assert_eq!((idle.queue, idle.drops), (Some(0), Some(0)));
        assert!(idle.limit.is_some_and(|limit| limit > 0));
    }
}

#[test]
fn every_listening_socket_is_read_beside_many_others() {
    needs_root!("every_listening_socket_is_read_beside_many_others");
    // More than one reading of the iterator gives, and connections behind them.
    const SOCKETS: usize = 600;
    let mut kernel = load();
    let netns = Netns::new();
    netns.inside(|| {
        let sockets: Vec<_> = (0..SOCKETS).map(|_| listen(LOOPBACKS[0])).collect();
        let clients: Vec<_> =
            sockets.iter().take(50).map(|s| std::net::TcpStream::connect(s.local_addr().unwrap()).unwrap()).collect();
        let snapshot = read(&mut kernel);
        let all = snapshot.tcp.listeners.as_ref().map_or(0, Vec::len);
        if all == 1000 {
            return skipped("every_listening_socket_is_read_beside_many_others", "other sockets fill the list");
        }
        let mut own: Vec<_> =
            snapshot.tcp.listeners.iter().flatten().filter(|l| l.netns == netns.inode()).map(|l| l.cookie).collect();
        let mut made: Vec<_> = sockets.iter().map(cookie).collect();
        let pids = snapshot.tcp.listeners.iter().flatten().filter(|l| l.netns == netns.inode());
        assert!(
            pids.map(|l| l.owner.as_ref().map(|o| o.pid)).all(|pid| pid == Some(std::process::id())),
            "their process"
        );
        own.sort_unstable();
        made.sort_unstable();
        assert_eq!(own, made);
        let waiting = snapshot.tcp.listeners.iter().flatten().filter_map(|l| l.queue).sum::<u32>();
        assert!(waiting as usize >= clients.len(), "{waiting}");
    });
    wait_for("an empty namespace", || {
        let snapshot = read(&mut kernel);
        let all = snapshot.tcp.listeners.expect("also where nobody listens");
        (!all.iter().any(|l| l.netns == netns.inode())).then_some(())
    });
}
