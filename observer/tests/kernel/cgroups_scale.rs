//! Many cgroups, and cgroups that come and go quickly.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use observer::{
    snapshot::{
        CgroupId, Snapshot,
        cgroup::{Cgroup as Row, Cgroups},
    },
    source::{
        Collector, Options, Root,
        cgroup::{CgroupReader, DEFAULT_LIMIT},
        file::Buffer,
    },
};

use crate::{
    support::{
        cgroup::Cgroup,
        needs_root,
        observer::{cgroup_number, events, missed, page_alloc},
        perf::Counter,
        seen, skipped,
        workload::Workload,
    },
    vanish::resident_kb,
};

/// Cgroups that stand side by side.
const MANY: usize = 2000;
/// Cgroups that come and go: more than observer keeps apart after they are gone.
const CHURN: usize = 2600;
/// Faults in each of them.
const FAULTS: usize = 20;
/// Cgroups of the churn that come and go each second where the machine is no slow one.
const LEAST_RATE: f64 = 200.0;

/// Cgroups below one, removed before it.
struct Many {
    children: Vec<Cgroup>,
    parent: Cgroup,
}

impl Many {
    fn new(count: usize) -> Self {
        let mut many = Self { children: Vec::with_capacity(count), parent: Cgroup::new("many") };
        for n in 0..count {
            let child = many.parent.child(&n.to_string());
            // Each has a limit of its own, so that no file of it is left unread.
            child.limit_with_swap((64 << 20) + ((n as u64) << 12));
            many.children.push(child);
        }
        many
    }

    fn rows<'a>(&self, cgroups: &'a Cgroups) -> Vec<&'a Row> {
        let prefix = format!("{}/", self.parent.name());
        cgroups.list.iter().filter(|c| c.path.as_str().starts_with(&prefix)).collect()
    }
}

/// CPU time of this thread in milliseconds.
fn cpu_ms() -> f64 {
    let used = getrusage(UsageWho::RUSAGE_THREAD).expect("getrusage");
    (used.user_time() + used.system_time()).num_microseconds() as f64 / 1e3
}

fn read(reader: &mut CgroupReader) -> (Cgroups, f64) {
    let begin = cpu_ms();
    let (cgroups, missing) = reader.read(&mut Buffer::default(), None).expect("cgroups are read");
    assert!(missing.is_empty(), "{missing:?}");
    (cgroups, cpu_ms() - begin)
}

#[test]
fn two_thousand_cgroups_are_what_the_kernel_says() {
    needs_root!("two_thousand_cgroups_are_what_the_kernel_says");
    let many = Many::new(MANY);
    let mut reader = CgroupReader::open(&Root::default(), &mut Buffer::default(), DEFAULT_LIMIT, 4096).unwrap();
    let (first, opening) = read(&mut reader);
    assert_eq!(many.rows(&first).len(), MANY);

    // What stays open must tell what is there now: memory that has come since, and a limit that was changed.
    let loaded: Vec<_> = many.children.iter().step_by(MANY / 4).collect();
    let mut work: Vec<_> = loaded.iter().map(|c| Workload::start("hold 8388608", Some(c))).collect();
    assert!(work.iter_mut().all(|w| w.step() == "done"));
    many.children.iter().for_each(|c| c.limit_with_swap(96 << 20));
    let mut costs: Vec<f64> = Vec::new();
    let mut now = first;
    for _ in 0..5 {
        let (cgroups, cost) = read(&mut reader);
        costs.push(cost);
        now = cgroups;
    }
    costs.sort_by(f64::total_cmp);
    seen!("{MANY} cgroups: {opening:.1} ms CPU for the first reading, then {:.1} to {:.1} ms", costs[0], costs[4]);
    for (n, child) in many.children.iter().enumerate() {
        let row = now.by_id(child.id()).expect("it is listed");
        assert_eq!((row.path.as_str(), row.limit), (child.name().as_str(), Some(96 << 20)));
        let usage = cgroup_number(child, "memory.usage_in_bytes", ("memory.current", ""));
        // Nothing runs in them: what the kernel still moves is a batch of charges a CPU, where there was any charge.
        let apart = usage.abs_diff(row.usage.expect("it has a use"));
        let allowed = if n % (MANY / 4) == 0 { 4 << 20 } else { 0 };
        assert!(apart <= allowed, "{n}: the kernel says {usage}, observer {:?}", row.usage);
    }
    for child in &loaded {
        let stat = now.by_id(child.id()).and_then(|c| c.stat.clone()).expect("memory.stat was read");
        assert!(stat.anon.unwrap() >= 8 << 20 && stat.pgfault.unwrap() >= 2048, "{stat:?}");
    }
    work.into_iter().for_each(Workload::finish);

    // What is gone is let go of, and what has its name now is another one.
    let old = many.children[0].id();
    let Many { mut children, parent } = many;
    drop(children.remove(0));
    children.insert(0, parent.child("0"));
    let (after, _) = read(&mut reader);
    assert!(after.by_id(old).is_none());
    assert!(after.by_id(children[0].id()).is_some_and(|c| c.unlimited || c.limit.is_none()));
    drop(children);
    let (end, _) = read(&mut reader);
    assert!(!end.list.iter().any(|c| c.path.as_str().starts_with(&format!("{}/", parent.name()))));
    let still_open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let still_open: Vec<PathBuf> = still_open.filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
    // Files of the parent itself may stay open; the names of its children begin with a digit.
    let of_a_child = |path: &&PathBuf| {
        let below = path.strip_prefix(parent.path()).ok().and_then(|p| p.to_str());
        below.is_some_and(|p| p.starts_with(|c: char| c.is_ascii_digit()))
    };
    assert_eq!(still_open.iter().find(of_a_child), None);
}

/// Rows of the snapshot that grow with the number of cgroups.
fn rows(snapshot: &Snapshot) -> [usize; 3] {
    let alloc = page_alloc(snapshot);
    let reclaim = snapshot.reclaim.as_ref().map_or(0, |r| r.by_cgroup.len());
    [alloc.processes.len(), alloc.exited.len(), reclaim]
}

#[test]
fn cgroups_that_come_and_go_lose_no_page_and_cost_no_memory() {
    needs_root!("cgroups_that_come_and_go_lose_no_page_and_cost_no_memory");
    let parent = Cgroup::new("churn");
    // The controller is on for what is below.
    drop(parent.child("first"));
    let mut collector = Collector::new(Options::default());
    let perf = Counter::everywhere("kmem:mm_page_alloc", None);
    let mut work = Workload::start(&format!("cgroups {} {CHURN} {FAULTS}", parent.path().display()), None);
    let own = Counter::of_process(work.pid(), "kmem:mm_page_alloc", None);

    let first = perf.read();
    let begin = collector.snapshot();
    let begin_last = perf.read();
    let (done, begun) = (AtomicBool::new(false), Instant::now());
    let (mut last, mut most, mut early, mut taken, mut ended) = (begin.clone(), [0; 3], None, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(work.step(), "done");
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(300) {
            let now = collector.snapshot();
            let (before, after) = (page_alloc(&last).total(), page_alloc(&now).total());
            assert!(after.since(&before).is_some(), "a total has gone back");
            most.iter_mut().zip(rows(&now)).for_each(|(most, n)| *most = n.max(*most));
            last = now;
            taken += 1;
            ended = begun.elapsed().as_millis();
            if fs::metadata(parent.path().join((CHURN / 3).to_string())).is_ok() || ended > 3000 {
                early.get_or_insert_with(resident_kb);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let rate = CHURN as f64 / begun.elapsed().as_secs_f64();
    let grown = resident_kb().saturating_sub(early.unwrap_or_else(resident_kb));
    let end_first = perf.read();
    let end = collector.snapshot();
    let (least, highest) = (end_first - begin_last, perf.read() - first);
    let missed = missed(&end, "page_alloc") - missed(&begin, "page_alloc");
    let observed = events(&page_alloc(&end).total(), &page_alloc(&begin).total());
    seen!(
        "{CHURN} cgroups at {rate:.0}/s in {ended} ms, {taken} snapshots, grown by {grown} kB to {} kB",
        resident_kb()
    );
    seen!(
        "{least} <= {observed} (missed {missed}) <= {highest}, of them {} of the cgroups; rows at most {most:?}",
        own.read()
    );
    assert!(observed <= highest && observed + missed >= least, "{least} <= {observed} + {missed} <= {highest}");
    assert!(own.read() >= (CHURN * FAULTS) as u64, "the work itself");
    let lost: Vec<_> = end.coverage.losses.iter().filter(|l| l.count > 0 && !l.what.contains("recursion")).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(most[1] <= 2048 + 512, "cgroups that are gone are kept apart without end: {most:?}");
    assert!(grown < 8192, "memory grew by {grown} kB in {taken} snapshots");
    if rate < LEAST_RATE {
        let slow = format!("{LEAST_RATE} cgroups a second: this machine made {rate:.0}; what was counted is right");
        skipped("cgroups_that_come_and_go_lose_no_page_and_cost_no_memory", &slow);
    }
    // Its cgroups are gone, and so is all that observer held of them.
    let inside = |id: &CgroupId| end.cgroups.as_ref().and_then(|c| c.by_id(*id)).is_some();
    assert!(inside(&parent.id()));
    work.finish();
}
