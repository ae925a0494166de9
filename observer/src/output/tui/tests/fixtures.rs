//! Made-up hosts: a busy one, one of which nothing can be read, and one whose names are chosen by an attacker.

use super::memory_parts;
use crate::snapshot::{
    CgroupId, Cgroups, Host, Log2Histogram, Name, Snapshot, Stamp,
    cgroup::{Cgroup, CgroupStat},
    coverage::{Coverage, Loss, Probe, ProbeState, Source},
    kswapd::{Kswapd, KswapdNode, KswapdRequester},
    link::{Link, Links},
    memory::{Meminfo, Memory, Vmstat, Zone},
    oom::{Oom, OomKill, OomReclaim, OomTask},
    page_alloc::{AllocCounts, CgroupAlloc, PageAlloc, ProcessAlloc},
    pressure::{Pressure, Resource, Stall},
    process::{Process, Processes},
    reclaim::{CgroupReclaim, InFlight, ProcessReclaim, Reclaim, ReclaimKind, ReclaimTotals},
    tcp::{
        Closed, ClosedGroup, ClosedTotals, NamespaceCounts, Netstat, Snmp, Socket, SocketTotals, Sockets, State, Tcp,
        TcpInfo,
    },
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Seconds after boot of the first snapshot.
const BEGIN: u64 = 10_000;

fn stamp(second: u64) -> Stamp {
    let ns = (BEGIN + second) * 1_000_000_000;
    // 2026-01-31 12:00:00 UTC.
    Stamp { monotonic_ns: ns, boottime_ns: ns, realtime_ns: (1_769_860_800 + second) * 1_000_000_000 }
}

/// Names of processes and cgroups of a host.
struct Names {
    processes: [Name; 4],
    cgroups: [Name; 4],
    link: Name,
}

/// A host under memory pressure with lossy connections: so many snapshots, a second apart.
pub(super) fn busy(count: u64) -> Vec<Snapshot> {
    let names = Names {
        processes: ["java", "stress-ng-vm", "nginx: worker", "kworker/u8:2"].map(Name::from),
        cgroups: [
            "/",
            "/kubepods.slice/kubepods-burstable.slice/pod4a6f/batch",
            "/kubepods.slice/kubepods-burstable.slice/pod77aa/web",
            "/system.slice/ssh.service",
        ]
        .map(Name::from),
        link: "eth0".into(),
    };
    (0..count).map(|n| snapshot(n, &names)).collect()
}

/// The same host with names that were made to break screens.
pub(super) fn hostile(count: u64) -> Vec<Snapshot> {
    let names = Names {
        processes: [
            Name::from_bytes(b"\x1b[2J\x1b]0;owned\x07"),
            Name::from_bytes("漢字漢字漢字漢字漢字漢字".as_bytes()),
            Name::from_bytes(b"a\nb\r\n\xff\xfe\"'`$(reboot)"),
            Name::from_bytes("👩‍👩‍👧‍👦é\u{202e}evil".as_bytes()),
        ],
        cgroups: [
            Name::from("/"),
            Name::from_bytes(format!("/{}", "x".repeat(4000)).as_bytes()),
            Name::from_bytes("/コンテナ/\u{1b}[31mred/ﷺ/z̸̢a̵l̷g̶o̴".as_bytes()),
            Name::from_bytes(b"/\xf0\x28\x8c\x28/\t"),
        ],
        link: Name::from_bytes("網路介面卡網路\u{7}".as_bytes()),
    };
    (0..count).map(|n| snapshot(n, &names)).collect()
}

/// A host of which nothing can be read: every probe and every file has its reason.
pub(super) fn unreadable(count: u64) -> Vec<Snapshot> {
    let reason = "Operation not permitted (os error 1)";
    let probe = |name: &str, feeds: &str, attach: &str| Probe {
        name: name.to_owned(),
        attach: attach.to_owned(),
        feeds: feeds.to_owned(),
        state: ProbeState::Absent {
            reason: "bpf(BPF_PROG_LOAD): Operation not permitted".into(),
            replaced_by: None,
            remedy: Some("setcap cap_bpf,cap_perfmon+ep observer".to_owned()),
        },
        fields_missing: Vec::new(),
        runs: None,
        recursion_misses: None,
    };
    let coverage = Coverage {
        probes: vec![
            probe("page_alloc", "page_alloc", "tp_btf/mm_page_alloc"),
            probe("direct_reclaim_begin", "reclaim", "tp_btf/mm_vmscan_direct_reclaim_begin"),
            probe("kswapd_wake", "kswapd", "tp_btf/mm_vmscan_kswapd_wake"),
            probe("oom", "oom", "tp_btf/mark_victim"),
            probe("tcp_state", "tcp.namespaces", "tp_btf/inet_sock_set_state"),
            probe("tcp_destroy", "tcp.closed", "tp_btf/tcp_destroy_sock"),
            probe("tcp_sockets", "tcp.sockets", "iter/tcp"),
        ],
        sources: [
            Source::MEMINFO,
            Source::VMSTAT,
            Source::ZONEINFO,
            Source::PRESSURE_MEMORY,
            Source::SNMP,
            Source::NETSTAT,
            Source::LINKS,
            Source::PROCESSES,
            Source::CGROUPS,
        ]
        .into_iter()
        .map(|name| Source { name: name.to_owned(), missing: Some(format!("cannot read {name}: {reason}").into()) })
        .collect(),
        losses: Vec::new(),
    };
    (0..count).map(|n| Snapshot { stamp: stamp(n), coverage: coverage.clone(), ..Snapshot::default() }).collect()
}

fn snapshot(n: u64, names: &Names) -> Snapshot {
    let mut snapshot = Snapshot {
        stamp: stamp(n),
        host: Host {
            hostname: "db-17".into(),
            kernel_release: "6.12.38-amd64".into(),
            machine: "x86_64".into(),
            boot_id: "0f9e".into(),
            cpus: Some(8),
            page_size: Some(4096),
        },
        memory: memory(n),
        pressure: Some(pressure()),
        cgroups: Some(cgroups(n, names)),
        processes: Some(processes(names)),
        page_alloc: Some(page_alloc(n, names)),
        reclaim: Some(reclaim(n, names)),
        kswapd: Some(kswapd(n, names)),
        oom: Some(oom(n, names)),
        tcp: tcp(n),
        links: Some(links(n, names)),
        coverage: coverage(),
        ..Snapshot::default()
    };
    memory_parts::add(&mut snapshot, n, &names.processes[2], &names.cgroups[2]);
    snapshot
}

fn memory(n: u64) -> Memory {
    let zone = |zone: &str, free, low: u64| Zone {
        zone: zone.into(),
        free: Some(free),
        min: Some(low * 4 / 5),
        low: Some(low),
        high: Some(low * 6 / 5),
        boost: Some(0),
        managed: Some(8 * GIB),
        ..Zone::default()
    };
    Memory {
        meminfo: Some(Meminfo {
            total: Some(16 * GIB),
            free: Some(300 * MIB),
            available: Some(700 * MIB),
            buffers: Some(40 * MIB),
            cached: Some(3 * GIB),
            anon_pages: Some(11 * GIB),
            shmem: Some(GIB),
            slab: Some(900 * MIB),
            hugetlb: Some(0),
            swap_total: Some(2 * GIB),
            swap_free: Some(GIB / 2),
            ..Meminfo::default()
        }),
        vmstat: Some(Vmstat {
            oom_kill: Some(1 + n / 4),
            pgscan_kswapd_bytes: Some(n * 600 * MIB),
            pgsteal_kswapd_bytes: Some(n * 60 * MIB),
            pgfault: Some(n * 90_000),
            pgmajfault: Some(n * 700),
            pswpin_bytes: Some(n * 20 * MIB),
            pswpout_bytes: Some(n * 31 * MIB),
            workingset_refault_anon_bytes: Some(n * 12 * MIB),
            workingset_refault_file_bytes: Some(n * 55 * MIB),
            allocstall_normal: Some(n * 40),
            ..Vmstat::default()
        }),
        zones: Some(vec![
            zone("DMA32", 200 * MIB, 90 * MIB),
            zone("Normal", 60 * MIB, 70 * MIB),
            Zone { managed: Some(0), ..zone("Movable", 0, 0) },
        ]),
        buddy: None,
        ..Memory::default()
    }
}

fn pressure() -> Pressure {
    let resource = |avg10: f64| {
        let stall = |s: f64| Some(Stall { avg10: s, avg60: s / 2.0, avg300: s / 8.0, total_seconds: 900.0 });
        Some(Resource { some: stall(avg10), full: stall(avg10 / 3.0) })
    };
    Pressure { memory: resource(0.31), cpu: resource(0.72), io: resource(0.08) }
}

fn cgroups(n: u64, names: &Names) -> Cgroups {
    let list = names
        .cgroups
        .iter()
        .zip(1..)
        .map(|(path, i)| Cgroup {
            id: CgroupId(i),
            path: path.clone(),
            usage: Some(if i == 1 { 15 * GIB } else { 2 * GIB / i + n * i * MIB }),
            limit: (i == 2).then_some(GIB + 80 * MIB),
            unlimited: i == 1 || i == 3,
            swap: Some(0),
            stat: Some(CgroupStat {
                anon: Some(GIB / i),
                file: Some(300 * MIB),
                inactive_file: Some(100 * MIB),
                pgfault: Some(n * 9000),
                pgmajfault: Some(n * 70 * i),
                workingset_refault_anon_bytes: Some(0),
                workingset_refault_file_bytes: Some(n * 8 * MIB * (i - 1)),
                ..CgroupStat::default()
            }),
            limit_hits: Some(if i == 2 { n * 300 } else { 0 }),
            oom_kills: Some(if i == 2 { 1 + n / 4 } else { 0 }),
            ..Cgroup::default()
        })
        .collect();
    Cgroups { list, ..Cgroups::default() }
}

fn processes(names: &Names) -> Processes {
    let list = names
        .processes
        .iter()
        .zip(1u32..)
        .map(|(comm, i)| Process {
            pid: 1000 + i,
            comm: comm.clone(),
            rss: 4 * GIB / u64::from(i),
            major_faults: 30 * u64::from(i),
            oom_score_adj: Some(if i == 1 { -999 } else { 0 }),
            ..Process::default()
        })
        .collect();
    Processes { list, not_listed: 120 }
}

fn counts(order_0: u64, order_3: u64, failed: u64) -> AllocCounts {
    let mut counts = AllocCounts::default();
    counts.allocated[0] = order_0;
    counts.allocated[3] = order_3;
    counts.failed[9] = failed;
    counts
}

fn page_alloc(n: u64, names: &Names) -> PageAlloc {
    let processes = names
        .processes
        .iter()
        .zip(1u64..)
        .map(|(comm, i)| ProcessAlloc {
            cgroup: Some(CgroupId(i)),
            pid: 1000 + i as u32,
            start_ns: Some(i),
            comm: comm.clone(),
            counts: counts(n * (n % 5 + 1) * 20_000 / i, n * 40, if i == 2 { n * 3 } else { 0 }),
        })
        .collect();
    let exited = vec![CgroupAlloc { cgroup: Some(CgroupId(77)), counts: counts(n * 100, 0, 0) }];
    PageAlloc { processes, exited, other: counts(n * 7, 0, 0), ..PageAlloc::default() }
}

fn reclaim(n: u64, names: &Names) -> Reclaim {
    let totals =
        |i: u64| ReclaimTotals { count: n * 120 / i, total_ns: n * 410_000_000 / i, reclaimed_bytes: n * 90 * MIB };
    let latency = |i: u64| {
        let mut buckets = vec![0; 26];
        buckets[20] = n * 100 / i;
        buckets[24] = n * 20 / i;
        Log2Histogram { buckets }
    };
    let kind = |i: u64| if i == 2 { ReclaimKind::Memcg } else { ReclaimKind::Direct };
    Reclaim {
        by_cgroup: (2..=3)
            .map(|i| CgroupReclaim {
                cgroup: Some(CgroupId(i)),
                kind: kind(i),
                totals: totals(i),
                latency_ns: latency(i),
            })
            .collect(),
        by_process: names
            .processes
            .iter()
            .zip(1u64..)
            .map(|(comm, i)| ProcessReclaim {
                pid: 1000 + i as u32,
                comm: comm.clone(),
                cgroup: Some(CgroupId(i)),
                kind: kind(i),
                totals: totals(i),
                latency_ns: Default::default(),
            })
            .collect(),
        in_flight: vec![InFlight {
            tid: 1002,
            pid: 1002,
            comm: names.processes[1].clone(),
            cgroup: Some(CgroupId(2)),
            kind: ReclaimKind::Memcg,
            begin_ns: stamp(n).monotonic_ns - 340_000_000,
            order: 0,
        }],
        ..Reclaim::default()
    }
}

fn kswapd(n: u64, names: &Names) -> Kswapd {
    Kswapd {
        nodes: vec![
            KswapdNode {
                node: 0,
                wakes: n * 4,
                sleeps: n * 4,
                awake_ns: n * 870_000_000,
                awake_since_ns: None,
                ..KswapdNode::default()
            },
            KswapdNode {
                node: 1,
                awake_since_ns: Some(stamp(n).monotonic_ns - 5_000_000_000),
                ..KswapdNode::default()
            },
        ],
        requesters: vec![KswapdRequester {
            node: 0,
            pid: 1002,
            comm: names.processes[1].clone(),
            cgroup: Some(CgroupId(2)),
            requests: n * 310,
            last_order: 3,
            last_gfp: 0x1400ca,
        }],
        other_requests: n,
    }
}

fn oom(n: u64, names: &Names) -> Oom {
    let kills = 1 + n / 4;
    let task = |i: usize, path: bool| OomTask {
        pid: Some(1001 + i as u32),
        tid: 1001 + i as u32,
        comm: Some(names.processes[i].clone()),
        cgroup: Some(CgroupId(i as u64 + 1)),
        cgroup_path: path.then(|| names.cgroups[i].clone()),
    };
    let recent = (1..=kills)
        .map(|sequence| OomKill {
            monotonic_ns: stamp((sequence - 1) * 4).monotonic_ns - 200_000_000,
            sequence,
            trigger: task(2, true),
            victim: task(1, sequence % 2 == 0),
            last_reclaim: (sequence % 3 != 0).then_some(OomReclaim {
                kind: ReclaimKind::Memcg,
                order: 0,
                gfp: 0xcc0,
                begun_before_ns: 41_000_000,
                duration_ns: Some(38_000_000),
                reclaimed_bytes: Some(0),
            }),
        })
        .collect();
    Oom { kills, events_lost: 2, recent }
}

fn tcp(n: u64) -> Tcp {
    let socket = |i: u64, remote: std::net::IpAddr, state| Socket {
        cookie: i,
        netns: 4_026_531_840,
        local: (std::net::Ipv4Addr::new(10, 0, 0, 17).into(), 443),
        remote: (remote, 40_000 + i as u16),
        state,
        uid: 33,
        inode: 9000 + i,
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
    }
}

fn links(n: u64, names: &Names) -> Links {
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

fn coverage() -> Coverage {
    let probe = |name: &str, feeds: &str, state| Probe {
        name: name.to_owned(),
        attach: format!("tp_btf/{name}"),
        feeds: feeds.to_owned(),
        state,
        fields_missing: Vec::new(),
        runs: Some(123_456),
        recursion_misses: Some(0),
    };
    Coverage {
        probes: vec![
            probe("mm_page_alloc", "page_alloc", ProbeState::Attached),
            probe("mm_vmscan_kswapd_wake", "kswapd", ProbeState::Attached),
            probe(
                "mark_victim",
                "oom",
                ProbeState::Fallback {
                    with: "tracepoint/oom/mark_victim".to_owned(),
                    reason: "the arguments of this kernel are not those expected".into(),
                },
            ),
            probe(
                "tcp_send_reset",
                "tcp.namespaces",
                ProbeState::Absent {
                    reason: "BTF names no such tracepoint".into(),
                    replaced_by: Some("/proc/net/snmp OutRsts".to_owned()),
                    remedy: None,
                },
            ),
        ],
        sources: vec![
            Source { name: Source::MEMINFO.to_owned(), missing: None },
            Source { name: Source::CGROUPS.to_owned(), missing: None },
        ],
        losses: vec![
            Loss { what: "oom: events lost".to_owned(), count: 2 },
            Loss { what: "page_alloc: events missed by recursion".to_owned(), count: 0 },
        ],
    }
}
