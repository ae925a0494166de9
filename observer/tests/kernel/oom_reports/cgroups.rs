//! Limits of cgroups: its own, one above, of swap.

use observer::{
    diagnose::oom::{Cause, Memory, What},
    snapshot::oom_report::UseKind,
};

use super::{MIB, kills, told, until_killed};
use crate::support::{cgroup::Cgroup, needs_root, seen, skipped, workload::Workload};

const LIMIT: u64 = 48 * MIB;

#[test]
fn own_limit_of_a_cgroup() {
    needs_root!("own_limit_of_a_cgroup");
    let make = || {
        let cgroup = Cgroup::limited("own", LIMIT);
        let pid = until_killed(Workload::start(&format!("hold {} obs-hog 0", 2 * LIMIT), Some(&cgroup)));
        (cgroup, pid)
    };
    let (told, (cgroup, pid)) = told("own-limit", make, |r, (_, pid)| kills(r, *pid));
    told.is_of(pid, pid);
    told.is_of_cgroup(&cgroup, LIMIT, 0);
    assert_eq!(cgroup.oom_kills(), 1);
    let anonymous = told.explanation.usage.of(What::Anonymous);
    assert!(anonymous > LIMIT * 9 / 10 && anonymous <= LIMIT, "{anonymous}");
    // What version 2 says of swap is that it may not be used; version 1 limits memory and swap together.
    assert!(matches!(told.first_cause(), Some(Cause::SwapLimit | Cause::NoSwap)), "{:?}", told.explanation.reasons);
}

#[test]
fn the_limit_of_the_parent_is_met() {
    needs_root!("the_limit_of_the_parent_is_met");
    let make = || {
        let parent = Cgroup::limited("parent", LIMIT);
        let middle = parent.child("middle");
        let [child, sibling] = ["child", "sibling"].map(|name| middle.child(name));
        child.limit(LIMIT);
        let mut other = Workload::start(&format!("hold {} obs-other 0", LIMIT / 3), Some(&sibling));
        assert_eq!(other.step(), "done");
        let pid = until_killed(Workload::start(&format!("hold {LIMIT} obs-hog 0"), Some(&child)));
        // Children are removed before those above them.
        (other, [child, sibling, middle, parent], pid)
    };
    let (told, (other, cgroups, pid)) = told("parent-limit", make, |r, made| kills(r, made.2));
    let [child, _, middle, parent] = &cgroups;
    told.is_of(pid, pid);
    told.is_of_cgroup(parent, LIMIT, 2);
    let Memory::Cgroup { of_task, .. } = &told.explanation.limit.memory else { panic!("{:?}", told.explanation.limit) };
    assert_eq!(of_task.as_ref().map(|n| n.as_str()), Some(child.name().as_str()));
    assert!(child.name().starts_with(&middle.name()));
    // Who shares the limit is in the table, and lives.
    assert!(told.report.tasks.iter().any(|t| t.pid == other.pid()));
    other.finish();
}

#[test]
fn the_swap_limit_of_a_cgroup_is_met() {
    const NAME: &str = "the_swap_limit_of_a_cgroup_is_met";
    needs_root!("the_swap_limit_of_a_cgroup_is_met");
    let Some(_swap) = super::host::swap(NAME, 256 * MIB) else { return };
    const SWAP: u64 = 16 * MIB;
    let make = || {
        let cgroup = Cgroup::new("swap-limit");
        cgroup.limit_with_swap(LIMIT);
        if cgroup.is_v2() {
            std::fs::write(cgroup.path().join("memory.swap.max"), SWAP.to_string()).expect("swap is accounted");
        } else {
            let both = (LIMIT + SWAP).to_string();
            std::fs::write(cgroup.path().join("memory.memsw.limit_in_bytes"), both).expect("swap is accounted");
        }
        let pid = until_killed(Workload::start(&format!("hold {} obs-hog 0", 4 * LIMIT), Some(&cgroup)));
        (cgroup, pid)
    };
    let (told, (cgroup, pid)) = told("swap-limit", make, |r, (_, pid)| kills(r, *pid));
    told.is_of(pid, pid);
    assert_eq!(told.first_cause(), Some(Cause::SwapLimit), "{:#?}", told.explanation.reasons);
    if cgroup.is_v2() {
        told.is_of_cgroup(&cgroup, LIMIT, 0);
        let swap = told.report.memcg.as_ref().and_then(|m| m.of(UseKind::Swap)).expect("swap is written");
        assert_eq!(swap.limit, Some(SWAP));
        assert!(swap.usage <= SWAP && swap.usage > SWAP * 3 / 4, "{swap:?}");
        seen!("{swap:?}");
    } else {
        skipped(NAME, "the limits of version 1 were looked at only in part");
    }
}
