//! OOM kills in a private cgroup, against /proc/vmstat and the cgroup's own count.

use std::collections::VecDeque;

use observer::{
    snapshot::{
        CgroupId, Snapshot,
        oom::{Oom, OomKill},
        reclaim::ReclaimKind,
    },
    source::{Collector, Options},
};

use crate::support::{cgroup::Cgroup, needs_root, seen, wait::wait_for, workload::Workload};

const LIMIT: u64 = 64 << 20;

fn oom(snapshot: &Snapshot) -> &Oom {
    snapshot.oom.as_ref().expect("OOM kills are seen")
}

fn vmstat_kills(snapshot: &Snapshot) -> u64 {
    snapshot.memory.vmstat.as_ref().and_then(|v| v.oom_kill).expect("/proc/vmstat counts kills")
}

/// Kills since `before`, as the probe and as /proc/vmstat count them.
fn counted(before: &Snapshot, after: &Snapshot) -> (u64, u64) {
    (oom(after).kills - oom(before).kills, vmstat_kills(after) - vmstat_kills(before))
}

/// Waits for a snapshot with a kill in `cgroup`, at a moment when the probe and /proc/vmstat agree: another test may kill
/// between the two readings.
fn kills_in(collector: &mut Collector, before: &Snapshot, cgroup: CgroupId) -> (Snapshot, Vec<OomKill>) {
    wait_for("the kill to be seen, by the probe as by /proc/vmstat", || {
        let snapshot = collector.snapshot();
        let counted = counted(before, &snapshot);
        let of_cgroup = |recent: &VecDeque<OomKill>| {
            recent.iter().filter(|k| k.victim.cgroup == Some(cgroup)).cloned().collect::<Vec<_>>()
        };
        let kills = of_cgroup(&oom(&snapshot).recent);
        (!kills.is_empty() && counted.0 == counted.1).then_some((snapshot, kills))
    })
}

/// Asserts what holds for one kill in a cgroup of ours, and gives its event.
fn assert_one_kill(before: &Snapshot, after: &Snapshot, kills: &[OomKill], cgroup: &Cgroup) -> OomKill {
    let [kill] = kills else { panic!("one kill: {kills:#?}") };
    seen!("probe and /proc/vmstat: {:?}, cgroup: {}, event {kill:?}", counted(before, after), cgroup.oom_kills());
    assert_eq!(cgroup.oom_kills(), 1);
    assert_eq!(oom(after).events_lost, 0);
    assert_eq!(kill.victim.cgroup_path.as_ref().map(|p| p.as_str()), Some(cgroup.name().as_str()));
    assert!(kill.monotonic_ns > before.stamp.monotonic_ns && kill.monotonic_ns < after.stamp.monotonic_ns);
    let reclaim = kill.last_reclaim.as_ref().expect("the kernel reclaims before it kills");
    assert_eq!((reclaim.kind, reclaim.order), (ReclaimKind::Memcg, 0));
    // Somewhere in the chain from the page fault to the mark.
    let stack = kill.stack.as_ref().expect("root may see names of functions");
    assert!(stack.iter().any(|f| f.function.as_str() == "out_of_memory"), "{stack:?}");
    kill.clone()
}

#[test]
fn a_process_that_outgrows_its_cgroup_is_victim_and_trigger() {
    needs_root!("a_process_that_outgrows_its_cgroup_is_victim_and_trigger");
    let cgroup = Cgroup::limited("oom", LIMIT);
    let mut collector = Collector::new(Options::default());
    let mut work = Workload::start(&format!("hold {} obs-glutton", 2 * LIMIT), Some(&cgroup));
    let pid = work.pid();
    let before = collector.snapshot();
    work.go();
    assert_eq!(work.killed_by(), Some(libc::SIGKILL));
    let (after, kills) = kills_in(&mut collector, &before, cgroup.id());
    let kill = assert_one_kill(&before, &after, &kills, &cgroup);
    for task in [&kill.victim, &kill.trigger] {
        assert_eq!((task.pid, task.tid, task.cgroup), (Some(pid), pid, Some(cgroup.id())));
        assert_eq!(task.comm.as_ref().unwrap().as_str(), "obs-glutton");
    }
}

#[test]
fn the_victim_need_not_be_the_trigger() {
    needs_root!("the_victim_need_not_be_the_trigger");
    let cgroup = Cgroup::limited("victim", LIMIT);
    let mut collector = Collector::new(Options::default());
    let mut victim = Workload::start(&format!("hold {} obs-victim 1000", LIMIT / 8 * 5), Some(&cgroup));
    assert_eq!(victim.step(), "done");
    let mut trigger = Workload::start(&format!("hold {} obs-trigger", LIMIT / 8 * 5), Some(&cgroup));
    let (victim_pid, trigger_pid) = (victim.pid(), trigger.pid());
    let before = collector.snapshot();
    assert_eq!(trigger.step(), "done", "once the victim is gone there is room");
    assert_eq!(victim.killed_by(), Some(libc::SIGKILL));
    let (after, kills) = kills_in(&mut collector, &before, cgroup.id());
    let kill = assert_one_kill(&before, &after, &kills, &cgroup);
    let tasks = [(&kill.victim, victim_pid, "obs-victim"), (&kill.trigger, trigger_pid, "obs-trigger")];
    for (task, pid, comm) in tasks {
        assert_eq!((task.pid, task.tid, task.cgroup), (Some(pid), pid, Some(cgroup.id())), "{comm}");
        assert_eq!(task.comm.as_ref().unwrap().as_str(), comm);
    }
    trigger.finish();
}

#[test]
fn a_kill_keeps_the_path_of_a_cgroup_that_is_gone() {
    needs_root!("a_kill_keeps_the_path_of_a_cgroup_that_is_gone");
    let mut collector = Collector::new(Options::default());
    let cgroup = Cgroup::limited("gone", LIMIT / 4);
    let (id, name) = (cgroup.id(), cgroup.name());
    let before = collector.snapshot();
    let mut work = Workload::start(&format!("hold {LIMIT}"), Some(&cgroup));
    work.go();
    assert_eq!(work.killed_by(), Some(libc::SIGKILL));
    drop(cgroup);
    let (_, kills) = kills_in(&mut collector, &before, id);
    assert_eq!(kills[0].victim.cgroup_path.as_ref().map(|p| p.as_str()), Some(name.as_str()));
}
