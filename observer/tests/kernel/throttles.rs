//! Waits inside of reclaim, against an ftrace recording of the same tracepoint.

use std::collections::BTreeMap;

use observer::snapshot::{CgroupId, Snapshot};

use crate::support::{
    cgroup::Cgroup,
    file::BigFile,
    needs_root,
    observer::{load, missed, read},
    seen, skipped,
    trace::{Line, Trace},
    workload::Workload,
};

/// Waits and microseconds by reason.
type Waits = BTreeMap<String, (u64, u64)>;

fn by_trace(lines: &[Line]) -> Waits {
    let mut waits = Waits::new();
    for line in lines {
        let reason = line.word("reason").trim_start_matches("VMSCAN_THROTTLE_").to_ascii_lowercase();
        let sum = waits.entry(reason).or_default();
        sum.0 += 1;
        // The kernel's own spelling.
        sum.1 += line.number("usect_delayed");
    }
    waits
}

fn by_observer(snapshot: &Snapshot, cgroup: CgroupId) -> Waits {
    let rows = snapshot.reclaim.as_ref().and_then(|r| r.throttles.as_ref()).expect("waits are counted");
    let own = rows.iter().filter(|t| t.cgroup == Some(cgroup));
    own.map(|t| (t.reason.as_str().to_owned(), (t.count, t.total_ns / 1000))).collect()
}

#[test]
fn waits_in_reclaim_are_those_of_an_ftrace_recording() {
    const NAME: &str = "waits_in_reclaim_are_those_of_an_ftrace_recording";
    needs_root!("waits_in_reclaim_are_those_of_an_ftrace_recording");
    let cgroup = Cgroup::limited("waits", 48 << 20);
    let file = BigFile::new(192 << 20);
    if file.is_in_memory() {
        skipped(NAME, "no disk to write to: set TMPDIR to a folder on one");
        return;
    }
    let mut kernel = load();
    // The only process of its cgroup writes more than fits: reclaim finds pages that are not on the disk yet.
    let mut work = Workload::start(&format!("dirty {} {}", file.path().display(), 192 << 20), Some(&cgroup));
    let filter = format!("common_pid == {}", work.pid());
    let trace = Trace::start("waits", 4096, &[("vmscan/mm_vmscan_throttled", Some(&filter))]);
    let before = read(&mut kernel);
    assert_eq!(work.step(), "done");
    let after = read(&mut kernel);
    let traced = by_trace(&trace.lines());
    let observed = by_observer(&after, cgroup.id());
    seen!("trace: {traced:?}; observer: {observed:?}");
    assert_eq!(trace.lost(), 0, "the trace is whole");
    assert_eq!(missed(&after, "reclaim_throttles"), missed(&before, "reclaim_throttles"));
    assert_eq!(by_observer(&before, cgroup.id()), Waits::new());
    assert_eq!(traced, observed);
    work.finish();
    if traced.is_empty() {
        skipped(NAME, "this kernel lets writers at the limit of a cgroup wait elsewhere");
    }
}
