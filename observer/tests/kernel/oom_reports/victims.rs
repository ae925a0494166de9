//! Who is killed, and who is not: scores, groups, and a victim that ended by itself.

use super::{MIB, host::may_be_full, kills, log::Since, told};
use crate::support::{
    cgroup::{Cgroup, is_v2},
    needs_root, seen, skipped,
    sysctl::Sysctl,
    wait::wait_for,
    workload::Workload,
};

const LIMIT: u64 = 48 * MIB;

#[test]
fn the_larger_process_is_spared_by_its_score() {
    needs_root!("the_larger_process_is_spared_by_its_score");
    let make = || {
        let cgroup = Cgroup::limited("score", LIMIT);
        let mut large = Workload::start(&format!("hold {} obs-database 0", LIMIT / 2), Some(&cgroup));
        let mut small = Workload::start(&format!("hold {} obs-worker 900", LIMIT / 6), Some(&cgroup));
        assert_eq!((large.step().as_str(), small.step().as_str()), ("done", "done"));
        let mut asks = Workload::start(&format!("hold {} obs-client 0", LIMIT / 3), Some(&cgroup));
        let (victim, trigger) = (small.pid(), asks.pid());
        assert_eq!(asks.step(), "done", "once the victim is gone there is room");
        assert_eq!(small.killed_by(), Some(libc::SIGKILL));
        (asks, large, cgroup, victim, trigger)
    };
    let (told, (asks, large, cgroup, victim, trigger)) = told("spared", make, |r, made| kills(r, made.3));
    told.is_of(trigger, victim);
    told.is_of_cgroup(&cgroup, LIMIT, 0);
    let said = told.explanation.victim.as_ref().expect("the victim is explained");
    assert_eq!(said.rank, Some(1), "{said:#?}");
    let spared = said.spared.iter().find(|s| s.pid == large.pid()).expect("the larger one is named");
    assert!(spared.why.contains("oom_score_adj 0 against 900") && spared.bytes > LIMIT / 3, "{spared:?}");
    let chosen = said.candidates.first().expect("the victim is a candidate");
    // Thousandths of the limit, as the kernel reckons.
    assert_eq!((chosen.oom_score_adj, chosen.adjustment), (900, (LIMIT * 900 / 1000).cast_signed()));
    asks.finish();
    large.finish();
}

#[test]
fn all_of_a_group_are_killed() {
    const NAME: &str = "all_of_a_group_are_killed";
    needs_root!("all_of_a_group_are_killed");
    if !is_v2() {
        skipped(NAME, "only version 2 has memory.oom.group");
        return;
    }
    let make = || {
        let parent = Cgroup::limited("group", LIMIT);
        let cgroup = parent.child("pod");
        std::fs::write(cgroup.path().join("memory.oom.group"), "1").expect("the file is there");
        let idle = [("obs-sidecar", "0"), ("obs-proxy", "0"), ("obs-spared", "-1000")]
            .map(|(name, score)| Workload::start(&format!("hold {} {name} {score}", 2 * MIB), Some(&cgroup)));
        let [a, b, spared] = idle;
        let hog = super::until_killed(Workload::start(&format!("hold {} obs-hog 0", 2 * LIMIT), Some(&cgroup)));
        let pids = [a.pid(), b.pid()];
        for work in [a, b] {
            assert_eq!(work.killed_by(), Some(libc::SIGKILL));
        }
        (spared, [cgroup, parent], hog, pids)
    };
    let (told, (spared, cgroups, hog, pids)) = told("group", make, |r, made| kills(r, made.2));
    let [cgroup, parent] = &cgroups;
    told.is_of(hog, hog);
    // The limit is that of the parent; the group is what lies below it.
    told.is_of_cgroup(parent, LIMIT, 1);
    assert_eq!(told.report.group.as_ref().map(|n| n.as_str()), Some(cgroup.name().as_str()));
    let mut killed: Vec<u32> = told.report.kills.iter().map(|k| k.pid).collect();
    killed.sort_unstable();
    let mut expected = vec![hog, pids[0], pids[1]];
    expected.sort_unstable();
    assert_eq!(killed, expected);
    assert!(told.explanation.headline.contains("and 2 more"), "{}", told.explanation.headline);
    let all = told.explanation.summary.join(" ");
    assert!(all.contains("memory.oom.group"), "{all}");
    // It still waits to be told to take its memory.
    drop(spared);
}

/// The victim reads the kernel's log and ends when it sees that it is looked for; the kernel finds it gone, and kills nobody.
#[test]
fn a_victim_that_ends_by_itself() {
    const NAME: &str = "a_victim_that_ends_by_itself";
    const TRIES: usize = 20;
    needs_root!("a_victim_that_ends_by_itself");
    if !may_be_full(NAME) {
        return;
    }
    // The console is slow, and who writes the report waits for it.
    let _all_to_console = Sysctl::set("kernel/printk", "8");
    for n in 0..TRIES {
        let mut log = Since::now();
        let cgroup = Cgroup::limited("exiting", LIMIT);
        // A longer report gives it more time.
        let idle = [(); 12].map(|()| Workload::start(&format!("hold {} obs-idle -1000", MIB / 4), Some(&cgroup)));
        let mut victim = Workload::start(&format!("exiting {}", LIMIT / 2), Some(&cgroup));
        assert_eq!(victim.step(), "done");
        let mut asks = Workload::start(&format!("hold {} obs-asks -1000", LIMIT * 5 / 8), Some(&cgroup));
        let (pid, trigger) = (victim.pid(), asks.pid());
        assert_eq!(asks.step(), "done", "there is room");
        let signal = victim.killed_by();
        let ours = wait_for("the report", || log.reports().into_iter().find(|r| r.victim_pid() == Some(pid)));
        drop((asks, idle));
        if ours.exiting.is_none() || !ours.unread.is_empty() || ours.cut.is_some() {
            seen!("try {n}: cut {:?}, ended by {signal:?}", ours.cut);
            continue;
        }
        assert_eq!((cgroup.oom_kills(), ours.kills.len()), (0, 0), "{ours:#?}");
        log.keep("exiting", &ours);
        let told = super::Told { explanation: observer::diagnose::oom::explain(&ours), report: ours };
        told.is_whole();
        told.is_of(trigger, pid);
        told.is_of_cgroup(&cgroup, LIMIT, 0);
        assert!(told.explanation.headline.starts_with("Nothing was killed"), "{}", told.explanation.headline);
        return;
    }
    skipped(NAME, "the kernel was always faster than the victim");
}
