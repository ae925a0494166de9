use crate::{
    model::Model,
    snapshot::{
        CgroupId, Log2Histogram, Snapshot, Stamp,
        reclaim::{ProcessReclaim, Reclaim, ReclaimKind, ReclaimTotals, Scan, Scanner},
    },
};

/// A second in which pages were looked at, and a process stalled `n` times.
fn at(second: u64, scans: &[(u64, Scanner, bool, u64, u64)], n: u64) -> Snapshot {
    let ns = second * 1_000_000_000;
    let scan = |&(cgroup, by, file, scanned_bytes, reclaimed_bytes): &(u64, Scanner, bool, u64, u64)| Scan {
        node: 0,
        by,
        cgroup: Some(CgroupId(cgroup)),
        file,
        scanned_bytes,
        reclaimed_bytes,
    };
    let stalled = ProcessReclaim {
        pid: 7,
        comm: "hog".into(),
        cgroup: None,
        kind: ReclaimKind::Memcg,
        totals: ReclaimTotals { count: n, total_ns: 5 * n, reclaimed_bytes: 0 },
        latency_ns: Log2Histogram { buckets: vec![0, 0, n] },
    };
    Snapshot {
        stamp: Stamp { monotonic_ns: ns, boottime_ns: ns, realtime_ns: ns },
        reclaim: Some(Reclaim {
            by_process: vec![stalled],
            scans: Some(scans.iter().map(scan).collect()),
            ..Reclaim::default()
        }),
        ..Snapshot::default()
    }
}

#[test]
fn scans_are_those_of_the_interval_most_first() {
    let before = at(1, &[(3, Scanner::Task, true, 1000, 1000), (1, Scanner::Kswapd, true, 50, 10)], 1);
    let now = at(
        3,
        &[(1, Scanner::Kswapd, true, 50, 10), (3, Scanner::Task, true, 1400, 1100), (3, Scanner::Task, false, 800, 0)],
        4,
    );
    let reclaim = Model::new(&now, Some(&before)).reclaim.unwrap();
    let scans = reclaim.scans.unwrap();
    let rows: Vec<_> = scans.iter().map(|s| (s.file, s.scanned_bytes, s.reclaimed, s.efficiency)).collect();
    assert_eq!(rows, [(false, 800, Some(0.0), Some(0.0)), (true, 400, Some(50.0), Some(0.25))], "kswapd slept");
    assert_eq!(reclaim.processes[0].latency_ns.buckets, [0, 0, 3]);
}

#[test]
fn without_an_interval_it_is_since_the_probes_and_has_no_rate() {
    let reclaim = Model::new(&at(1, &[(3, Scanner::Task, true, 8, 2)], 1), None).reclaim.unwrap();
    let scan = &reclaim.scans.unwrap()[0];
    assert_eq!((scan.scanned_bytes, scan.scanned, scan.efficiency), (8, None, Some(0.25)));
}

#[test]
fn without_the_probe_there_are_no_scans() {
    let mut now = at(1, &[], 1);
    now.reclaim.as_mut().unwrap().scans = None;
    assert_eq!(Model::new(&now, None).reclaim.unwrap().scans, None);
}
