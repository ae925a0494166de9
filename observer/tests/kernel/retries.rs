//! Retries of the page allocator, against perf's count on every CPU and an ftrace recording. They come just before the host
//! is out of memory, and so only in a guest: there a process takes more than there is, and is the one to be killed.

use observer::snapshot::{Snapshot, retry::RetryKind};

use crate::{
    kswapd::{SMALL, total_memory},
    support::{
        file::BigFile,
        memory::page_size,
        needs_root,
        observer::{load, missed, read},
        perf::Counter,
        seen, skipped,
        trace::Trace,
        workload::Workload,
    },
};

/// Set where a test may use up the memory of the whole machine: in the guests of the VM lane.
const WHOLE_MACHINE: &str = "OBSERVER_TEST_WHOLE_MACHINE";

fn counted(snapshot: &Snapshot, kind: RetryKind) -> u64 {
    let retries = snapshot.retries.as_ref().expect("retries are counted");
    assert_eq!(retries.other, 0, "every process has a row");
    retries.rows.iter().filter(|r| r.kind == kind).map(|r| r.count).sum()
}

#[test]
fn retries_before_a_kill_are_those_that_the_kernel_counted() {
    const NAME: &str = "retries_before_a_kill_are_those_that_the_kernel_counted";
    needs_root!("retries_before_a_kill_are_those_that_the_kernel_counted");
    if std::env::var_os(WHOLE_MACHINE).is_none() || total_memory() > SMALL {
        skipped(NAME, "it uses up the memory of the whole machine, which is done only in the VM lane");
        return;
    }
    let mut kernel = load();
    let mut work = Workload::start(&format!("hold {} obs-greedy 1000", total_memory() * 2), None);
    let pid = work.pid();
    let trace = Trace::start("retries", 1024, &[("oom/reclaim_retry_zone", Some(&format!("common_pid == {pid}")))]);
    let counters = [
        (RetryKind::Reclaim, "oom:reclaim_retry_zone", "reclaim_retries"),
        (RetryKind::Compact, "oom:compact_retry", "compact_retries"),
    ]
    .map(|(kind, tracepoint, probe)| (kind, Counter::everywhere(tracepoint, None), probe));
    let first = counters.each_ref().map(|(_, counter, _)| counter.read());
    let before = read(&mut kernel);
    let begin = counters.each_ref().map(|(_, counter, _)| counter.read());
    assert_eq!(work.step(), "", "it is killed before it has all");
    assert_eq!(work.killed_by(), Some(libc::SIGKILL));
    let end = counters.each_ref().map(|(_, counter, _)| counter.read());
    let after = read(&mut kernel);
    for (n, (kind, counter, probe)) in counters.iter().enumerate() {
        let (least, most) = (end[n] - begin[n], counter.read() - first[n]);
        let observed = counted(&after, *kind) - counted(&before, *kind);
        seen!("{probe}: {least} <= observer {observed} <= {most}");
        assert_eq!(missed(&after, probe), missed(&before, probe));
        assert!((least..=most).contains(&observed), "{probe}: {least} <= {observed} <= {most}");
    }
    let rows = &after.retries.as_ref().unwrap().rows;
    let own = rows.iter().find(|r| r.pid == pid && r.kind == RetryKind::Reclaim).expect("it retried before its end");
    seen!("{own:?}");
    assert_eq!(own.comm.as_str(), "obs-greedy");
    assert_eq!(trace.lost(), 0, "the trace is whole");
    let lines = trace.lines();
    let last = lines.last().expect("it was traced");
    assert_eq!(own.count, lines.len() as u64);
    assert_eq!(own.refused, lines.iter().filter(|l| l.number("wmark_check") == 0).count() as u64);
    let bytes = |field| Some(last.number(field) * page_size() as u64);
    assert_eq!((own.last_available_bytes, own.last_min_bytes), (bytes("available"), bytes("min_wmark")));
    let numbers = (u64::from(own.last_order), u64::from(own.last_loops));
    assert_eq!(numbers, (last.number("order"), last.number("no_progress_loops")));
    assert!(own.last_loops > 0 && own.last_min_bytes > Some(0), "rounds without progress come before a kill: {own:?}");
}

#[test]
fn retries_of_compaction_are_those_of_the_kernel_value_for_value() {
    const NAME: &str = "retries_of_compaction_are_those_of_the_kernel_value_for_value";
    needs_root!("retries_of_compaction_are_those_of_the_kernel_value_for_value");
    if std::env::var_os(WHOLE_MACHINE).is_none() || total_memory() > SMALL {
        skipped(NAME, "it takes every large block of the whole machine, which is done only in the VM lane");
        return;
    }
    // Page cache to be reclaimed, without which compaction is not worth another try.
    let file = BigFile::new(total_memory());
    let mut reader = Workload::start(&format!("read {} 1", file.path().display()), None);
    assert_eq!(reader.step(), "done");
    let mut kernel = load();
    let pid = std::process::id();
    // SAFETY: gettid has no preconditions.
    let tid = unsafe { libc::gettid() };
    let trace = Trace::start("compact", 1024, &[("oom/compact_retry", Some(&format!("common_pid == {tid}")))]);
    let before = read(&mut kernel);
    // The pool takes what it can get, and tries hard for more (`__GFP_RETRY_MAYFAIL`).
    let pool = |blocks: u64| std::fs::write("/proc/sys/vm/nr_hugepages", blocks.to_string()).expect("there is a pool");
    pool(total_memory() >> 21);
    let after = read(&mut kernel);
    pool(0);
    let own = |snapshot: &Snapshot| {
        let rows = &snapshot.retries.as_ref().expect("retries are counted").rows;
        rows.iter().find(|r| r.pid == pid && r.kind == RetryKind::Compact).cloned()
    };
    assert_eq!(own(&before), None, "it never compacted before");
    let own = own(&after).expect("there are not that many blocks");
    seen!("{own:?}");
    assert_eq!((trace.lost(), missed(&after, "compact_retries")), (0, missed(&before, "compact_retries")));
    let lines = trace.lines();
    let last = lines.last().expect("it was traced");
    assert_eq!(own.count, lines.len() as u64);
    assert_eq!(own.refused, lines.iter().filter(|l| l.number("should_retry") == 0).count() as u64);
    let numbers = (u64::from(own.last_order), u64::from(own.last_loops));
    assert_eq!(numbers, (last.number("order"), last.number("retries")));
    assert_eq!((own.last_order, own.last_available_bytes, own.last_min_bytes), (9, None, None));
    assert!(own.refused > 0, "it gave up in the end");
    reader.finish();
}
