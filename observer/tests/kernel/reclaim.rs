//! Reclaim at a cgroup's own limit, against perf's count of the same process.

use observer::snapshot::{CgroupId, Log2Histogram, Snapshot, reclaim::ReclaimKind};

use crate::support::{
    cgroup::Cgroup,
    file::BigFile,
    needs_root,
    observer::{load, missed, read},
    perf::Counter,
    seen,
    workload::Workload,
};

const LIMIT: u64 = 32 << 20;
const FILE: u64 = 192 << 20;

/// Reclaims of one cgroup at its own limit: count, nanoseconds, bytes, latencies.
fn at_limit(snapshot: &Snapshot, cgroup: CgroupId) -> (u64, u64, u64, Log2Histogram) {
    let rows = &snapshot.reclaim.as_ref().expect("reclaim is counted").by_cgroup;
    let row = rows.iter().find(|r| r.cgroup == Some(cgroup) && r.kind == ReclaimKind::Memcg);
    row.map(|r| (r.totals.count, r.totals.total_ns, r.totals.reclaimed_bytes, r.latency_ns.clone())).unwrap_or_default()
}

#[test]
fn reclaim_at_a_limit_is_counted_in_its_cgroup_and_process() {
    needs_root!("reclaim_at_a_limit_is_counted_in_its_cgroup_and_process");
    let cgroup = Cgroup::limited("reclaim", LIMIT);
    let file = BigFile::new(FILE);
    let mut kernel = load();
    let mut work = Workload::start(&format!("read {} 2", file.path().display()), Some(&cgroup));
    let (pid, id) = (work.pid(), cgroup.id());
    let begun = Counter::of_process(pid, "vmscan:mm_vmscan_memcg_reclaim_begin", None);
    let ended = Counter::of_process(pid, "vmscan:mm_vmscan_memcg_reclaim_end", None);
    let before = read(&mut kernel);
    assert_eq!(at_limit(&before, id), Default::default(), "the cgroup is far from its limit");
    assert_eq!(work.step(), "done");
    let after = read(&mut kernel);
    let (begun, ended) = (begun.read(), ended.read());

    for probe in ["memcg_reclaim_begin", "memcg_reclaim_end"] {
        assert_eq!(missed(&after, probe), missed(&before, probe));
    }
    let (count, total_ns, bytes, latency) = at_limit(&after, id);
    seen!("perf: {begun} begun, {ended} ended; observer: {count} in {total_ns} ns, {bytes} bytes");
    assert_eq!((begun, ended), (count, count));
    assert!(count > 0, "a file six times the limit was read twice");
    assert!(bytes >= FILE - LIMIT, "what was read and does not fit must have been reclaimed: {bytes}");
    assert_eq!(latency.count(), count);
    let bound = |i: usize| Log2Histogram::upper_bound(i);
    let sums = latency.buckets.iter().enumerate().map(|(i, n)| (*n as f64 * bound(i) / 2.0, *n as f64 * bound(i)));
    let (least, most) = sums.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert!((least..=most).contains(&(total_ns as f64)), "{least} <= {total_ns} <= {most}");

    let reclaim = after.reclaim.as_ref().unwrap();
    let row = reclaim.by_process.iter().find(|p| p.pid == pid).expect("the process that stalled");
    assert_eq!((row.comm.as_str(), row.cgroup, row.kind), ("obs-read", Some(id), ReclaimKind::Memcg));
    assert_eq!((row.totals.count, row.totals.total_ns, row.totals.reclaimed_bytes), (count, total_ns, bytes));
    assert!(reclaim.in_flight.iter().all(|r| r.pid != pid), "{:?}", reclaim.in_flight);
    work.finish();
}
