//! A snapshot in which every metric has something to say, and in which names are hostile.

mod network;

use std::collections::VecDeque;

use crate::snapshot::{
    Cgroup, CgroupId, Cgroups, Log2Histogram, Name, Snapshot,
    cgroup::CgroupStat,
    compaction::{CgroupCompaction, CompactResult, Compaction, Compactor, Extfrag, Fallback},
    container::Container,
    coverage::{Cost, Coverage, Loss, Probe, ProbeState, Source},
    kswapd::{Kswapd, KswapdNode, KswapdRequester},
    memory::{Buddy, Meminfo, Memory, Shmem, SlabCache, Slabs, Tmpfs, Zone},
    oom::{Oom, OomKill, OomReclaim, OomTask},
    oom_report::{self, Decision, OomReport},
    oom_watch::{CgroupKills, LogKills, OomCounts, OomStored, OomWatch, ProbeKills},
    page_alloc::{AllocCounts, CgroupAlloc, PageAlloc, ProcessAlloc},
    reclaim::{CgroupReclaim, InFlight, Reclaim, ReclaimKind, ReclaimTotals, Scan, Scanner, Throttle},
    retry::{Retries, Retry, RetryKind},
    shrinker::Shrinker,
    tcp::{
        Closed, ClosedGroup, ClosedTotals, Device, NamespaceCounts, Network, Owner, Service, Share, Socket,
        SocketTotals, Sockets, Tcp, TcpInfo, Traffic, TrafficTotals,
    },
};

/// A name with all that a format could trip over.
pub(super) const HOSTILE: &[u8] = b"a\"b\\c\nd}e,f=\xff \xe2\x80\xae#";

const SECOND: u64 = 1_000_000_000;
const PODS: CgroupId = CgroupId(7);

/// The snapshot `seconds` after the start; all that counts has gone on.
pub(super) fn snapshot(seconds: u64) -> Snapshot {
    let mut snapshot = Snapshot {
        cgroups: Some(Cgroups {
            list: vec![cgroup(CgroupId(1), b"/"), cgroup(PODS, HOSTILE)],
            dying: Some(5),
            ..Cgroups::default()
        }),
        page_alloc: Some(page_alloc(seconds)),
        reclaim: Some(reclaim(seconds)),
        kswapd: Some(kswapd(seconds)),
        memory: memory(seconds),
        compaction: Some(Compaction {
            by_cgroup: vec![CgroupCompaction {
                cgroup: Some(PODS),
                by: Compactor::Direct,
                results: vec![CompactResult { result: Name::from_bytes(HOSTILE), count: seconds }],
                total_ns: 1000 * seconds,
                latency_ns: Log2Histogram { buckets: vec![0, seconds] },
            }],
        }),
        extfrag: Some(extfrag(seconds)),
        retries: Some(retries(seconds)),
        shrinkers: Some(vec![Shrinker {
            function: Name::from_bytes(HOSTILE),
            count: seconds,
            total_ns: seconds,
            freed: seconds,
            ..Shrinker::default()
        }]),
        oom: Some(oom()),
        oom_watch: Some(oom_watch(seconds)),
        tcp: tcp(seconds),
        coverage: coverage(),
        ..Snapshot::default()
    };
    snapshot.stamp.monotonic_ns = (100 + seconds) * SECOND;
    snapshot.stamp.realtime_ns = (1_700_000_000 + seconds) * SECOND;
    snapshot.host.page_size = Some(4096);
    network::fill(&mut snapshot, seconds);
    snapshot
}

fn cgroup(id: CgroupId, path: &[u8]) -> Cgroup {
    let path = Name::from_bytes(&[if path == b"/" { b"".as_slice() } else { b"/" }, path].concat());
    Cgroup {
        id,
        path,
        usage: Some(1 << 20),
        limit: Some(1 << 30),
        limit_hits: Some(3),
        own_limit_hits: Some(3),
        own_ooms: Some(2),
        high: Some(1 << 29),
        high_hits: Some(1),
        stat: Some(CgroupStat {
            workingset_refault_anon_bytes: Some(1),
            workingset_refault_file_bytes: Some(2),
            ..CgroupStat::default()
        }),
        container: Some(Container { name: Some(Name::from_bytes(HOSTILE)), ..Container::default() }),
        ..Cgroup::default()
    }
}

fn memory(n: u64) -> Memory {
    let zone = Zone {
        zone: Name::from_bytes(HOSTILE),
        free: Some(n << 20),
        min: Some(1 << 20),
        managed: Some(1 << 30),
        ..Zone::default()
    };
    Memory {
        meminfo: Some(Meminfo { total: Some(1 << 30), free: Some(1 << 29), ..Meminfo::default() }),
        buddy: Some(vec![Buddy { node: 0, zone: zone.zone.clone(), free_blocks: vec![n, 0, 1] }]),
        zones: Some(vec![zone]),
        slabs: Some(Slabs {
            list: vec![SlabCache { name: Name::from_bytes(HOSTILE), bytes: n << 12, ..SlabCache::default() }],
            ..Slabs::default()
        }),
        shmem: Some(Shmem {
            tmpfs: vec![Tmpfs { mount_point: Name::from_bytes(HOSTILE), used: Some(4096), ..Tmpfs::default() }],
            ..Shmem::default()
        }),
        ..Memory::default()
    }
}

fn counts(n: u64) -> AllocCounts {
    let mut failed = [0; 12];
    failed[9] = n;
    AllocCounts { allocated: [n; 12], failed }
}

fn page_alloc(n: u64) -> PageAlloc {
    PageAlloc {
        processes: vec![ProcessAlloc {
            cgroup: Some(PODS),
            pid: 42,
            start_ns: Some(5),
            comm: Name::from_bytes(HOSTILE),
            counts: counts(n),
        }],
        exited: vec![CgroupAlloc { cgroup: Some(CgroupId(1)), counts: counts(2 * n) }],
        other: counts(3 * n),
        ..PageAlloc::default()
    }
}

fn reclaim(n: u64) -> Reclaim {
    let row = |kind| CgroupReclaim {
        cgroup: Some(PODS),
        kind,
        totals: ReclaimTotals { count: 4 * n, total_ns: 100_000 * n, reclaimed_bytes: 4096 * n },
        // One below the first bound, two between, one above the last.
        latency_ns: Log2Histogram {
            buckets: (0..48).map(|i| if matches!(i, 10 | 17 | 18 | 40) { n } else { 0 }).collect(),
        },
    };
    let in_flight = InFlight {
        tid: 43,
        pid: 42,
        comm: Name::from_bytes(HOSTILE),
        cgroup: Some(PODS),
        kind: ReclaimKind::Memcg,
        begin_ns: 99 * SECOND,
        order: 0,
    };
    Reclaim {
        by_cgroup: vec![row(ReclaimKind::Direct), row(ReclaimKind::Memcg)],
        by_process: Vec::new(),
        in_flight: vec![in_flight],
        scans: Some(vec![Scan {
            node: 0,
            by: Scanner::Kswapd,
            cgroup: Some(PODS),
            file: true,
            scanned_bytes: 2 * n,
            reclaimed_bytes: n,
        }]),
        throttles: Some(vec![Throttle {
            cgroup: Some(PODS),
            reason: Name::from_bytes(HOSTILE),
            count: n,
            total_ns: n,
        }]),
        ..Reclaim::default()
    }
}

fn kswapd(n: u64) -> Kswapd {
    let requester = KswapdRequester {
        node: 0,
        pid: 42,
        comm: Name::from_bytes(HOSTILE),
        cgroup: Some(PODS),
        requests: n,
        last_order: 0,
        last_gfp: 0,
    };
    let node = KswapdNode {
        node: 0,
        wakes: n,
        sleeps: n - 1,
        awake_ns: n * 1000,
        awake_since_ns: Some(99 * SECOND),
        ..KswapdNode::default()
    };
    Kswapd { nodes: vec![node], requesters: vec![requester], other_requests: n }
}

fn extfrag(n: u64) -> Extfrag {
    let row = |pid, taken: &[u8]| Fallback {
        cgroup: Some(PODS),
        pid,
        comm: Name::from_bytes(HOSTILE),
        wanted: Name::from("unmovable"),
        taken: Name::from_bytes(taken),
        count: n,
        ..Fallback::default()
    };
    Extfrag { rows: vec![row(42, b"movable"), row(43, b"movable"), row(42, HOSTILE)], other: n }
}

fn retries(n: u64) -> Retries {
    let row = |pid, kind| Retry {
        cgroup: Some(PODS),
        pid,
        comm: Name::from_bytes(HOSTILE),
        kind,
        count: n,
        refused: n / 2,
        last_order: 0,
        last_loops: 1,
        last_available_bytes: None,
        last_min_bytes: None,
    };
    Retries { rows: vec![row(42, RetryKind::Reclaim), row(43, RetryKind::Compact)], other: 2 * n }
}

fn oom() -> Oom {
    let task = OomTask {
        pid: Some(42),
        tid: 42,
        comm: Some(Name::from_bytes(HOSTILE)),
        cgroup: Some(PODS),
        cgroup_path: None,
    };
    let last_reclaim = OomReclaim {
        kind: ReclaimKind::Memcg,
        order: 0,
        gfp: 0,
        begun_before_ns: 1,
        duration_ns: None,
        reclaimed_bytes: None,
    };
    let kill = OomKill {
        monotonic_ns: 90 * SECOND,
        sequence: 2,
        trigger: task.clone(),
        victim: task,
        last_reclaim: Some(last_reclaim),
        ..OomKill::default()
    };
    // The event of the first kill was lost.
    Oom { kills: 2, events_lost: 1, recent: VecDeque::from([kill]) }
}

/// The limit of the pods, at the level above the victim's.
fn oom_watch(seconds: u64) -> OomWatch {
    let decision = Decision {
        oom_memcg: Some(Name::from_bytes(&[b"/", HOSTILE].concat())),
        task_memcg: Some(Name::from_bytes(&[b"/", HOSTILE, b"/x"].concat())),
        ..Decision::default()
    };
    let report =
        OomReport { decision: Some(decision), kills: vec![oom_report::Kill::default(); 2], ..OomReport::default() };
    let counts = OomCounts {
        vmstat: Some(seconds),
        cgroups: Some(CgroupKills { living: 1, removed: seconds - 1, by_event: 0, not_read: 3 }),
        probe: Some(ProbeKills { marked: seconds, events_lost: 1 }),
        log: Some(LogKills { killed: seconds, already_exiting: 1, records_lost: 5, not_kept: 1 }),
        ..OomCounts::default()
    };
    OomWatch { counts, reports: vec![report], stored: Some(OomStored { kills: seconds, failures: 1 }) }
}

fn tcp(n: u64) -> Tcp {
    let totals = ClosedTotals {
        connections: n,
        bytes_acked: 1000 * n,
        bytes_received: 2000 * n,
        segs_out: 10 * n,
        retrans_segs: n,
        srtt_ns_sum: 1_000_000 * n,
        timed: n,
        duration_ns_sum: 3_000_000_000 * n,
    };
    let group = ClosedGroup { netns: 4_026_531_840, port: 443, outgoing: true, cgroup: Some(PODS), totals };
    let namespace = NamespaceCounts {
        netns: 4_026_531_840,
        active_opens: n,
        passive_opens: n,
        attempt_fails: Some(n),
        estab_resets: Some(n),
        established: 2 * n,
        closed: n,
        retrans_segs: Some(n),
        resets_sent: Some(n),
        resets_received: Some(n),
    };
    let info = TcpInfo {
        notsent_bytes: Some(100),
        busy_ns: Some(n * SECOND),
        rwnd_limited_ns: Some(n * SECOND / 2),
        sndbuf_limited_ns: Some(n * SECOND / 4),
        ..TcpInfo::default()
    };
    let (local, remote) = (([127, 0, 0, 1].into(), 443), ([127, 0, 0, 1].into(), 50_000));
    let socket = Socket { info, ..Socket::new(1, 4_026_531_840, local, remote) };
    Tcp {
        namespaces: Some(vec![namespace]),
        closed: Some(Closed { list: vec![group], other: totals }),
        sockets: Some(Sockets {
            list: vec![socket],
            other: SocketTotals { sockets: 5, ..SocketTotals::default() },
            listening: 2,
            time_wait: 4,
            syn_recv: 1,
            namespaces: 3,
            namespaces_not_read: 1,
            namespaces_waiting: 1,
            waiting: Vec::new(),
        }),
        traffic: Some(traffic(n)),
        ..Tcp::default()
    }
}

fn traffic(n: u64) -> Traffic {
    let totals =
        TrafficTotals { bytes_acked: 1000 * n, bytes_received: 2000 * n, retrans_segs: n, began: 2 * n, ended: n };
    let web = Owner { pid: 7, comm: "web".into(), cgroup: None };
    Traffic {
        total: totals,
        processes: vec![Share { key: Some(web), totals }],
        cgroups: vec![Share { key: Some(PODS), totals }],
        networks: vec![Share { key: Network { address: [192, 0, 2, 0].into(), prefix: 24 }, totals }],
        services: vec![Share { key: Service { port: 443, outgoing: true }, totals }],
        devices: vec![Share { key: Device { netns: 4_026_531_840, index: Some(1) }, totals }],
        followed: 6,
        not_followed: 1,
        untold: 1,
    }
}

fn coverage() -> Coverage {
    let probe = |name: &str, state| Probe {
        name: name.into(),
        attach: format!("tp_btf/{name}"),
        feeds: name.into(),
        state,
        fields_missing: vec!["task_struct.x".into()],
        runs: Some(1000),
        recursion_misses: Some(1),
    };
    let absent = ProbeState::Absent { reason: Name::from("no BTF"), replaced_by: None, remedy: None };
    let fallback = ProbeState::Fallback { with: "tracepoint".into(), reason: Name::from("no tp_btf") };
    Coverage {
        probes: vec![probe("attached", ProbeState::Attached), probe("absent", absent), probe("fallback", fallback)],
        sources: vec![Source { name: "/proc/meminfo".into(), missing: None }],
        losses: vec![Loss { what: "page_alloc: events missed by recursion".into(), count: 1 }],
        costs: vec![Cost { source: "/proc/meminfo".into(), cpu_ns: 1 }],
    }
}
