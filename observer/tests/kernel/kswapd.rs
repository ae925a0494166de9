//! kswapd and direct reclaim, against perf's count on every CPU. Only on a small machine: it fills the page cache.

use observer::snapshot::{Snapshot, reclaim::ReclaimKind};

use crate::support::{
    file::BigFile,
    needs_root,
    observer::{load, missed, read},
    perf::Counter,
    seen, skipped,
    workload::Workload,
};

/// Largest memory of a machine whose page cache a test may fill.
pub(crate) const SMALL: u64 = 4 << 30;

/// A count of the kernel's between two readings of observer.
struct Bracket {
    counter: Counter,
    begin: (u64, u64),
}

impl Bracket {
    fn open(tracepoint: &str) -> Self {
        Self { counter: Counter::everywhere(tracepoint, None), begin: (0, 0) }
    }
}

/// Memory of this machine in bytes.
pub(crate) fn total_memory() -> u64 {
    meminfo("MemTotal:")
}

/// A line of /proc/meminfo in bytes.
pub(crate) fn meminfo(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("/proc is there");
    let line = text.lines().find_map(|l| l.strip_prefix(name)).expect("the kernel has the line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn requests(snapshot: &Snapshot) -> u64 {
    let kswapd = snapshot.kswapd.as_ref().expect("kswapd is watched");
    kswapd.requesters.iter().map(|r| r.requests).sum::<u64>() + kswapd.other_requests
}

fn nodes(snapshot: &Snapshot) -> (u64, u64, u64) {
    let nodes = &snapshot.kswapd.as_ref().expect("kswapd is watched").nodes;
    nodes.iter().fold((0, 0, 0), |sum, n| (sum.0 + n.wakes, sum.1 + n.sleeps, sum.2 + n.awake_ns))
}

/// Direct reclaims that have ended, of all cgroups.
pub(crate) fn direct(snapshot: &Snapshot) -> u64 {
    let rows = &snapshot.reclaim.as_ref().expect("reclaim is counted").by_cgroup;
    rows.iter().filter(|r| r.kind == ReclaimKind::Direct).map(|r| r.totals.count).sum()
}

#[test]
fn every_node_is_listed() {
    needs_root!("every_node_is_listed");
    let mut kernel = load();
    let nodes = read(&mut kernel).kswapd.unwrap().nodes;
    assert!(nodes.iter().any(|n| n.node == 0), "{nodes:?}");
}

#[test]
fn kswapd_and_direct_reclaim_are_what_the_kernel_counted() {
    needs_root!("kswapd_and_direct_reclaim_are_what_the_kernel_counted");
    let memory = total_memory();
    if memory > SMALL {
        skipped(
            "kswapd_and_direct_reclaim_are_what_the_kernel_counted",
            "it fills the page cache, which is done only where memory is at most 4 GiB, as in the VM lane",
        );
        return;
    }
    let file = BigFile::new(memory * 2);
    let mut kernel = load();
    let mut work = Workload::start(&format!("read {} 1", file.path().display()), None);
    let rounds = Counter::everywhere("vmscan:mm_vmscan_kswapd_wake", None);
    let mut brackets = ["mm_vmscan_kswapd_sleep", "mm_vmscan_wakeup_kswapd", "mm_vmscan_direct_reclaim_end"]
        .map(|name| Bracket::open(&format!("vmscan:{name}")));

    brackets.iter_mut().for_each(|b| b.begin.0 = b.counter.read());
    let before = read(&mut kernel);
    brackets.iter_mut().for_each(|b| b.begin.1 = b.counter.read());
    assert_eq!(work.step(), "done");
    let end: Vec<u64> = brackets.iter().map(|b| b.counter.read()).collect();
    let after = read(&mut kernel);

    let (old, new) = (nodes(&before), nodes(&after));
    let seen = [
        ("sleeps", "kswapd_sleep", new.1 - old.1),
        ("requests", "kswapd_requesters", requests(&after) - requests(&before)),
        ("direct reclaims", "direct_reclaim_end", direct(&after) - direct(&before)),
    ];
    for ((bracket, end), (what, probe, observed)) in brackets.iter().zip(end).zip(seen) {
        let (least, most) = (end - bracket.begin.1, bracket.counter.read() - bracket.begin.0);
        seen!("{what}: {least} <= observer {observed} <= {most}");
        assert!((least..=most).contains(&observed), "{what}: {least} <= {observed} <= {most}");
        assert_eq!(missed(&after, probe), 0);
    }
    // The kernel's wake event comes before each round of work; observer counts only those that end a sleep.
    let awake = after.kswapd.as_ref().unwrap().nodes.iter().filter(|n| n.awake_since_ns.is_some()).count() as u64;
    seen!("{} wakes in {} rounds, {awake} awake now, worked for {} ns", new.0 - old.0, rounds.read(), new.2 - old.2);
    assert_eq!(new.0, new.1 + awake, "every wake was followed by a sleep, but for a kswapd that works now");
    assert!(new.0 > old.0, "a file of twice the memory was read, and kswapd slept");
    assert!(new.0 - old.0 <= rounds.read());
    assert!(new.2 > old.2 || awake > 0);
    let asked = after.kswapd.as_ref().unwrap().requesters.iter().find(|r| r.pid == work.pid());
    assert!(asked.is_some_and(|r| r.requests > 0 && r.comm.as_str() == "obs-read"), "{:?}", after.kswapd);
    work.finish();
}
