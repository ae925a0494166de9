//! What happens inside of reclaim and compaction, against perf's count of the same tracepoints on every CPU.

use observer::snapshot::{Snapshot, compaction::Compactor};

use crate::support::{
    cgroup::Cgroup,
    file::BigFile,
    needs_root,
    observer::{load, missed, read},
    perf::Counter,
    seen,
    workload::Workload,
};

/// Reads before and after `work`, and asserts that what observer counted lies between perf's smallest and largest count.
fn bracketed(probe: &str, tracepoint: &str, count: fn(&Snapshot) -> u64, work: impl FnOnce()) -> (Snapshot, Snapshot) {
    let mut kernel = load();
    let perf = Counter::everywhere(tracepoint, None);
    let first = perf.read();
    let before = read(&mut kernel);
    let begin = perf.read();
    work();
    let end = perf.read();
    let after = read(&mut kernel);
    let last = perf.read();
    let (least, most, observed) = (end - begin, last - first, count(&after) - count(&before));
    seen!("{tracepoint}: {least} <= observer {observed} <= {most}");
    assert_eq!(missed(&after, probe), missed(&before, probe));
    assert!((least..=most).contains(&observed), "{tracepoint}: {least} <= {observed} <= {most}");
    assert!(observed > 0, "{tracepoint} was not hit");
    (before, after)
}

fn compactions(snapshot: &Snapshot) -> u64 {
    let rows = &snapshot.compaction.as_ref().expect("compaction is counted").by_cgroup;
    rows.iter().flat_map(|c| &c.results).map(|r| r.count).sum()
}

#[test]
fn compactions_are_those_that_the_kernel_counted() {
    needs_root!("compactions_are_those_that_the_kernel_counted");
    let (_, after) = bracketed("compaction_end", "compaction:mm_compaction_end", compactions, || {
        std::fs::write("/proc/sys/vm/compact_memory", "1").expect("the kernel compacts when it is told to");
    });
    let rows = after.compaction.unwrap().by_cgroup;
    let asked_for = rows.iter().find(|c| c.by == Compactor::Kcompactd).expect("nobody needed a block");
    assert_eq!(asked_for.latency_ns.count(), asked_for.results.iter().map(|r| r.count).sum::<u64>());
    assert!(asked_for.total_ns > 0);
    let known =
        ["success", "complete", "partial_skipped", "contended", "skipped", "not_suitable_zone", "no_suitable_page"];
    let words: Vec<_> = asked_for.results.iter().map(|r| r.result.as_str()).collect();
    assert!(words.iter().all(|w| known.contains(w)), "{words:?}");
}

fn shrinks(snapshot: &Snapshot) -> u64 {
    snapshot.shrinkers.iter().flatten().map(|s| s.count).sum()
}

#[test]
fn shrinkers_are_called_as_the_kernel_counted_and_have_names() {
    needs_root!("shrinkers_are_called_as_the_kernel_counted_and_have_names");
    let cgroup = Cgroup::limited("shrink", 32 << 20);
    let file = BigFile::new(128 << 20);
    let mut files = Workload::start("files 20000", Some(&cgroup));
    let mut reader = Workload::start(&format!("read {} 2", file.path().display()), Some(&cgroup));
    assert_eq!(files.step(), "done");
    let (_, after) = bracketed("shrinker_end", "vmscan:mm_shrink_slab_end", shrinks, || {
        assert_eq!(reader.step(), "done");
    });
    let shrinkers = after.shrinkers.unwrap();
    let names: Vec<_> = shrinkers.iter().map(|s| s.function.as_str()).collect();
    assert!(names.contains(&"super_cache_scan"), "dentries and inodes of a file system were shrunk: {names:?}");
    for s in &shrinkers {
        assert_eq!(s.latency_ns.count(), s.count, "{s:?}");
        assert!(s.max_ns <= s.total_ns && s.max_ns > 0, "{s:?}");
    }
    files.finish();
    reader.finish();
}

fn scanned(snapshot: &Snapshot) -> (u64, u64) {
    let scans = snapshot.reclaim.as_ref().and_then(|r| r.scans.as_ref()).expect("scans are counted");
    scans.iter().fold((0, 0), |sum, s| (sum.0 + s.scanned_bytes, sum.1 + s.reclaimed_bytes))
}

#[test]
fn pages_taken_at_a_limit_are_those_of_the_reclaims() {
    needs_root!("pages_taken_at_a_limit_are_those_of_the_reclaims");
    let cgroup = Cgroup::limited("scans", 32 << 20);
    let file = BigFile::new(192 << 20);
    let mut kernel = load();
    let mut work = Workload::start(&format!("read {} 2", file.path().display()), Some(&cgroup));
    let before = read(&mut kernel);
    assert_eq!(work.step(), "done");
    let after = read(&mut kernel);
    let id = Some(cgroup.id());
    let own = |s: &Snapshot| {
        let mut part = s.clone();
        if let Some(scans) = part.reclaim.as_mut().and_then(|r| r.scans.as_mut()) {
            scans.retain(|s| s.cgroup == id && s.file);
        }
        scanned(&part)
    };
    let (looked_at, taken) = (own(&after).0 - own(&before).0, own(&after).1 - own(&before).1);
    let reclaims = after.reclaim.as_ref().unwrap();
    // At the limit, and on a busy host for the host as well.
    let rows: Vec<_> = reclaims.by_process.iter().filter(|p| p.pid == work.pid() && p.cgroup == id).collect();
    let reclaimed: u64 = rows.iter().map(|row| row.totals.reclaimed_bytes).sum();
    seen!("{looked_at} looked at, {taken} taken; reclaims say {reclaimed}");
    assert!(looked_at >= taken && taken > 0);
    // A reclaim's own sum also has what shrinkers freed.
    assert!(taken <= reclaimed);
    assert!(taken * 10 >= reclaimed * 9, "page cache was all there was");
    assert!(rows.iter().all(|row| row.latency_ns.count() == row.totals.count), "{rows:?}");
    work.finish();
}
