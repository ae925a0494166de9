//! Everything at once for a while: processes, cgroups and connections come and go while snapshots are taken.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use observer::{
    model::Model,
    snapshot::Snapshot,
    source::{Collector, Options},
};

use crate::{
    support::{
        cgroup::Cgroup,
        needs_root,
        netns::Netns,
        observer::{events, missed, of_cgroup, page_alloc},
        perf::Counter,
        seen,
        socket::{LOOPBACKS, listen, pair},
        wait::wait_for,
        workload::Workload,
    },
    vanish::resident_kb,
};

/// How long.
const RUN: Duration = Duration::from_secs(15);
/// From one snapshot to the next.
const TICK: Duration = Duration::from_millis(50);
/// Children of each round of processes, and faults of each child.
const ROUND: (u64, u64) = (40, 100);

/// What must only grow.
fn totals(snapshot: &Snapshot, netns: u64) -> [u64; 6] {
    let tcp = snapshot.tcp.namespaces.iter().flatten().find(|n| n.netns == netns);
    let all = page_alloc(snapshot).total();
    let closed = snapshot
        .tcp
        .closed
        .as_ref()
        .map_or(0, |c| c.list.iter().filter(|g| g.netns == netns).map(|g| g.totals.connections).sum());
    [
        all.allocations(),
        all.failures(),
        tcp.map_or(0, |t| t.active_opens),
        tcp.map_or(0, |t| t.passive_opens),
        tcp.map_or(0, |t| t.closed),
        closed,
    ]
}

#[test]
fn churn_of_everything_is_counted_exactly_and_costs_no_memory() {
    needs_root!("churn_of_everything_is_counted_exactly_and_costs_no_memory");
    let cgroup = Cgroup::new("soak");
    let folders = Cgroup::new("soak-folders");
    let netns = Netns::new();
    let mut collector = Collector::new(Options::default());
    let perf = Counter::everywhere("kmem:mm_page_alloc", None);
    let first = perf.read();
    let begin = collector.snapshot();
    let begin_last = perf.read();
    let (stop, connections, children) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let stopped = || stop.load(Ordering::Relaxed);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stopped() {
                let mut work = Workload::start(&format!("churn {} {}", ROUND.0, ROUND.1), Some(&cgroup));
                assert_eq!(work.step(), "done");
                work.finish();
                children.fetch_add(ROUND.0, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            netns.inside(|| {
                let listeners = LOOPBACKS.map(listen);
                while !stopped() {
                    for listener in &listeners {
                        let mut ends = pair(listener);
                        ends.send(1000);
                        connections.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        });
        scope.spawn(|| {
            while !stopped() {
                let child = folders.path().join("child");
                fs::create_dir(&child).unwrap();
                fs::remove_dir(&child).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch(&mut collector, &begin, &netns)));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });

    wait_for("the connections to end", || (netns.snmp()["CurrEstab"] == 0).then_some(()));
    let connections = connections.load(Ordering::Relaxed);
    // The kernel does not start a probe inside itself: a change of state in an interrupt of the probe is a miss that it counts.
    let missed_states = |s: &Snapshot| missed(s, "tcp_states") - missed(&begin, "tcp_states");
    let is_all = |s: &Snapshot, seen: u64, all: u64| seen <= all && seen + missed_states(s) >= all;
    wait_for("all connections to be closed", || {
        let now = collector.snapshot();
        is_all(&now, totals(&now, netns.inode())[4], 2 * connections).then_some(())
    });
    let end_first = perf.read();
    let end = collector.snapshot();
    let (least, most) = (end_first - begin_last, perf.read() - first);
    // What a slot held at the begin would be counted at the end.
    let lost: Vec<_> = end.coverage.losses.iter().filter(|l| l.count > 0 && !l.what.contains("recursion")).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let missed_pages = missed(&end, "page_alloc") - missed(&begin, "page_alloc");
    let observed = events(&page_alloc(&end).total(), &page_alloc(&begin).total());
    seen!(
        "{connections} connections, {} children; {least} <= {observed} (missed {missed_pages}) <= {most}",
        children.load(Ordering::Relaxed)
    );
    assert!(observed <= most && observed + missed_pages >= least, "{least} <= {observed} + {missed_pages} <= {most}");
    let [_, _, active, passive, closed, ended] = totals(&end, netns.inode());
    seen!("{} changes of state missed", missed_states(&end));
    let expected = [(active, connections), (passive, connections), (closed, 2 * connections)];
    assert!(expected.iter().all(|(seen, all)| is_all(&end, *seen, *all)), "{expected:?}");
    assert!(ended + missed(&end, "tcp_closed") >= 2 * connections && ended <= 2 * connections, "{ended}");
    let in_cgroup = events(&of_cgroup(&end, cgroup.id()), &of_cgroup(&begin, cgroup.id()));
    assert!(in_cgroup >= children.load(Ordering::Relaxed) * ROUND.1, "{in_cgroup}");
}

/// Takes snapshots and models until the time is over; what should only grow must, and memory must not.
fn watch(collector: &mut Collector, begin: &Snapshot, netns: &Netns) {
    let begun = Instant::now();
    let (mut last, mut taken, mut early) = (begin.clone(), 0, None);
    while begun.elapsed() < RUN {
        let now = collector.snapshot();
        let missing: Vec<_> = now.coverage.sources.iter().filter(|s| s.missing.is_some()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let (before, after) = (totals(&last, netns.inode()), totals(&now, netns.inode()));
        assert!(before.iter().zip(&after).all(|(b, a)| b <= a), "{before:?} then {after:?}");
        let model = Model::new(&now, Some(&last));
        assert!(model.interval.is_some() && model.page_alloc.is_some());
        last = now;
        taken += 1;
        if begun.elapsed() > RUN / 3 {
            early.get_or_insert_with(resident_kb);
        }
        std::thread::sleep(TICK);
    }
    let grown = resident_kb().saturating_sub(early.unwrap_or(0));
    seen!("{taken} snapshots, grown by {grown} kB to {} kB", resident_kb());
    assert!(grown < 16_384, "memory grew by {grown} kB in {taken} snapshots");
}
