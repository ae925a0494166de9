//! What the kernel does when memory runs short, to its last step.

use observer::snapshot::{
    CgroupId, Log2Histogram,
    compaction::{CgroupCompaction, CompactResult, Compaction, Compactor, Extfrag, Fallback},
    kswapd::{Kswapd, KswapdNode, KswapdRequester},
    oom::{Oom, OomKill, OomReclaim, OomTask},
    reclaim::{CgroupReclaim, InFlight, ProcessReclaim, Reclaim, ReclaimKind, ReclaimTotals, Scan, Scanner, Throttle},
    retry::{Retries, Retry, RetryKind},
    shrinker::Shrinker,
};

use super::{MIB, Names, SECOND, stamp, users::PID};

/// The cgroup at its limit.
const BATCH: Option<CgroupId> = Some(CgroupId(2));
const WEB: Option<CgroupId> = Some(CgroupId(3));

fn latency(short: u64, long: u64) -> Log2Histogram {
    let mut buckets = vec![0; 26];
    buckets[20] = short;
    buckets[24] = long;
    Log2Histogram { buckets }
}

pub(super) fn reclaim(n: u64, names: &Names) -> Reclaim {
    let totals =
        |i: u64| ReclaimTotals { count: n * 120 / i, total_ns: n * 410_000_000 / i, reclaimed_bytes: n * 90 * MIB };
    let kind = |i: u64| if i == 2 { ReclaimKind::Memcg } else { ReclaimKind::Direct };
    let by_cgroup = (2..=3).map(|i| CgroupReclaim {
        cgroup: Some(CgroupId(i)),
        kind: kind(i),
        totals: totals(i),
        latency_ns: latency(n * 100 / i, n * 20 / i),
    });
    let by_process = names.processes.iter().zip(1u64..).map(|(comm, i)| ProcessReclaim {
        pid: PID - 1 + i as u32,
        comm: comm.clone(),
        cgroup: Some(CgroupId(i)),
        kind: kind(i),
        totals: totals(i),
        latency_ns: latency(n * 100 / i, n * 20 / i),
    });
    let scan = |by, cgroup, file, scanned_bytes| Scan {
        node: 0,
        by,
        cgroup,
        file,
        scanned_bytes,
        reclaimed_bytes: scanned_bytes / 4,
    };
    let wait = |reason: &str, count, ns| Throttle { cgroup: BATCH, reason: reason.into(), count, total_ns: count * ns };
    Reclaim {
        by_cgroup: by_cgroup.collect(),
        by_process: by_process.collect(),
        in_flight: vec![InFlight {
            tid: PID + 1,
            pid: PID + 1,
            comm: names.processes[1].clone(),
            cgroup: BATCH,
            kind: ReclaimKind::Memcg,
            begin_ns: stamp(n).monotonic_ns - 340_000_000,
            order: 0,
        }],
        scans: Some(vec![
            scan(Scanner::Kswapd, Some(CgroupId(1)), true, n * 600 * MIB),
            scan(Scanner::Task, BATCH, true, n * 10 * MIB),
            scan(Scanner::Task, WEB, false, n * 3 * MIB),
        ]),
        throttles: Some(vec![wait("writeback", n * 2, 9_000_000), wait("noprogress", n, 3_000_000)]),
        ..Reclaim::default()
    }
}

pub(super) fn kswapd(n: u64, names: &Names) -> Kswapd {
    Kswapd {
        nodes: vec![
            KswapdNode {
                node: 0,
                wakes: n * 4,
                sleeps: n * 4,
                awake_ns: n * 870_000_000,
                awake_since_ns: None,
                cycle_ns: latency(n * 3, n),
            },
            KswapdNode { node: 1, awake_since_ns: Some(stamp(n).monotonic_ns - 5 * SECOND), ..KswapdNode::default() },
        ],
        requesters: vec![KswapdRequester {
            node: 0,
            pid: PID + 1,
            comm: names.processes[1].clone(),
            cgroup: BATCH,
            requests: n * 310,
            last_order: 3,
            last_gfp: 0x1400ca,
        }],
        other_requests: n,
    }
}

pub(super) fn compaction(n: u64) -> Compaction {
    let result = |result: &str, count| CompactResult { result: result.into(), count };
    let direct = CgroupCompaction {
        cgroup: WEB,
        by: Compactor::Direct,
        results: vec![result("complete", n * 4), result("success", n)],
        total_ns: n * 20_000_000,
        latency_ns: latency(n * 4, n),
    };
    let background = CgroupCompaction {
        cgroup: Some(CgroupId(1)),
        by: Compactor::Kcompactd,
        results: vec![result("partial_skipped", n)],
        total_ns: n * 2_000_000,
        latency_ns: latency(n, 0),
    };
    Compaction { by_cgroup: vec![direct, background] }
}

pub(super) fn extfrag(n: u64, names: &Names) -> Extfrag {
    let fallback = |pid: u32, order, wanted: &str, count| Fallback {
        cgroup: WEB,
        pid,
        comm: names.processes[2].clone(),
        order,
        wanted: wanted.into(),
        taken: "movable".into(),
        count,
    };
    let rows = vec![fallback(PID + 2, 3, "unmovable", n * 7), fallback(PID + 2, 0, "reclaimable", n * 2)];
    Extfrag { rows, other: n }
}

pub(super) fn shrinkers(n: u64) -> Vec<Shrinker> {
    let shrinker = |function: &str, ns: u64| Shrinker {
        function: function.into(),
        count: n * 90,
        total_ns: n * ns,
        max_ns: 900_000,
        freed: n * 3000,
        latency_ns: latency(n * 90, 0),
    };
    vec![shrinker("super_cache_scan", 4_000_000), shrinker("scan_shadow_nodes", 7_000_000)]
}

pub(super) fn retries(n: u64, names: &Names) -> Retries {
    let retry = |kind, count| Retry {
        cgroup: BATCH,
        pid: PID + 1,
        comm: names.processes[1].clone(),
        kind,
        count,
        refused: n / 4,
        last_order: 0,
        last_loops: 2,
        last_available_bytes: (kind == RetryKind::Reclaim).then_some(MIB),
        last_min_bytes: (kind == RetryKind::Reclaim).then_some(2 * MIB),
    };
    Retries { rows: vec![retry(RetryKind::Compact, n), retry(RetryKind::Reclaim, n * 3)], other: 0 }
}

pub(super) fn oom(n: u64, names: &Names) -> Oom {
    let kills = 1 + n / 4;
    let task = |i: usize, path: bool| OomTask {
        pid: Some(PID + i as u32),
        tid: PID + i as u32,
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
            ..OomKill::default()
        })
        .collect();
    Oom { kills, events_lost: 2, recent }
}
