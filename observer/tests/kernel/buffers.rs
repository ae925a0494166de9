//! Sockets whose buffers have no room, against the counters of their protocols and of the kernel.

use std::{
    io::{ErrorKind, Write as _},
    net::{IpAddr, TcpListener, UdpSocket},
    os::fd::FromRawFd as _,
};

use observer::snapshot::{
    Snapshot,
    buffers::{Full, Room},
};

use crate::support::{
    cgroup::{self, Cgroup},
    needs_root,
    netns::{Netns, counters},
    observer::{load, missed, read},
    perf::Counter,
    seen, skipped,
    socket::{LOOPBACKS, pair, receive_buffer},
    sysctl::Sysctl,
    wait::wait_for,
};

/// Datagrams of a test; far more than fit into the buffers that it makes.
const DATAGRAMS: u64 = 300;
/// A port below those that the kernel gives to clients.
const PORT: u16 = 443;

/// What is told of a namespace and a kind of room.
fn rows(snapshot: &Snapshot, netns: u64, room: Room) -> Vec<Full> {
    let buffers = snapshot.buffers.as_ref().expect("buffers without room are counted");
    assert_eq!(buffers.other, 0);
    buffers.list.iter().filter(|f| f.netns == Some(netns) && f.room == room).cloned().collect()
}

/// True for a kernel whose IPv6 does not come to `udp:udp_fail_queue_rcv_skb`.
fn before_6_5() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    (numbers.next(), numbers.next()) < (Some(6), Some(5))
}

fn unspecified(ip: IpAddr) -> UdpSocket {
    UdpSocket::bind((ip, 0)).expect("a free port")
}

fn send_all(from: &UdpSocket, to: std::net::SocketAddr, bytes: usize) {
    for _ in 0..DATAGRAMS {
        // An error is that of the datagram before, which was refused.
        while from.send_to(&vec![0; bytes], to).is_err() {}
    }
}

#[test]
fn full_udp_buffers_are_what_snmp_counts_and_have_their_process() {
    needs_root!("full_udp_buffers_are_what_snmp_counts_and_have_their_process");
    let mut kernel = load();
    let netns = Netns::new();
    for (ip, table, protocol) in [(LOOPBACKS[0], "Udp", "UDP"), (LOOPBACKS[1], "Udp6", "UDPv6")] {
        let deaf = netns.inside(|| unspecified(ip));
        receive_buffer(&deaf, 4096);
        let to = deaf.local_addr().expect("an address");
        netns.inside(|| send_all(&unspecified(ip), to, 1000));
        let errors = netns.inside(|| counters(table))["RcvbufErrors"];
        assert!(errors > 0 && errors < DATAGRAMS, "{errors}");
        if table == "Udp6" && before_6_5() {
            // The tracepoint came to IPv6 later than to IPv4: nothing is told, and nothing wrong.
            assert!(
                rows(&read(&mut kernel), netns.inode(), Room::ReceiveBuffer)
                    .iter()
                    .all(|f| f.protocol.as_str() != protocol)
            );
            skipped("UDP over IPv6", "this kernel does not trace refused datagrams of IPv6");
            continue;
        }
        // Looking for processes has its share of the time: it may come with a later reading, after another event.
        let row = wait_for("the process of the socket", || {
            let snapshot = read(&mut kernel);
            assert_eq!(missed(&snapshot, "buffers_udp"), 0);
            let own = rows(&snapshot, netns.inode(), Room::ReceiveBuffer);
            let [row] = own.iter().filter(|f| f.protocol.as_str() == protocol).collect::<Vec<_>>()[..] else {
                panic!("{own:?}");
            };
            if row.owner.is_some() {
                return Some(row.clone());
            }
            netns.inside(|| send_all(&unspecified(ip), to, 1000));
            None
        });
        let errors = netns.inside(|| counters(table))["RcvbufErrors"];
        seen!("{ip}: {row:?}, {table} RcvbufErrors {errors}");
        assert_eq!((row.events, row.port), (errors, Some(to.port())));
        assert_eq!(row.owner.as_ref().map(|o| o.pid), Some(std::process::id()));
    }
}

/// UDP has a tracepoint of its own, and raw sockets look before they come to this one; sockets that ping do come to it.
#[test]
fn a_full_ping_socket_is_what_its_own_counter_says() {
    needs_root!("a_full_ping_socket_is_what_its_own_counter_says");
    let mut kernel = load();
    let netns = Netns::new();
    let (drops, _socket) = netns.inside(|| {
        // Of this namespace alone.
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").expect("root may ping");
        // SAFETY: socket has no preconditions; the descriptor is nobody else's.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, libc::IPPROTO_ICMP) };
        assert!(fd >= 0, "socket: {}", std::io::Error::last_os_error());
        // SAFETY: it was just made, and takes addresses as one of UDP does.
        let socket = unsafe { UdpSocket::from_raw_fd(fd) };
        receive_buffer(&socket, 4096);
        // An echo request, whose answer comes back to this socket, which does not read.
        let mut request = [0; 1000];
        request[0] = 8;
        for _ in 0..DATAGRAMS {
            socket.send_to(&request, (LOOPBACKS[0], 0)).expect("send");
        }
        // Its line ends with the packets that it dropped.
        let table = std::fs::read_to_string("/proc/thread-self/net/icmp").expect("such sockets are listed");
        let drops = table.lines().nth(1).and_then(|l| l.split_whitespace().last()?.parse::<u64>().ok());
        (drops.expect("a number"), socket)
    });
    let snapshot = read(&mut kernel);
    assert_eq!(missed(&snapshot, "buffers_full"), 0);
    let rows = rows(&snapshot, netns.inode(), Room::ReceiveBuffer);
    seen!("{rows:?}, /proc/net/icmp {drops}");
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(drops > 0 && drops < DATAGRAMS);
    assert_eq!((row.events, row.protocol.as_str(), row.port), (drops, "PING", None));
}

/// Times that any socket of the host got no memory.
fn refused(snapshot: &Snapshot) -> u64 {
    let all = &snapshot.buffers.as_ref().expect("buffers without room are counted").list;
    all.iter().filter(|f| f.room != Room::ReceiveBuffer).map(|f| f.events).sum()
}

#[test]
fn memory_that_a_cgroup_refuses_is_told_with_it() {
    const NAME: &str = "memory_that_a_cgroup_refuses_is_told_with_it";
    needs_root!("memory_that_a_cgroup_refuses_is_told_with_it");
    if cgroup::is_v2() {
        return skipped(NAME, "only cgroup version 1 limits the buffers of TCP for themselves");
    }
    let cgroup = Cgroup::new("buffers");
    let limit = cgroup.path().join("memory.kmem.tcp.limit_in_bytes");
    if let Err(error) = std::fs::write(&limit, (256 << 10).to_string()) {
        return skipped(NAME, &format!("{}: {error}", limit.display()));
    }
    let mut kernel = load();
    let netns = Netns::new();
    let perf = Counter::everywhere("sock:sock_exceed_buf_limit", None);
    let first = refused(&read(&mut kernel));
    let _ends = netns.inside(|| {
        // Version 1 takes single threads: what this one opens is charged to the cgroup.
        let tid = nix::unistd::gettid().to_string();
        std::fs::write(cgroup.path().join("tasks"), tid).expect("this thread enters the cgroup");
        let listener = TcpListener::bind((LOOPBACKS[0], PORT)).expect("nobody else is in the namespace");
        let mut pairs: Vec<_> = (0..16).map(|_| pair(&listener)).collect();
        for end in &mut pairs {
            end.client.set_nonblocking(true).expect("a flag");
            // Until its own buffer or the memory of the cgroup is full: nobody reads.
            loop {
                match end.client.write(&[0; 65_536]) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("write: {error}"),
                }
            }
        }
        pairs
    });
    let (before, snapshot, after) = (perf.read(), read(&mut kernel), perf.read());
    assert_eq!(missed(&snapshot, "buffers_memory"), 0);
    let memory = refused(&snapshot) - first;
    // What is refused to a sender beyond its least is forced all the same, and is no event: it is receivers that go short.
    let own = rows(&snapshot, netns.inode(), Room::ReceiveMemory);
    seen!("{own:?}, in all {memory}; perf {before} to {after}");
    assert!((before..=after).contains(&memory), "every event of the host");
    let [row] = own.as_slice() else { panic!("{own:?}") };
    assert!(row.events > 0);
    assert_eq!((row.protocol.as_str(), row.port, row.cgroup), ("TCP", Some(PORT), Some(cgroup.id())));
}

/// `net.ipv4.udp_mem` is of the whole host.
#[test]
fn refused_memory_to_receive_is_what_snmp_counts() {
    const NAME: &str = "refused_memory_to_receive_is_what_snmp_counts";
    needs_root!("refused_memory_to_receive_is_what_snmp_counts");
    if std::env::var_os("OBSERVER_TEST_WHOLE_MACHINE").is_none() {
        return skipped(NAME, "takes the memory of UDP from the whole host: only in a guest");
    }
    let mut kernel = load();
    let netns = Netns::new();
    let deaf = netns.inside(|| unspecified(LOOPBACKS[0]));
    let to = deaf.local_addr().expect("an address");
    // Each CPU may hold back up to a mebibyte of what it counts.
    receive_buffer(&deaf, 64 << 20);
    let _limit = Sysctl::set("net/ipv4/udp_mem", "1 1 1");
    netns.inside(|| {
        let sender = unspecified(LOOPBACKS[0]);
        (0..40).for_each(|_| send_all(&sender, to, 1000));
    });
    let Some(errors) = netns.inside(|| counters("Udp")).get("MemErrors").copied() else {
        return skipped(NAME, "this kernel does not count MemErrors");
    };
    let snapshot = read(&mut kernel);
    let rows = rows(&snapshot, netns.inode(), Room::ReceiveMemory);
    seen!("{rows:?}, Udp MemErrors {errors}");
    assert!(errors > 0);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.events, row.protocol.as_str(), row.port), (errors, "UDP", Some(to.port())));
}
