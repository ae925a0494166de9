//! Memory of the kernel that a cgroup pays for: page tables, slab, pipes.

use observer::diagnose::oom::Cause;

use super::{MIB, Told, kills, told, until_killed};
use crate::support::{cgroup::Cgroup, needs_root, workload::Workload};

const LIMIT: u64 = 32 * MIB;

/// A process that makes the kernel hold memory for it, until it is killed.
fn scene(name: &str, what: &str) -> (Told, Cgroup) {
    let make = || {
        let cgroup = Cgroup::limited(name, LIMIT);
        let pid = until_killed(Workload::start(what, Some(&cgroup)));
        (cgroup, pid)
    };
    let (told, (cgroup, pid)) = told(name, make, |r, (_, pid)| kills(r, *pid));
    told.is_of(pid, pid);
    told.is_of_cgroup(&cgroup, LIMIT, 0);
    (told, cgroup)
}

/// Asserts that most of the cgroup is of a kind. Version 1 has one number for all memory of the kernel, and tasks tell their
/// page tables.
fn is_mostly(told: &Told, cgroup: &Cgroup, kind: Cause) {
    let told_apart = cgroup.is_v2() || kind == Cause::PageTables;
    let cause = if told_apart { kind } else { Cause::Kernel };
    assert_eq!(told.first_cause(), Some(cause), "{:#?}", told.explanation.reasons);
    assert!(told.bytes_of(cause) > LIMIT / 2, "{:#?}", told.explanation.reasons);
}

#[test]
fn a_cgroup_full_of_page_tables() {
    needs_root!("a_cgroup_full_of_page_tables");
    let (told, cgroup) = scene("page-tables", &format!("tables {} {}", 2 * LIMIT, 8 * LIMIT));
    is_mostly(&told, &cgroup, Cause::PageTables);
}

#[test]
fn a_cgroup_full_of_slab() {
    needs_root!("a_cgroup_full_of_slab");
    let (told, cgroup) = scene("slab", &format!("queue {}", 2 * LIMIT));
    is_mostly(&told, &cgroup, Cause::Slab);
}

#[test]
fn a_cgroup_full_of_pipes() {
    needs_root!("a_cgroup_full_of_pipes");
    let (told, cgroup) = scene("pipes", "hoard 1");
    is_mostly(&told, &cgroup, Cause::Kernel);
}
