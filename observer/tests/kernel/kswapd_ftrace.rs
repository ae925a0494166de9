//! kswapd against an ftrace recording of the same tracepoints: a file larger than the memory is read, on any machine. Only
//! page cache of that file is pushed out, and what nobody has used for long.

use std::collections::{BTreeMap, BTreeSet};

use observer::snapshot::{Snapshot, reclaim::Scanner};

use crate::{
    kswapd::total_memory,
    support::{
        file::BigFile,
        memory::page_size,
        needs_root,
        observer::{load, missed, read},
        seen,
        trace::{Line, Trace},
        wait::wait_for,
        workload::Workload,
    },
};

const EVENTS: &[(&str, Option<&str>)] = &[
    ("vmscan/mm_vmscan_kswapd_wake", None),
    ("vmscan/mm_vmscan_kswapd_sleep", None),
    ("vmscan/mm_vmscan_wakeup_kswapd", None),
    ("vmscan/mm_vmscan_lru_shrink_inactive", Some(r#"comm ~ "kswapd*""#)),
];

/// kswapd of all nodes, as one side tells it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Ends of a sleep, by node.
    wakes: BTreeMap<u32, u64>,
    /// Begins of a sleep, by node.
    sleeps: BTreeMap<u32, u64>,
    /// Requests by node and pid.
    requests: BTreeMap<(u32, u32), u64>,
    /// Pages looked at and reclaimed, by node.
    pages: BTreeMap<u32, (u64, u64)>,
}

impl Told {
    /// Sums the requests of all processes but these, under the number 0.
    fn sum_requests_but_of(&mut self, these: &BTreeSet<(u32, u32)>) {
        for ((node, pid), count) in std::mem::take(&mut self.requests) {
            let pid = if these.contains(&(node, pid)) { pid } else { 0 };
            *self.requests.entry((node, pid)).or_default() += count;
        }
    }
}

/// What the trace says. `asleep` are the nodes whose kswapd sleeps when it begins: all.
fn by_trace(lines: &[Line]) -> Told {
    let mut told = Told::default();
    let mut awake: BTreeMap<u32, bool> = BTreeMap::new();
    for line in lines {
        let node = line.number("nid") as u32;
        match line.event.as_str() {
            "mm_vmscan_kswapd_wake" => {
                // The kernel hits it before each round of work; only the first one after a sleep ends one.
                if !awake.insert(node, true).unwrap_or(false) {
                    *told.wakes.entry(node).or_default() += 1;
                }
            }
            "mm_vmscan_kswapd_sleep" => {
                awake.insert(node, false);
                *told.sleeps.entry(node).or_default() += 1;
            }
            "mm_vmscan_wakeup_kswapd" => *told.requests.entry((node, process_of(line.tid))).or_default() += 1,
            "mm_vmscan_lru_shrink_inactive" => {
                let pages = told.pages.entry(node).or_default();
                pages.0 += line.number("nr_scanned");
                pages.1 += line.number("nr_reclaimed");
            }
            other => panic!("{other} was not asked for"),
        }
    }
    told
}

/// Process of a thread, which the trace does not tell; the thread's own number if it is gone.
fn process_of(tid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("Tgid:"));
    line.and_then(|l| l.trim().parse().ok()).unwrap_or(tid)
}

/// What observer says about the time between two snapshots. Requests by processes that ended in between would be in no
/// row; the caller checks that there are none.
fn by_observer(before: &Snapshot, after: &Snapshot) -> Told {
    let mut told = Told::default();
    let old = before.kswapd.as_ref().expect("kswapd is watched");
    let new = after.kswapd.as_ref().expect("kswapd is watched");
    assert_eq!(new.other_requests, old.other_requests, "every requester has a row");
    for node in &new.nodes {
        let was = old.nodes.iter().find(|n| n.node == node.node).cloned().unwrap_or_default();
        let mut put = |to: fn(&mut Told) -> &mut BTreeMap<u32, u64>, count: u64| {
            if count > 0 {
                to(&mut told).insert(node.node, count);
            }
        };
        put(|t| &mut t.wakes, node.wakes - was.wakes);
        put(|t| &mut t.sleeps, node.sleeps - was.sleeps);
        assert_eq!(node.cycle_ns.count() - was.cycle_ns.count(), node.sleeps - was.sleeps, "each cycle has its length");
    }
    for r in &new.requesters {
        let was = old.requesters.iter().find(|o| (o.node, o.pid, o.cgroup) == (r.node, r.pid, r.cgroup));
        let count = r.requests - was.map_or(0, |o| o.requests);
        if count > 0 {
            *told.requests.entry((r.node, r.pid)).or_default() += count;
        }
    }
    let scanned = |s: &Snapshot| {
        let mut sums: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        let scans = s.reclaim.as_ref().and_then(|r| r.scans.as_ref()).expect("scans are counted");
        for scan in scans.iter().filter(|s| s.by == Scanner::Kswapd) {
            let sum = sums.entry(scan.node).or_default();
            sum.0 += scan.scanned_bytes / page_size() as u64;
            sum.1 += scan.reclaimed_bytes / page_size() as u64;
        }
        sums
    };
    let old = scanned(before);
    for (node, pages) in scanned(after) {
        let was = old.get(&node).copied().unwrap_or_default();
        if pages != was {
            told.pages.insert(node, (pages.0 - was.0, pages.1 - was.1));
        }
    }
    told
}

#[test]
fn wakes_requester_and_pages_are_those_of_an_ftrace_recording() {
    needs_root!("wakes_requester_and_pages_are_those_of_an_ftrace_recording");
    let memory = total_memory();
    let file = BigFile::new(memory + memory / 4);
    let mut work = Workload::start(&format!("read {} 1", file.path().display()), None);
    let mut kernel = load();
    let trace = Trace::start("kswapd", 24 << 10, EVENTS);
    // Both sides begin while nothing happens: no event lies between the trace's begin and the snapshot.
    let (begin, before) = quiet(&trace, || read(&mut kernel));
    assert_eq!(work.step(), "done");
    let (lines, after) = quiet(&trace, || read(&mut kernel));
    let lost = trace.lost();
    assert_eq!(lost, 0, "the trace is whole");

    let lines = &lines[begin.len()..];
    let (mut traced, mut observed) = (by_trace(lines), by_observer(&before, &after));
    // Threads of others that have ended meanwhile: of these the trace does not tell the process.
    let both: BTreeSet<_> = traced.requests.keys().filter(|key| observed.requests.contains_key(key)).copied().collect();
    [&mut traced, &mut observed].into_iter().for_each(|told| told.sum_requests_but_of(&both));
    seen!("trace of {} events: {traced:?}", lines.len());
    seen!("observer: {observed:?}");
    for probe in ["kswapd_wake", "kswapd_sleep", "kswapd_requesters", "reclaim_scans"] {
        assert_eq!(missed(&after, probe), missed(&before, probe));
    }
    assert_eq!(traced, observed);
    let wakes: u64 = traced.wakes.values().sum();
    assert!(wakes > 0, "a file of five quarters of the memory was read");
    let reclaimed: u64 = traced.pages.values().map(|p| p.1).sum();
    assert!(reclaimed > 0);
    let asked = after.kswapd.as_ref().unwrap().requesters.iter().find(|r| r.pid == work.pid());
    assert!(asked.is_some_and(|r| r.requests > 0 && r.comm.as_str() == "obs-read"), "{:?}", after.kswapd);
    work.finish();
}

/// A reading during which no event came, with every kswapd asleep, and the trace until then.
fn quiet<T>(trace: &Trace, mut read: impl FnMut() -> T) -> (Vec<Line>, T) {
    wait_for("kswapd to sleep", || {
        let first = trace.lines();
        let value = read();
        let then = trace.lines();
        let told = by_trace(&first);
        (first.len() == then.len() && told.wakes == told.sleeps).then_some((first, value))
    })
}
