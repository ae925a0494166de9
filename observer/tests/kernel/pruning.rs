//! Maps of cgroups that are smaller than the number of cgroups which come and go: rows of those that are gone make room,
//! and nothing is lost.

use std::sync::atomic::{AtomicBool, Ordering};

use observer::{
    model::Model,
    snapshot::{
        Snapshot,
        reclaim::{ReclaimKind, Scanner},
    },
    source::{Collector, Options, kernel},
};

use crate::support::{
    cgroup::Cgroup, file::BigFile, hoard::VISIT, needs_root, observer::missed, perf::Counter, seen, workload::Workload,
};

/// Rows that a map has at least, whatever the budget.
const LEAST: usize = 256;
/// Cgroups that come and go.
const VISITORS: usize = 3 * LEAST / 2;

/// Reclaims at a limit since the probes were attached, those of cgroups that are gone included.
fn reclaims(snapshot: &Snapshot) -> u64 {
    let reclaim = snapshot.reclaim.as_ref().expect("reclaim is counted");
    let rows = reclaim.by_cgroup.iter().chain(&reclaim.vanished);
    rows.filter(|r| r.kind == ReclaimKind::Memcg).map(|r| r.totals.count).sum()
}

/// Rows by cgroup: of reclaim, of scans, of compaction.
fn rows(snapshot: &Snapshot) -> [usize; 3] {
    let reclaim = snapshot.reclaim.as_ref().expect("reclaim is counted");
    let scans = reclaim.scans.as_ref().expect("scans are counted").len();
    [reclaim.by_cgroup.len(), scans, snapshot.compaction.as_ref().expect("compaction is counted").by_cgroup.len()]
}

/// Compactions, and bytes that tasks looked at, of one interval.
fn told(model: &Model) -> (u64, u64) {
    let scans = model.reclaim.iter().flat_map(|r| &r.scans).flatten();
    let looked_at = scans.filter(|s| s.by == Scanner::Task).map(|s| s.scanned_bytes).sum();
    (model.compaction.iter().flatten().map(|c| c.count).sum(), looked_at)
}

#[test]
fn maps_smaller_than_the_cgroups_that_come_and_go_lose_nothing() {
    needs_root!("maps_smaller_than_the_cgroups_that_come_and_go_lose_nothing");
    let parent = Cgroup::new("visited");
    // The controller is on for what is below.
    drop(parent.child("first"));
    let file = BigFile::new((VISITORS * VISIT) as u64);
    let kernel = kernel::Options { memory_budget: 0, ..kernel::Options::default() };
    let mut collector = Collector::new(Options { kernel, ..Options::default() });
    let what = format!("visit {} {} {VISITORS}", parent.path().display(), file.path().display());
    let mut work = Workload::start(&what, None);
    let counters = ["vmscan:mm_vmscan_memcg_reclaim_end", "compaction:mm_compaction_end"]
        .map(|tracepoint| Counter::everywhere(tracepoint, None));
    let perf = || counters.each_ref().map(Counter::read);

    let first = perf();
    let begin = collector.snapshot();
    let begun = perf();
    let (mut last, mut most, mut compactions, mut looked_at, mut taken) = (begin.clone(), [0; 3], 0, 0, 0);
    let mut end = begun;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(work.step(), "done");
            done.store(true, Ordering::Relaxed);
        });
        let mut over = false;
        // Once more after the last of them.
        while !over {
            over = done.load(Ordering::Relaxed);
            end = perf();
            let now = collector.snapshot();
            let sums = told(&Model::new(&now, Some(&last)));
            compactions += sums.0;
            looked_at += sums.1;
            most.iter_mut().zip(rows(&now)).for_each(|(most, n)| *most = n.max(*most));
            last = now;
            taken += 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let after = perf();
    seen!(
        "{VISITORS} cgroups, {taken} snapshots, rows at most {most:?}, {compactions} compactions, {looked_at} B looked at"
    );
    for (n, (what, observed, probe)) in [
        ("reclaims", reclaims(&last) - reclaims(&begin), "memcg_reclaim_end"),
        ("compactions", compactions, "compaction_end"),
    ]
    .into_iter()
    .enumerate()
    {
        let (least, highest) = (end[n] - begun[n], after[n] - first[n]);
        seen!("{what}: {least} <= observer {observed} <= {highest}");
        assert_eq!(missed(&last, probe), missed(&begin, probe));
        assert!((least..=highest).contains(&observed), "{what}: {least} <= {observed} <= {highest}");
        assert!(observed >= VISITORS as u64, "each of them did it: {observed}");
    }
    // But for the few pages that waited in a CPU's batch, and were on no list when their cgroup went. The multi-generational
    // LRU does not look at all pages of so small a cgroup.
    let (read, generations) = ((VISITORS * VISIT) as u64, std::fs::read_to_string("/sys/kernel/mm/lru_gen/enabled"));
    let least = if generations.is_ok_and(|on| on.trim() != "0x0000") { VISIT as u64 } else { read - read / 100 };
    assert!(looked_at >= least, "each read {VISIT} bytes, all looked at: {looked_at} of {read}");
    assert!(most.iter().all(|rows| *rows <= LEAST && *rows > LEAST / 2), "room was made where it was scarce: {most:?}");
    let lost = last.coverage.losses.iter().filter(|l| l.count > 0);
    let lost: Vec<_> = lost.filter(|l| l.what.starts_with("reclaim") || l.what.starts_with("compaction")).collect();
    assert!(lost.iter().all(|l| l.what.contains("recursion") || l.what.contains("begun before")), "{lost:?}");
    let vanished = &last.reclaim.as_ref().expect("reclaim is counted").vanished;
    assert!(vanished.iter().any(|v| v.totals.count > 0 && v.latency_ns.count() == v.totals.count), "{vanished:?}");
    work.finish();
}
