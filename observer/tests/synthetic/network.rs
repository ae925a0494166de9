//! TCP and network interfaces.

use observer::snapshot::{
    CgroupId, Log2Histogram, Name,
    buffers::{Buffers, Full, Room},
    cpu::{Cpu, CpuTimes, Cpus, Softnet},
    drops::{Drop, Drops},
    link::{Link, Links},
    tcp::{
        Closed, ClosedGroup, ClosedTotals, Device, FirstByteGroup, FirstByteTotals, FirstBytes, Listener,
        NamespaceCounts, Netstat, Network, Owner, Service, Share, Snmp, Socket, SocketTotals, Sockets, StagesNs, State,
        Tcp, TcpInfo, TcpMemory, Traffic, TrafficTotals, Who,
    },
};

use super::{MIB, Names};

pub(super) fn tcp(n: u64) -> Tcp {
    let socket = |i: u64, remote: std::net::IpAddr, state| Socket {
        cookie: i,
        netns: 4_026_531_840,
        local: (std::net::Ipv4Addr::new(10, 0, 0, 17).into(), 443),
        remote: (remote, 40_000 + i as u16),
        state,
        uid: 33,
        inode: 9000 + i,
        owner: Some(Owner { pid: 4000 + i as u32, comm: "nginx".into(), cgroup: None }),
        cgroup: None,
        congestion: Some("cubic".into()),
        rx_ifindex: Some(2),
        tx_ifindex: Some(2),
        txhash: Some(0x1000 + i as u32),
        tx_spi: None,
        info: TcpInfo {
            bytes_acked: Some(n * 30 * MIB / i),
            bytes_sent: Some(n * 31 * MIB / i),
            bytes_retrans: Some(n * MIB / i),
            bytes_received: Some(n * MIB / 3),
            segs_out: Some(n * 20_000 / i),
            segs_in: Some(n * 9000 / i),
            retrans_segs: Some(n * 700 / i),
            srtt_ns: Some(38_000_000 * i),
            min_rtt_ns: Some(11_000_000),
            cwnd: Some(42),
            ssthresh: Some(30),
            mss: Some(1448),
            snd_wnd: Some(65_535),
            rcv_wnd: Some(64_240),
            notsent_bytes: Some(MIB / 2),
            packets_out: Some(40),
            pacing_rate: None,
            delivery_rate: Some(9_000_000),
            busy_ns: Some(n * 980_000_000),
            rwnd_limited_ns: Some(n * 600_000_000 / i),
            sndbuf_limited_ns: Some(n * 20_000_000),
            backoff: Some(0),
            ..TcpInfo::default()
        },
    };
    let far = std::net::Ipv4Addr::new(203, 0, 113, 200);
    let six = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0x1234, 0x5678, 0xabcd, 0xef01, 0x2345, 0x6789);
    Tcp {
        snmp: Some(Snmp {
            active_opens: Some(n * 12),
            passive_opens: Some(n * 230),
            curr_estab: Some(412),
            out_segs: Some(n * 40_000),
            retrans_segs: Some(n * 1500),
            out_rsts: Some(n * 3),
            ..Snmp::default()
        }),
        netstat: Some(Netstat { timeouts: Some(n * 9), listen_drops: Some(n * 2), ..Netstat::default() }),
        namespaces: Some(vec![NamespaceCounts {
            netns: 4_026_531_840,
            active_opens: n * 12,
            passive_opens: n * 230,
            attempt_fails: Some(4),
            estab_resets: Some(3),
            established: n * 240,
            closed: n * 238,
            retrans_segs: Some(n * 1500),
            resets_sent: Some(n * 3),
            resets_received: None,
        }]),
        closed: Some(Closed {
            list: vec![ClosedGroup {
                netns: 4_026_531_840,
                port: 443,
                outgoing: false,
                cgroup: Some(CgroupId(3)),
                totals: ClosedTotals {
                    connections: n * 238,
                    bytes_acked: n * 90 * MIB,
                    bytes_received: n * 2 * MIB,
                    segs_out: n * 61_000,
                    retrans_segs: n * 800,
                    srtt_ns_sum: n * 238 * 35_000_000,
                    ..ClosedTotals::default()
                },
            }],
            other: ClosedTotals::default(),
        }),
        sockets: Some(Sockets {
            list: vec![
                socket(1, far.into(), State::Established),
                socket(2, six.into(), State::Established),
                socket(3, far.into(), State::CloseWait),
            ],
            other: SocketTotals { sockets: 409, ..SocketTotals::default() },
            listening: 9,
            namespaces: 3,
            namespaces_not_read: 1,
            ..Sockets::default()
        }),
        traffic: Some(traffic(n)),
        memory: Some(TcpMemory {
            used: Some((40 + n) * MIB),
            pressure: Some(1499 * MIB),
            max: Some(2249 * MIB),
            low: Some(1124 * MIB),
            orphans: Some(3),
            allocated: Some(420),
        }),
        first_bytes: Some(first_bytes(n)),
        listeners: Some(listeners(n)),
    }
}

/// Packets that nobody wanted, and some for which there was no room.
pub(super) fn drops(n: u64) -> Drops {
    let drop = |reason: &str, function: &str, packets| Drop {
        reason: Some(reason.into()),
        function: Some(function.into()),
        netns: Some(4_026_531_840),
        ifindex: Some(2),
        protocol: Some(0x0800),
        packets,
    };
    Drops {
        list: vec![
            drop("socket_rcvbuff", "__udp_queue_rcv_skb", n * 240),
            drop("no_socket", "tcp_v4_rcv", n * 12),
            Drop { protocol: None, ifindex: None, netns: None, ..drop("not_specified", "unix_release_sock", n) },
        ],
        other: 2,
    }
}

/// A resolver that does not read, and a service that may not have more memory.
pub(super) fn buffers(n: u64) -> Buffers {
    let full = |room, protocol: &str, port, cgroup, comm: &str, events| Full {
        room,
        protocol: protocol.into(),
        port: Some(port),
        netns: Some(4_026_531_840),
        cgroup,
        owner: Some(Owner { pid: 53, comm: comm.into(), cgroup: None }),
        events,
    };
    Buffers {
        list: vec![
            full(Room::ReceiveBuffer, "UDP", 53, None, "unbound", n * 240),
            full(Room::SendMemory, "TCP", 443, Some(CgroupId(3)), "nginx", n * 4),
        ],
        other: 0,
    }
}

/// Handshakes and first bytes: a near network, a far one whose servers think long, and the service that runs here.
pub(super) fn first_bytes(n: u64) -> FirstBytes {
    let ms = |ms: u64| ms * 1_000_000;
    let group = |who, outgoing, port, count: u64, stages: StagesNs| {
        let whole = stages.connect + stages.request + stages.wire + stages.server + stages.softirq + stages.read;
        let histogram = |ns: u64| {
            let mut buckets = vec![0; 40];
            buckets[64 - ns.leading_zeros() as usize] = n * count;
            Log2Histogram { buckets }
        };
        let times = |ns: u64| ns * n * count;
        let connects = if outgoing { n * count } else { 0 };
        FirstByteGroup {
            netns: 4_026_531_840,
            port,
            outgoing,
            who,
            totals: FirstByteTotals {
                connects,
                failed: connects / 50,
                syn_retrans: connects / 20,
                connect_ns_sum: times(stages.connect),
                connect_ns: if outgoing { histogram(stages.connect) } else { Log2Histogram::default() },
                first_bytes: n * count,
                unstaged: 0,
                stages: StagesNs {
                    connect: times(stages.connect),
                    request: times(stages.request),
                    wire: times(stages.wire),
                    server: times(stages.server),
                    softirq: times(stages.softirq),
                    read: times(stages.read),
                },
                total_ns: histogram(whole),
                run_delay_ns: n * count * ms(1),
                run_delays: n * count,
            },
        }
    };
    let network = |address: [u8; 4]| Who::Network { address: std::net::IpAddr::from(address), bits: 24 };
    let process = |comm: &str| Who::Process { comm: comm.into(), cgroup: Some(CgroupId(3)) };
    let stages = |connect, server, read| StagesNs {
        connect: ms(connect),
        request: ms(1),
        wire: ms(connect),
        server: ms(server),
        softirq: 40_000,
        read: ms(read),
    };
    FirstBytes {
        list: vec![
            group(network([10, 0, 3, 0]), true, 5432, 40, stages(1, 8, 1)),
            group(network([203, 0, 113, 0]), true, 5432, 12, stages(18, 46, 1)),
            group(process("api"), true, 5432, 52, stages(5, 17, 1)),
            group(network([198, 51, 100, 0]), false, 443, 230, StagesNs { connect: 0, wire: 0, ..stages(0, 21, 2) }),
            group(process("nginx"), false, 443, 230, StagesNs { connect: 0, wire: 0, ..stages(0, 21, 2) }),
        ],
        stages: true,
        softirq: true,
    }
}

/// A service that is too slow to accept, and one that is not.
pub(super) fn listeners(n: u64) -> Vec<Listener> {
    let listener = |cookie: u32, port, queue, drops| Listener {
        cookie: u64::from(cookie),
        netns: 4_026_531_840,
        local: (std::net::Ipv4Addr::UNSPECIFIED.into(), port),
        uid: 33,
        inode: 100 + u64::from(cookie),
        owner: Some(Owner { pid: 4000 + cookie, comm: "nginx".into(), cgroup: Some(CgroupId(3)) }),
        cgroup: Some(CgroupId(3)),
        queue: Some(queue),
        limit: Some(128),
        drops: Some(drops),
    };
    vec![listener(11, 443, 129, 7 * n as u32), listener(12, 22, 0, 0)]
}

/// Eight CPUs of which the third takes the packets, and a hypervisor that takes its share.
pub(super) fn cpus(n: u64) -> Cpus {
    let cpu = |cpu: u32| {
        let (softirq, packets) = if cpu == 2 { (900, 90_000) } else { (10, 400) };
        Cpu {
            cpu,
            times: CpuTimes {
                user_ns: n * 60_000_000,
                system_ns: n * 20_000_000,
                idle_ns: n * (915 - softirq) * 1_000_000,
                softirq_ns: n * softirq * 1_000_000,
                steal_ns: n * 5_000_000,
                ..CpuTimes::default()
            },
            softnet: Some(Softnet {
                processed: n * packets,
                dropped: if cpu == 2 { n * 3 } else { 0 },
                time_squeeze: if cpu == 2 { n * 70 } else { 0 },
                backlog: Some(0),
                ..Softnet::default()
            }),
        }
    };
    Cpus { list: (0..8).map(cpu).collect() }
}

fn traffic(n: u64) -> Traffic {
    let totals = |part: u64| TrafficTotals {
        bytes_acked: n * 120 * MIB / part,
        bytes_received: n * 3 * MIB / part,
        retrans_segs: n * 1500 / part,
        began: n * 240 / part,
        ended: n * 238 / part,
    };
    let nginx = Owner { pid: 4001, comm: "nginx".into(), cgroup: None };
    let network = |address: [u8; 4]| Network { address: address.into(), prefix: 24 };
    Traffic {
        total: totals(1),
        processes: vec![Share { key: Some(nginx), totals: totals(2) }, Share { key: None, totals: totals(5) }],
        cgroups: vec![Share { key: Some(CgroupId(3)), totals: totals(2) }],
        networks: vec![
            Share { key: network([203, 0, 113, 0]), totals: totals(2) },
            Share { key: network([198, 51, 100, 0]), totals: totals(3) },
        ],
        services: vec![Share { key: Service { port: 443, outgoing: false }, totals: totals(1) }],
        devices: vec![Share { key: Device { netns: 4_026_531_840, index: Some(2) }, totals: totals(1) }],
        followed: 412,
        not_followed: 0,
        untold: 0,
    }
}

pub(super) fn links(n: u64, names: &Names) -> Links {
    let link = |index, name: Name, rate: u64, up| Link {
        index,
        name,
        up,
        mtu: Some(1500),
        rx_bytes: n * rate,
        tx_bytes: n * rate * 11,
        rx_packets: n * rate / 900,
        tx_packets: n * rate / 100,
        rx_dropped: if index == 2 { n * 14 } else { 0 },
        ..Link::default()
    };
    Links {
        list: vec![
            link(1, "lo".into(), 1_000_000, true),
            link(2, names.link.clone(), 8_000_000, true),
            Link { kind: Some("vxlan".into()), ..link(3, "vxlan42".into(), 0, false) },
        ],
    }
}
