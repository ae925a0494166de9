//! Fallbacks that mix migrate types, against perf's count of the same process.

use observer::snapshot::{Snapshot, compaction::Fallback};

use crate::support::{
    needs_root,
    observer::{load, missed, read},
    perf::Counter,
    seen, skipped,
    workload::Workload,
};

/// Steps of 32 MiB at most.
const STEPS: usize = 12;

fn of(snapshot: &Snapshot, pid: u32) -> Vec<Fallback> {
    let all = snapshot.extfrag.as_ref().expect("fallbacks are counted");
    all.rows.iter().filter(|f| f.pid == pid).cloned().collect()
}

#[test]
fn fallbacks_are_those_that_the_kernel_counted() {
    const NAME: &str = "fallbacks_are_those_that_the_kernel_counted";
    needs_root!("fallbacks_are_those_that_the_kernel_counted");
    let mut kernel = load();
    let mut work = Workload::start(&format!("hoard {STEPS}"), None);
    let perf = Counter::of_process(work.pid(), "kmem:mm_page_alloc_extfrag", None);
    let before = read(&mut kernel);
    // Pages that cannot be moved, until those of that type are used up and blocks of movable ones are taken.
    let mut steps = 0;
    while steps < STEPS && perf.read() == 0 {
        assert_eq!(work.step(), "done");
        steps += 1;
    }
    let after = read(&mut kernel);
    let counted = perf.read();
    if counted == 0 {
        skipped(NAME, "this machine has that much free memory of the type that was asked for");
        return;
    }
    let rows = of(&after, work.pid());
    seen!("perf: {counted}; observer: {rows:?}");
    assert_eq!(missed(&after, "extfrag"), missed(&before, "extfrag"));
    assert!(of(&before, work.pid()).is_empty());
    assert_eq!(rows.iter().map(|f| f.count).sum::<u64>(), counted);
    let types = ["unmovable", "movable", "reclaimable", "highatomic", "cma", "isolate"];
    for f in &rows {
        assert_eq!(f.comm.as_str(), "obs-hoard");
        assert!(f.wanted != f.taken && f.order <= 10, "{f:?}");
        assert!(types.contains(&f.wanted.as_str()) && types.contains(&f.taken.as_str()), "{f:?}");
    }
    assert!(rows.iter().any(|f| f.wanted.as_str() == "unmovable"), "pages of pipes cannot be moved: {rows:?}");
}
