//! Snapshots for the tests: one with something everywhere, and random ones.

use std::net::IpAddr;

use proptest::prelude::*;

use super::services;
use crate::snapshot::cgroup::{Cgroup, CgroupStat, Hierarchy};
use crate::snapshot::coverage::{Cost, Coverage, Loss, Probe, ProbeState, Source};
use crate::snapshot::cpu::{Cpu, CpuTimes, Cpus, Softnet};
use crate::snapshot::kswapd::{Kswapd, KswapdNode, KswapdRequester};
use crate::snapshot::link::{Link, Links};
use crate::snapshot::memory::{Buddy, Meminfo, Memory, Vmstat, Zone};
use crate::snapshot::oom::{Oom, OomKill, OomReclaim, OomRetry, OomTask};
use crate::snapshot::oom_report::{Frame, OomReport};
use crate::snapshot::oom_watch::{CgroupKills, LogKills, OomCounts, OomStored, OomWatch, ProbeKills};
use crate::snapshot::page_alloc::{AllocCounts, AllocFailure, CgroupAlloc, Failures, GfpFlag, PageAlloc, ProcessAlloc};
use crate::snapshot::pressure::{Pressure, Resource, Stall};
use crate::snapshot::process::{Process, Processes};
use crate::snapshot::reclaim::{CgroupReclaim, InFlight, ProcessReclaim, Reclaim, ReclaimKind, ReclaimTotals};
use crate::snapshot::tcp::{
    Closed, ClosedGroup, ClosedTotals, Device, NamespaceCounts, Netstat, Network, Owner, Service, Share, Snmp, Socket,
    SocketTotals, Sockets, State, Tcp, TcpInfo, TcpMemory, Traffic, TrafficTotals,
};
use crate::snapshot::{CgroupId, Cgroups, Host, Log2Histogram, Name, Snapshot, Stamp};

/// Names that must not be seen in a masked snapshot, and addresses.
pub(super) const SECRETS: &[&str] = &[
    "secret-host",
    "secret-boot",
    "secret-comm",
    "secret-user",
    "secret-cgroup",
    "secret-link",
    "192.0.2.7",
    "203.0.113.9",
    "203.0.113.0",
    "fe80::9",
];

/// A snapshot in which every part has something.
pub(super) fn full() -> Snapshot {
    let comm = || Name::from("secret-comm");
    let id = Some(CgroupId(77));
    let counts = AllocCounts { allocated: [3; 12], failed: [1; 12] };
    let stall = Stall { avg10: 0.1, avg60: 0.25, avg300: 1.0 / 3.0, total_seconds: 12.5 };
    let resource = || Some(Resource { some: Some(stall), full: Some(stall) });
    let lookup = |_: &str| Some(u64::MAX / 4096);
    let totals = ReclaimTotals { count: 1, total_ns: 2, reclaimed_bytes: 3 };
    let task =
        || OomTask { pid: Some(1), tid: 2, comm: Some(comm()), cgroup: id, cgroup_path: Some("/secret-cgroup".into()) };
    let kind = ReclaimKind::Memcg;
    let latency_ns = Log2Histogram { buckets: vec![0, 1, u64::MAX] };
    let reason = || Name::from_bytes(b"no \xff");
    let socket = |local: &str, remote: &str| Socket {
        cookie: u64::MAX,
        netns: 1,
        local: (local.parse::<IpAddr>().unwrap(), 80),
        remote: (remote.parse::<IpAddr>().unwrap(), 40000),
        state: State::FinWait1,
        uid: 1000,
        inode: 5,
        owner: Some(Owner { pid: 7, comm: comm(), cgroup: None }),
        cgroup: id,
        congestion: Some("cubic".into()),
        rx_ifindex: Some(2),
        tx_ifindex: Some(3),
        txhash: Some(4),
        tx_spi: Some(5),
        info: TcpInfo { bytes_acked: Some(9), cwnd: Some(10), ..TcpInfo::default() },
    };
    let probe = |state| Probe {
        name: "page_alloc".into(),
        attach: "tp_btf/mm_page_alloc".into(),
        feeds: "page_alloc".into(),
        state,
        fields_missing: vec!["task_struct.start_boottime".into()],
        runs: Some(1),
        recursion_misses: Some(0),
    };
    Snapshot {
        stamp: Stamp { monotonic_ns: 1, boottime_ns: 2, realtime_ns: 3 },
        host: Host {
            hostname: "secret-host".into(),
            kernel_release: "6.12".into(),
            machine: "x86_64".into(),
            boot_id: "secret-boot".into(),
            cpus: Some(2),
            page_size: Some(4096),
        },
        memory: Memory {
            meminfo: Some(Meminfo::from_lookup(1, lookup)),
            vmstat: Some(Vmstat::from_lookup(4096, lookup)),
            zones: Some(vec![Zone {
                node: 1,
                zone: "DMA".into(),
                lowmem_reserve: vec![1],
                free: Some(0),
                ..Zone::default()
            }]),
            buddy: Some(vec![Buddy { node: 1, zone: "DMA".into(), free_blocks: vec![1, 2] }]),
            ..Memory::default()
        },
        pressure: Some(Pressure { memory: resource(), cpu: resource(), io: resource() }),
        cgroups: Some(Cgroups {
            hierarchy: Hierarchy::Hybrid,
            list: vec![
                Cgroup { id: CgroupId(1), path: "/".into(), ..Cgroup::default() },
                Cgroup {
                    id: CgroupId(77),
                    path: "/secret-cgroup.slice/secret-cgroup".into(),
                    usage: Some(1),
                    limit: Some(2),
                    unlimited: false,
                    high: Some(3),
                    swap: Some(4),
                    stat: Some(CgroupStat::from_lookup(4096, lookup)),
                    limit_hits: Some(5),
                    high_hits: Some(6),
                    oom_kills: Some(7),
                    pressure: resource(),
                    ..Cgroup::default()
                },
            ],
            vanished: 1,
            not_read: 2,
            ..Cgroups::default()
        }),
        processes: Some(Processes {
            list: vec![
                Process {
                    pid: 1,
                    start_ns: 1,
                    comm: comm(),
                    rss: 1,
                    major_faults: 1,
                    oom_score_adj: Some(-1000),
                    ..Process::default()
                },
                Process { pid: 2, comm: "kswapd0".into(), ..Process::default() },
                Process { pid: 3, comm: "kworker/0:1-secret-comm".into(), ..Process::default() },
            ],
            not_listed: 3,
        }),
        page_alloc: Some(PageAlloc {
            processes: vec![ProcessAlloc { cgroup: id, pid: 1, start_ns: Some(1), comm: comm(), counts }],
            exited: vec![CgroupAlloc { cgroup: None, counts }],
            other: counts,
            failures: Some(Failures {
                rows: vec![AllocFailure { pid: Some(1), comm: Some(comm()), ..AllocFailure::default() }],
                flags: vec![GfpFlag { bit: 8, name: "__GFP_NOWARN".into() }],
            }),
            ..PageAlloc::default()
        }),
        reclaim: Some(Reclaim {
            by_cgroup: vec![CgroupReclaim { cgroup: id, kind, totals, latency_ns }],
            by_process: vec![ProcessReclaim {
                pid: 1,
                comm: comm(),
                cgroup: id,
                kind,
                totals,
                latency_ns: Default::default(),
            }],
            in_flight: vec![InFlight { tid: 1, pid: 1, comm: comm(), cgroup: id, kind, begin_ns: 1, order: 9 }],
            ..Reclaim::default()
        }),
        kswapd: Some(Kswapd {
            nodes: vec![KswapdNode {
                node: 0,
                wakes: 2,
                sleeps: 1,
                awake_ns: 9,
                awake_since_ns: Some(5),
                ..KswapdNode::default()
            }],
            requesters: vec![KswapdRequester { comm: comm(), cgroup: id, requests: 4, ..KswapdRequester::default() }],
            other_requests: 6,
        }),
        oom: Some(Oom {
            kills: 3,
            events_lost: 1,
            recent: [OomKill {
                monotonic_ns: 1,
                sequence: 2,
                trigger: task(),
                victim: task(),
                last_reclaim: Some(OomReclaim {
                    kind,
                    order: 3,
                    gfp: 4,
                    begun_before_ns: 5,
                    duration_ns: Some(6),
                    reclaimed_bytes: Some(7),
                }),
                last_retry: Some(OomRetry { before_ns: 1, ..OomRetry::default() }),
                stack: Some(vec![Frame { function: "out_of_memory".into(), ..Frame::default() }]),
            }]
            .into(),
        }),
        oom_watch: Some(OomWatch {
            counts: OomCounts {
                vmstat: Some(1),
                cgroups: Some(CgroupKills { living: 1, ..CgroupKills::default() }),
                probe: Some(ProbeKills { marked: 1, events_lost: 0 }),
                log: Some(LogKills { killed: 1, ..LogKills::default() }),
                last_kill: Some(Stamp::default()),
                ..OomCounts::default()
            },
            reports: vec![OomReport { hardware: Some("secret-host".into()), ..OomReport::default() }],
            stored: Some(OomStored { kills: 1, failures: 0 }),
        }),
        cpus: Some(Cpus {
            list: vec![Cpu {
                cpu: 1,
                times: CpuTimes { steal_ns: 3, ..CpuTimes::default() },
                softnet: Some(Softnet::default()),
            }],
        }),
        tcp: Tcp {
            first_bytes: Some(services::first_bytes(&comm())),
            listeners: Some(vec![services::listener(&comm())]),
            memory: Some(TcpMemory { used: Some(1), ..TcpMemory::default() }),
            snmp: Some(Snmp::from_lookup(1, lookup)),
            netstat: Some(Netstat::from_lookup(1, lookup)),
            namespaces: Some(vec![NamespaceCounts { netns: 1, retrans_segs: Some(2), ..NamespaceCounts::default() }]),
            closed: Some(Closed {
                list: vec![ClosedGroup {
                    netns: 1,
                    port: 443,
                    outgoing: true,
                    cgroup: id,
                    totals: ClosedTotals::default(),
                }],
                other: ClosedTotals { connections: 8, ..ClosedTotals::default() },
            }),
            sockets: Some(Sockets {
                list: vec![socket("192.0.2.7", "203.0.113.9"), socket("::1", "fe80::9")],
                other: SocketTotals { sockets: 1, ..SocketTotals::default() },
                listening: 2,
                namespaces: 3,
                namespaces_not_read: 4,
                ..Sockets::default()
            }),
            traffic: Some(Traffic {
                processes: vec![Share {
                    key: Some(Owner { pid: 7, comm: comm(), cgroup: None }),
                    totals: TrafficTotals { bytes_acked: 9, ..TrafficTotals::default() },
                }],
                cgroups: vec![Share { key: id, totals: TrafficTotals::default() }],
                networks: vec![Share {
                    key: Network { address: IpAddr::from([192, 0, 2, 0]), prefix: 24 },
                    totals: TrafficTotals::default(),
                }],
                services: vec![Share { key: Service { port: 443, outgoing: true }, totals: TrafficTotals::default() }],
                devices: vec![Share { key: Device { netns: 1, index: None }, totals: TrafficTotals::default() }],
                followed: 2,
                ..Traffic::default()
            }),
        },
        links: Some(Links {
            list: vec![
                Link { index: 1, name: "lo".into(), up: true, mtu: Some(65536), ..Link::default() },
                Link { index: 2, name: "secret-link".into(), kind: Some("vlan".into()), ..Link::default() },
            ],
        }),
        coverage: Coverage {
            probes: vec![
                probe(ProbeState::Attached),
                probe(ProbeState::Fallback { with: "tracepoint".into(), reason: reason() }),
                probe(ProbeState::Absent {
                    reason: reason(),
                    replaced_by: Some("/proc/vmstat".into()),
                    remedy: Some("sudo setcap cap_bpf+ep /home/secret-user/observer".into()),
                }),
            ],
            sources: vec![Source { name: "rtnetlink".into(), missing: Some(reason()) }],
            losses: vec![Loss { what: "events".into(), count: 0 }],
            costs: vec![Cost { source: "rtnetlink".into(), cpu_ns: 1 }],
        },
        ..Snapshot::default()
    }
}

prop_compose! {
    fn name()(bytes in proptest::collection::vec(any::<u8>(), 0..24)) -> Name {
        Name::from_bytes(&bytes)
    }
}

prop_compose! {
    fn cgroup()(
        (id, path, unlimited) in (any::<u64>(), name(), any::<bool>()),
        (usage, limit, oom_kills) in any::<(Option<u64>, Option<u64>, Option<u64>)>(),
        stat in any::<Option<u64>>(),
    ) -> Cgroup {
        let stat = stat.map(|value| CgroupStat { anon: Some(value), ..CgroupStat::default() });
        Cgroup { id: CgroupId(id), path, unlimited, usage, limit, oom_kills, stat, ..Cgroup::default() }
    }
}

prop_compose! {
    /// Snapshots that differ in what is there and in every kind of value.
    pub(super) fn any_snapshot()(
        (monotonic_ns, hostname) in (any::<u64>(), name()),
        cgroups in proptest::option::of(proptest::collection::vec(cgroup(), 0..6)),
        processes in proptest::option::of(proptest::collection::vec((any::<u32>(), name(), any::<Option<i32>>()), 0..6)),
        counts in proptest::option::of(any::<[u64; 12]>()),
        buckets in proptest::option::of(proptest::collection::vec(any::<u64>(), 0..64)),
        sockets in proptest::option::of(proptest::collection::vec(any::<(IpAddr, u16, Option<u64>)>(), 0..6)),
        stall in proptest::option::of((0.0..1.0f64, 0.0..1e9f64)),
        missing in proptest::option::of(name()),
    ) -> Snapshot {
        let by_cgroup = |buckets| CgroupReclaim {
            cgroup: None,
            kind: ReclaimKind::Direct,
            totals: ReclaimTotals::default(),
            latency_ns: Log2Histogram { buckets },
        };
        let socket = |(ip, port, bytes_acked)| Socket {
            cookie: 1,
            netns: 2,
            local: (ip, port),
            remote: (ip, port),
            state: State::Established,
            uid: 3,
            inode: 4,
            owner: None,
            cgroup: None,
            congestion: None,
            rx_ifindex: None,
            tx_ifindex: None,
            txhash: None,
            tx_spi: None,
            info: TcpInfo { bytes_acked, ..TcpInfo::default() },
        };
        let some = stall.map(|(avg10, total_seconds)| Stall { avg10, total_seconds, ..Stall::default() });
        let process = |(pid, comm, oom_score_adj)| Process { pid, comm, oom_score_adj, ..Process::default() };
        let mut snapshot = Snapshot {
            stamp: Stamp { monotonic_ns, ..Stamp::default() },
            host: Host { hostname, ..Host::default() },
            cgroups: cgroups.map(|list| Cgroups { list, ..Cgroups::default() }),
            processes: processes.map(|l| Processes { list: l.into_iter().map(process).collect(), not_listed: 1 }),
            page_alloc: counts.map(|c| PageAlloc { other: AllocCounts { allocated: c, failed: c }, ..PageAlloc::default() }),
            reclaim: buckets.map(|b| Reclaim { by_cgroup: vec![by_cgroup(b)], ..Reclaim::default() }),
            pressure: some.map(|_| Pressure { memory: Some(Resource { some, full: None }), ..Pressure::default() }),
            ..Snapshot::default()
        };
        snapshot.tcp.sockets = sockets.map(|l| Sockets { list: l.into_iter().map(socket).collect(), ..Sockets::default() });
        snapshot.coverage.sources.push(Source { name: "/proc/meminfo".into(), missing });
        snapshot
    }
}
