//! Open sockets, against what getsockopt says of the same sockets.

use std::{
    net::TcpStream,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
};

use observer::{
    snapshot::{
        Name,
        tcp::{Socket, State},
    },
    source::kernel::{Kernel, Options},
};

use crate::support::{
    needs_root,
    netns::Netns,
    observer::{load, load_with, read},
    seen,
    socket::{Info, LOOPBACKS, cookie, listen, pair},
    wait::wait_for,
};

/// A socket as observer sees it, and what the kernel said of it right before and after.
fn at_rest(kernel: &mut Kernel, socket: &TcpStream) -> (Socket, Info) {
    let name = cookie(socket);
    wait_for("the socket to be at rest and listed", || {
        let before = Info::of(socket);
        let snapshot = read(kernel);
        let found = snapshot.tcp.sockets.as_ref()?.list.iter().find(|s| s.cookie == name)?.clone();
        // The times since the last segment go on; the counters must not have.
        let counters = |i: &Info| (i.u32(136), i.u32(140), i.u64(120), i.u64(128), i.u32(24));
        (counters(&Info::of(socket)) == counters(&before) && before.u32(24) == Some(0)).then_some((found, before))
    })
}

fn inode(socket: &TcpStream) -> u64 {
    std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).expect("it is open").ino()
}

#[test]
fn an_open_socket_has_the_numbers_of_tcp_info() {
    needs_root!("an_open_socket_has_the_numbers_of_tcp_info");
    let mut kernel = load();
    let netns = Netns::new();
    for ip in LOOPBACKS {
        let mut ends = netns.inside(|| pair(&listen(ip)));
        ends.send(123_456);
        ends.answer(7890);
        for (socket, sent, received) in [(&ends.client, 123_456, 7890), (&ends.server, 7890, 123_456)] {
            let (found, info) = at_rest(&mut kernel, socket);
            seen!("{found:?}");
            assert_eq!(found.netns, netns.inode());
            assert_eq!((found.local, found.remote), {
                let (local, peer) = (socket.local_addr().unwrap(), socket.peer_addr().unwrap());
                ((local.ip(), local.port()), (peer.ip(), peer.port()))
            });
            assert_eq!((found.state, found.uid, found.inode), (State::Established, 0, inode(socket)));
            assert_eq!((found.tx_ifindex, found.tx_spi), (Some(1), None), "loopback, and no IPsec");
            let owner = found.owner.as_ref().expect("this process holds it");
            assert_eq!(owner.pid, std::process::id());
            let seen = &found.info;
            // Where the peer gets no processor for long, the kernel sends again, also over loopback.
            assert_eq!(seen.bytes_sent.zip(seen.bytes_retrans).map(|(all, again)| all - again), Some(sent));
            assert_eq!(seen.bytes_received, Some(received));
            assert!(seen.bytes_acked.is_some_and(|n| (sent..=sent + 1).contains(&n)), "the SYN may count as a byte");

            let wide = |value: Option<u32>| value.map(u64::from);
            assert_eq!(seen.bytes_acked, info.u64(120), "bytes_acked");
            assert_eq!(seen.bytes_received, info.u64(128), "bytes_received");
            assert_eq!(seen.bytes_sent, info.u64(200), "bytes_sent");
            assert_eq!(seen.bytes_retrans, info.u64(208), "bytes_retrans");
            assert_eq!(seen.segs_out, wide(info.u32(136)), "segs_out");
            assert_eq!(seen.segs_in, wide(info.u32(140)), "segs_in");
            assert_eq!(seen.retrans_segs, wide(info.u32(100)), "total_retrans");
            assert_eq!(seen.cwnd, info.u32(80), "snd_cwnd");
            assert_eq!(seen.mss, info.u32(16), "snd_mss");
            assert_eq!(seen.packets_out, info.u32(24), "unacked");
            assert_eq!(seen.pmtu, info.u32(60), "pmtu");
            assert_eq!(seen.advmss, info.u32(84), "advmss");
            assert_eq!(seen.delivered, wide(info.u32(192)), "delivered");
            let lo = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").expect("the kernel has one");
            assert_eq!(found.congestion.as_ref().map(Name::as_str), Some(lo.trim()));
            assert_eq!(seen.notsent_bytes, wide(info.u32(144)), "notsent_bytes");
            // TCP_INFO cuts microseconds, of which the kernel keeps eighths.
            assert_eq!(seen.srtt_ns.map(|ns| ns / 1000), wide(info.u32(68)), "rtt");
            assert_eq!(seen.min_rtt_ns.map(|ns| ns / 1000), wide(info.u32(148)), "min_rtt");
            assert_eq!(seen.delivery_rate, info.u64(160), "delivery_rate");
            assert_eq!(seen.busy_ns.map(|ns| ns / 1000), info.u64(168), "busy_time");
            assert_eq!(seen.rwnd_limited_ns.map(|ns| ns / 1000), info.u64(176), "rwnd_limited");
            assert_eq!(seen.sndbuf_limited_ns.map(|ns| ns / 1000), info.u64(184), "sndbuf_limited");
            // Younger fields: compared where this kernel tells them.
            assert!(info.u32(228).is_none() || seen.snd_wnd == info.u32(228), "snd_wnd");
            assert!(info.u32(232).is_none() || seen.rcv_wnd == info.u32(232), "rcv_wnd");
        }
    }
}

#[test]
fn sockets_beyond_the_limit_are_summed() {
    needs_root!("sockets_beyond_the_limit_are_summed");
    const SOCKETS: usize = 100;
    let mut kernel = load_with(&Options { max_sockets: 10, ..Options::default() });
    let netns = Netns::new();
    let listener = netns.inside(|| listen(LOOPBACKS[0]));
    let held: Vec<_> = netns.inside(|| {
        let pairs = (0..SOCKETS / 2).map(|_| {
            let mut ends = pair(&listener);
            ends.send(1000);
            ends
        });
        pairs.collect()
    });
    // The one that carried the most is listed.
    let mut big = held.into_iter();
    let mut first = big.next().unwrap();
    first.send(5_000_000);
    let sockets = wait_for("the namespace to be found", || {
        let sockets = read(&mut kernel).tcp.sockets.unwrap();
        (sockets.list.iter().any(|s| s.cookie == cookie(&first.client))).then_some(sockets)
    });
    assert_eq!(sockets.list.len(), 10);
    assert!(sockets.other.sockets >= SOCKETS as u64 - 10, "{:?}", sockets.other);
    assert!(sockets.other.bytes_acked >= 1000 * (SOCKETS as u64 / 2 - 10), "{:?}", sockets.other);
    assert!(sockets.listening >= 1 && sockets.namespaces >= 2, "{sockets:?}");
    drop(big);
}
