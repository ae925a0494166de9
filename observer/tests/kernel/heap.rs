//! Memory that observer holds while cgroups come and go, counted by the allocator: resident memory tells of what the
//! allocator keeps for itself as well, and of holes.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use observer::{
    output::metrics::{Exporter, Format},
    source::{Collector, Options},
};

use crate::support::{cgroup::Cgroup, needs_root, seen, skipped, workload::Workload};

/// The allocator of this binary, with a count of the bytes that are handed out.
struct Counted;

/// Bytes that are handed out.
static LIVE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static HEAP: Counted = Counted;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Cgroups of a round, in each a process: more than are kept apart after they are gone.
const CHURN: usize = 2600;
/// Rounds; the tables fill in the first half of them.
const ROUNDS: usize = 8;
/// Scrapes after a round: the models of a minute are kept.
const SETTLE: usize = 16;
/// Faults of each process.
const FAULTS: usize = 5;
/// Cgroups that tell how fast the machine is, and how long they may take: on a slower one the test takes minutes.
const PACE: (usize, Duration) = (100, Duration::from_secs(1));
/// What a snapshot is later than the one before, as its stamps say: a scrape every five seconds, so that a short test sees
/// what expires after minutes.
const TICK_NS: u64 = 5_000_000_000;

/// What an exporter does, with its clock ahead.
struct Target {
    collector: Collector,
    exporter: Exporter,
    ahead_ns: u64,
}

impl Target {
    /// Takes a snapshot, makes the page of it, and gives the bytes that are held after.
    fn scrape(&mut self) -> usize {
        self.ahead_ns += TICK_NS;
        let mut snapshot = self.collector.snapshot();
        snapshot.stamp.monotonic_ns += self.ahead_ns;
        snapshot.stamp.boottime_ns += self.ahead_ns;
        let page = self.exporter.page(snapshot, Duration::from_millis(1));
        assert!(!page.body(Format::Text, true).expect("it is encoded").is_empty());
        drop(page);
        LIVE.load(Ordering::Relaxed)
    }
}

#[test]
fn an_exporter_holds_no_more_after_thousands_of_cgroups() {
    const NAME: &str = "an_exporter_holds_no_more_after_thousands_of_cgroups";
    needs_root!("an_exporter_holds_no_more_after_thousands_of_cgroups");
    let parent = Cgroup::new("heap");
    // The controller is on for what is below.
    drop(parent.child("first"));
    let churn = |count| format!("cgroups {} {count} {FAULTS}", parent.path().display());
    let mut work = Workload::start(&churn(PACE.0), None);
    let begun = Instant::now();
    assert_eq!(work.step(), "done");
    work.finish();
    if begun.elapsed() > PACE.1 {
        return skipped(NAME, &format!("{} cgroups take {:.1?} on this machine", PACE.0, begun.elapsed()));
    }
    let options = Options { max_cgroups: 64, ..Options::default() };
    let mut target = Target { collector: Collector::new(options), exporter: Exporter::new(50), ahead_ns: 0 };
    let mut rests = Vec::new();
    for round in 0..ROUNDS {
        let mut work = Workload::start(&churn(CHURN), None);
        let (done, begun) = (AtomicBool::new(false), Instant::now());
        let (mut most, mut scrapes) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(work.step(), "done");
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                most = target.scrape().max(most);
                scrapes += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        work.finish();
        // How much a snapshot holds depends on how many came since the one before: what stays is held when nobody comes.
        let rest = (0..SETTLE).map(|_| target.scrape()).min().expect("scrapes");
        let took = begun.elapsed();
        seen!("round {round}: {CHURN} cgroups in {took:.1?}, {scrapes} scrapes, {most} B held at most, {rest} B after");
        rests.push(rest);
    }
    let (early, late) = rests.split_at(ROUNDS / 2);
    let (early, late) = (early.iter().max().expect("rounds"), late.iter().max().expect("rounds"));
    // Each cgroup that stayed in some table would cost a path and a count, a hundred bytes at least.
    let allowed = CHURN * ROUNDS / 2 * 100;
    assert!(*late <= early + allowed, "{rests:?}");
}
