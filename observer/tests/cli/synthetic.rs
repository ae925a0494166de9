//! Hosts that were never there: one on which everything happens, one on which nothing can be seen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use observer::snapshot::{
    Cgroup, CgroupId, Cgroups, Host, Log2Histogram, Name, Snapshot, Stamp,
    cgroup::{CgroupStat, Hierarchy},
    coverage::{Coverage, Loss, Probe, ProbeState, Source},
    kswapd::{Kswapd, KswapdNode, KswapdRequester},
    link::{Link, Links},
    memory::{Buddy, Meminfo, Memory, Vmstat, Zone},
    oom::{Oom, OomKill, OomReclaim, OomTask},
    page_alloc::{AllocCounts, PageAlloc, ProcessAlloc},
    pressure::{Pressure, Resource, Stall},
    process::{Process, Processes},
    reclaim::{CgroupReclaim, InFlight, ProcessReclaim, Reclaim, ReclaimKind, ReclaimTotals},
    tcp::{
        Closed, ClosedGroup, ClosedTotals, NamespaceCounts, Netstat, Snmp, Socket, SocketTotals, Sockets, State, Tcp,
        TcpInfo,
    },
};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;

/// Escape codes, a line break, quotes and a byte that is no UTF-8.
pub(crate) const HOSTILE: &[u8] = b"\x1b[31m\"x'\n\xff";

fn host() -> Host {
    Host {
        hostname: Name::from("db-1"),
        kernel_release: Name::from("6.12.48"),
        machine: Name::from("x86_64"),
        boot_id: Name::from("00000000-0000-4000-8000-000000000001"),
        cpus: Some(8),
        page_size: Some(4096),
    }
}

fn stamp(second: u64) -> Stamp {
    let monotonic_ns = 100_000 * SECOND + second * SECOND;
    Stamp { monotonic_ns, boottime_ns: monotonic_ns, realtime_ns: 1_800_000_000 * SECOND + second * SECOND }
}

/// A host on which everything happens, after `second` seconds of it.
pub(crate) fn busy(second: u64) -> Snapshot {
    Snapshot {
        stamp: stamp(second),
        host: host(),
        memory: memory(second),
        pressure: Some(Pressure { memory: Some(stalls()), cpu: None, io: None }),
        cgroups: Some(cgroups(second)),
        processes: Some(Processes {
            list: vec![Process {
                pid: 4711,
                start_ns: SECOND,
                comm: Name::from("postgres"),
                rss: 3 * GIB,
                major_faults: 12 * second,
                oom_score_adj: Some(-500),
                ..Process::default()
            }],
            not_listed: 211,
        }),
        page_alloc: Some(page_alloc(second)),
        reclaim: Some(reclaim(second)),
        kswapd: Some(kswapd(second)),
        oom: Some(oom(second)),
        tcp: tcp(second),
        links: Some(links(second)),
        coverage: busy_coverage(),
        ..Snapshot::default()
    }
}

fn memory(second: u64) -> Memory {
    Memory {
        meminfo: Some(Meminfo {
            total: Some(16 * GIB),
            free: Some(200 * MIB),
            available: Some(600 * MIB),
            cached: Some(2 * GIB),
            shmem: Some(512 * MIB),
            anon_pages: Some(12 * GIB),
            slab_unreclaimable: Some(300 * MIB),
            page_tables: Some(64 * MIB),
            dirty: Some(10 * MIB),
            swap_total: Some(4 * GIB),
            swap_free: Some(GIB),
            ..Meminfo::default()
        }),
        vmstat: Some(Vmstat {
            oom_kill: Some(7 + second / 2),
            pgscan_kswapd_bytes: Some(second * 400 * MIB),
            pgsteal_kswapd_bytes: Some(second * 100 * MIB),
            pgscan_direct_bytes: Some(second * 20 * MIB),
            pgsteal_direct_bytes: Some(second * 15 * MIB),
            allocstall_normal: Some(second * 30),
            pgfault: Some(second * 50_000),
            pgmajfault: Some(second * 250),
            pswpin_bytes: Some(second * 5 * MIB),
            pswpout_bytes: Some(second * 25 * MIB),
            workingset_refault_anon_bytes: Some(second * 3 * MIB),
            workingset_refault_file_bytes: Some(second * 30 * MIB),
            compact_stall: Some(second),
            ..Vmstat::default()
        }),
        zones: Some(vec![
            zone("DMA", 15 * MIB, 14 * MIB, [64 << 10, 80 << 10, 96 << 10]),
            zone("DMA32", 3 * GIB, 40 * MIB, [32 * MIB, 48 * MIB, 56 * MIB]),
            zone("Normal", 13 * GIB, 100 * MIB, [128 * MIB, 160 * MIB, 192 * MIB]),
            Zone { zone: Name::from("Movable"), managed: Some(0), ..Zone::default() },
        ]),
        buddy: Some(vec![Buddy { node: 0, zone: Name::from("Normal"), free_blocks: vec![20_000, 500, 3, 0, 0] }]),
        ..Memory::default()
    }
}

fn zone(name: &str, managed: u64, free: u64, [min, low, high]: [u64; 3]) -> Zone {
    Zone {
        zone: Name::from(name),
        managed: Some(managed),
        free: Some(free),
        min: Some(min),
        low: Some(low),
        high: Some(high),
        ..Zone::default()
    }
}

fn stalls() -> Resource {
    let stall = |avg10, avg60, avg300| Some(Stall { avg10, avg60, avg300, total_seconds: 99.0 });
    Resource { some: stall(0.42, 0.3, 0.1), full: stall(0.2, 0.1, 0.0123) }
}

fn cgroups(second: u64) -> Cgroups {
    let cgroup = |id, path: &str, usage, limit: Option<u64>| Cgroup {
        id: CgroupId(id),
        path: Name::from(path),
        usage: Some(usage),
        limit,
        unlimited: limit.is_none(),
        stat: Some(CgroupStat { inactive_file: Some(MIB), pgmajfault: Some(second * 10), ..CgroupStat::default() }),
        limit_hits: Some(0),
        oom_kills: Some(0),
        ..Cgroup::default()
    };
    let full = Cgroup {
        limit_hits: Some(second * 100),
        oom_kills: Some(second / 2),
        ..cgroup(3, "/kubepods.slice/kubepods-burstable.slice/pod1234/postgres", 4 * GIB - second * MIB, Some(4 * GIB))
    };
    let hostile =
        Cgroup { path: Name::from_bytes(&[b"/", HOSTILE].concat()), ..cgroup(4, "", 90 * MIB, Some(100 * MIB)) };
    let list =
        vec![cgroup(1, "/", 15 * GIB, None), cgroup(2, "/kubepods.slice", 9 * GIB, Some(14 * GIB)), full, hostile];
    Cgroups { hierarchy: Hierarchy::V2, list, vanished: 1, not_read: 0, ..Cgroups::default() }
}

fn page_alloc(second: u64) -> PageAlloc {
    let process = |pid, comm: &[u8], cgroup, pages: u64, failed: u64| {
        let mut counts = AllocCounts::default();
        counts.allocated[0] = pages * second;
        counts.allocated[3] = second;
        counts.failed[9] = failed * second;
        ProcessAlloc {
            cgroup: Some(CgroupId(cgroup)),
            pid,
            start_ns: Some(SECOND),
            comm: Name::from_bytes(comm),
            counts,
        }
    };
    let mut other = AllocCounts::default();
    other.allocated[0] = 10 * second;
    PageAlloc {
        processes: vec![
            process(4711, b"postgres", 3, 50_000, 0),
            process(4712, HOSTILE, 4, 9000, 3),
            process(1, b"systemd", 1, 1, 0),
            process(99, b"short", 77, 5, 0),
        ],
        exited: Vec::new(),
        other,
        ..PageAlloc::default()
    }
}

fn reclaim(second: u64) -> Reclaim {
    let totals =
        ReclaimTotals { count: 50 * second, total_ns: 400_000_000 * second, reclaimed_bytes: 100 * MIB * second };
    Reclaim {
        by_cgroup: vec![CgroupReclaim {
            cgroup: Some(CgroupId(3)),
            kind: ReclaimKind::Memcg,
            totals,
            latency_ns: Log2Histogram { buckets: vec![0, 0, 0, 50 * second] },
        }],
        by_process: vec![ProcessReclaim {
            pid: 4711,
            comm: Name::from("postgres"),
            cgroup: Some(CgroupId(3)),
            kind: ReclaimKind::Memcg,
            totals,
            latency_ns: Default::default(),
        }],
        in_flight: vec![InFlight {
            tid: 4713,
            pid: 4711,
            comm: Name::from("postgres"),
            cgroup: Some(CgroupId(3)),
            kind: ReclaimKind::Direct,
            begin_ns: stamp(0).monotonic_ns,
            order: 2,
        }],
        ..Reclaim::default()
    }
}

fn kswapd(second: u64) -> Kswapd {
    Kswapd {
        nodes: vec![KswapdNode {
            node: 0,
            wakes: 3 * second,
            sleeps: 3 * second,
            awake_ns: 800_000_000 * second,
            awake_since_ns: (second > 0).then(|| stamp(second).monotonic_ns - SECOND / 2),
            ..KswapdNode::default()
        }],
        requesters: vec![KswapdRequester {
            node: 0,
            pid: 4711,
            comm: Name::from("postgres"),
            cgroup: Some(CgroupId(3)),
            requests: 120 * second,
            last_order: 0,
            last_gfp: 0xcc0,
        }],
        other_requests: second,
    }
}

fn oom(second: u64) -> Oom {
    let task = |pid, comm: &[u8]| OomTask {
        pid: Some(pid),
        tid: pid,
        comm: Some(Name::from_bytes(comm)),
        cgroup: Some(CgroupId(3)),
        cgroup_path: None,
    };
    let kill = OomKill {
        monotonic_ns: stamp(1).monotonic_ns,
        sequence: 1,
        trigger: task(4711, b"postgres"),
        victim: task(4712, HOSTILE),
        last_reclaim: Some(OomReclaim {
            kind: ReclaimKind::Memcg,
            order: 0,
            gfp: 0xcc0,
            begun_before_ns: 12_000_000,
            duration_ns: Some(11_000_000),
            reclaimed_bytes: Some(0),
        }),
    };
    let kills = second / 2;
    Oom { kills, events_lost: 0, recent: (0..kills).map(|_| kill.clone()).collect() }
}

fn tcp(second: u64) -> Tcp {
    let socket = |cookie, remote, sent: u64| Socket {
        cookie,
        netns: 4_026_531_840,
        local: (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 5432),
        remote,
        state: State::Established,
        uid: 26,
        inode: 900 + cookie,
        info: TcpInfo {
            bytes_acked: Some(sent * second),
            bytes_received: Some(1000 * second),
            segs_out: Some(1000 * second),
            retrans_segs: Some(30 * second),
            srtt_ns: Some(1_500_000),
            busy_ns: Some(900_000_000 * second),
            rwnd_limited_ns: Some(600_000_000 * second),
            sndbuf_limited_ns: Some(0),
            ..TcpInfo::default()
        },
    };
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x1234);
    Tcp {
        snmp: Some(Snmp {
            active_opens: Some(5 * second),
            passive_opens: Some(40 * second),
            curr_estab: Some(2),
            out_segs: Some(9700 * second),
            retrans_segs: Some(300 * second),
            out_rsts: Some(second),
            ..Snmp::default()
        }),
        netstat: Some(Netstat { timeouts: Some(4 * second), listen_drops: Some(0), ..Netstat::default() }),
        namespaces: Some(vec![NamespaceCounts {
            netns: 4_026_531_840,
            active_opens: 5 * second,
            passive_opens: 40 * second,
            attempt_fails: None,
            estab_resets: Some(second),
            established: 45 * second,
            closed: 43 * second,
            retrans_segs: Some(300 * second),
            resets_sent: Some(0),
            resets_received: Some(0),
        }]),
        closed: Some(Closed {
            list: vec![ClosedGroup {
                netns: 4_026_531_840,
                port: 5432,
                outgoing: false,
                cgroup: Some(CgroupId(3)),
                totals: ClosedTotals {
                    connections: 43 * second,
                    bytes_acked: 43 * second * 1000,
                    bytes_received: 43 * second * 200,
                    segs_out: 43 * second * 5,
                    retrans_segs: second,
                    srtt_ns_sum: 43 * second * 700_000,
                    ..ClosedTotals::default()
                },
            }],
            other: ClosedTotals::default(),
        }),
        sockets: Some(Sockets {
            list: vec![
                socket(1, (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 40_000), 1_000_000),
                socket(2, (IpAddr::V6(v6), 40_001), 125_000_000),
            ],
            other: SocketTotals { sockets: 3, ..SocketTotals::default() },
            listening: 4,
            namespaces: 2,
            namespaces_not_read: 1,
            ..Sockets::default()
        }),
    }
}

fn links(second: u64) -> Links {
    let link = |index, name: &str, kind: Option<&str>, rate: u64| Link {
        index,
        name: Name::from(name),
        kind: kind.map(Name::from),
        up: true,
        mtu: Some(1450),
        rx_bytes: rate * second,
        tx_bytes: rate * second / 2,
        rx_packets: rate * second / 1000,
        tx_packets: rate * second / 1000,
        rx_errors: 0,
        tx_errors: second,
        rx_dropped: 0,
        tx_dropped: 0,
    };
    Links {
        list: vec![
            link(1, "lo", None, 0),
            link(2, "eth0", None, 125_000_000),
            link(3, "vxlan.calico", Some("vxlan"), 12_500_000),
        ],
    }
}

fn probe(name: &str, attach: &str, feeds: &str, state: ProbeState) -> Probe {
    Probe {
        name: name.to_owned(),
        attach: attach.to_owned(),
        feeds: feeds.to_owned(),
        state,
        fields_missing: Vec::new(),
        runs: None,
        recursion_misses: Some(0),
    }
}

fn busy_coverage() -> Coverage {
    let source = |name: &str| Source { name: name.to_owned(), missing: None };
    let fallback =
        ProbeState::Fallback { with: "tp_btf/mark_victim (pid)".to_owned(), reason: Name::from("it passes a pid") };
    Coverage {
        probes: vec![
            probe("page_alloc", "tp_btf/mm_page_alloc", "page_alloc", ProbeState::Attached),
            Probe {
                fields_missing: vec!["tcp_sock.rcv_ooopack".to_owned()],
                ..probe("tcp_sockets", "iter/tcp", "tcp.sockets", ProbeState::Attached)
            },
            probe("oom", "tp_btf/mark_victim", "oom", fallback),
        ],
        sources: vec![source(Source::MEMINFO), source(Source::VMSTAT)],
        losses: vec![
            Loss { what: "oom ring buffer events".to_owned(), count: 0 },
            Loss { what: "page_alloc: events missed by recursion".to_owned(), count: 17 },
        ],
    }
}

/// A host on which nothing can be seen, and each part says why.
pub(crate) fn blind() -> Snapshot {
    let absent = |replaced_by: Option<&str>| ProbeState::Absent {
        reason: Name::from("Operation not permitted (os error 1)"),
        replaced_by: replaced_by.map(str::to_owned),
        remedy: Some("sudo setcap cap_bpf,cap_perfmon+ep /usr/bin/observer".to_owned()),
    };
    let source = |name: &str| Source {
        name: name.to_owned(),
        missing: Some(Name::from(format!("cannot read {name}: Permission denied (os error 13)"))),
    };
    let names = [
        Source::MEMINFO,
        Source::VMSTAT,
        Source::ZONEINFO,
        Source::PRESSURE_MEMORY,
        Source::SNMP,
        Source::LINKS,
        Source::CGROUPS,
    ];
    Snapshot {
        stamp: stamp(0),
        host: Host { cpus: None, page_size: None, ..host() },
        coverage: Coverage {
            probes: vec![
                probe("page_alloc", "tp_btf/mm_page_alloc", "page_alloc", absent(Some("/proc/vmstat pgalloc_*"))),
                probe("kswapd_wake", "tp_btf/mm_vmscan_kswapd_wake", "kswapd", absent(None)),
                probe("reclaim", "tp_btf/mm_vmscan_direct_reclaim_begin", "reclaim", absent(None)),
                probe("oom", "tp_btf/mark_victim", "oom", absent(Some("/proc/vmstat oom_kill"))),
                probe("tcp_state", "tp_btf/inet_sock_set_state", "tcp.namespaces", absent(Some("/proc/net/snmp"))),
                probe("tcp_sockets", "iter/tcp", "tcp.sockets", absent(None)),
                probe("tcp_destroy", "tp_btf/tcp_destroy_sock", "tcp.closed", absent(None)),
            ],
            sources: names.map(source).into(),
            losses: Vec::new(),
        },
        ..Snapshot::default()
    }
}
