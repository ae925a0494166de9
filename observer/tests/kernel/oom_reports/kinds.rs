//! Memory in a cgroup that cannot be freed: tmpfs, locked, protected.

use std::fs;

use observer::diagnose::oom::Cause;

use super::{MIB, kills, told, until_killed};
use crate::support::{
    cgroup::{Cgroup, is_v2},
    mounted::Tmpfs,
    needs_root, skipped,
    workload::Workload,
};

const LIMIT: u64 = 48 * MIB;
/// What a processor keeps back of what is locked, before it counts it.
const BATCHES: u64 = MIB;

#[test]
fn a_cgroup_full_of_tmpfs() {
    needs_root!("a_cgroup_full_of_tmpfs");
    let make = || {
        let cgroup = Cgroup::limited("tmpfs", LIMIT);
        let tmpfs = Tmpfs::new(&(4 * LIMIT).to_string());
        let what = format!("fill {} {} {}", tmpfs.path().display(), 2 * LIMIT, LIMIT);
        let pid = until_killed(Workload::start(&what, Some(&cgroup)));
        (tmpfs, cgroup, pid)
    };
    let (told, (_tmpfs, cgroup, pid)) = told("tmpfs", make, |r, made| kills(r, made.2));
    told.is_of(pid, pid);
    told.is_of_cgroup(&cgroup, LIMIT, 0);
    assert_eq!(told.first_cause(), Some(Cause::Tmpfs), "{:#?}", told.explanation.reasons);
    assert!(told.bytes_of(Cause::Tmpfs) > LIMIT * 8 / 10);
    // What was killed had next to nothing of it.
    let held = told.explanation.victim.as_ref().and_then(|v| v.bytes).expect("it is in the table");
    assert!(held < LIMIT / 4, "{held}");
}

#[test]
fn a_cgroup_full_of_locked_memory() {
    needs_root!("a_cgroup_full_of_locked_memory");
    let make = || {
        let cgroup = Cgroup::limited("locked", LIMIT);
        let mut locks = Workload::start(&format!("lock {} 0", LIMIT * 3 / 4), Some(&cgroup));
        assert_eq!(locks.step(), "done");
        let pid = until_killed(Workload::start(&format!("hold {LIMIT} obs-app 1000"), Some(&cgroup)));
        (locks, cgroup, pid)
    };
    let (told, (locks, cgroup, pid)) = told("locked", make, |r, made| kills(r, made.2));
    told.is_of(pid, pid);
    told.is_of_cgroup(&cgroup, LIMIT, 0);
    assert_eq!(told.first_cause(), Some(Cause::Locked), "{:#?}", told.explanation.reasons);
    let locked = told.bytes_of(Cause::Locked);
    let kernel = fs::read_to_string(format!("/proc/{}/status", locks.pid())).expect("it lives");
    let line = kernel.lines().find_map(|l| l.strip_prefix("VmLck:")).expect("the kernel has the line");
    let of_process = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024;
    // All that it has touched; what is only mapped is not there.
    assert!(locked + BATCHES >= LIMIT * 3 / 4 && locked <= of_process, "{locked} of {of_process}");
    locks.finish();
}

#[test]
fn a_cgroup_whose_page_cache_is_protected() {
    const NAME: &str = "a_cgroup_whose_page_cache_is_protected";
    needs_root!("a_cgroup_whose_page_cache_is_protected");
    if !is_v2() {
        skipped(NAME, "only version 2 has memory.min");
        return;
    }
    const FILE: u64 = 24 * MIB;
    let make = || {
        let parent = Cgroup::limited("min", LIMIT);
        // What is protected is so against siblings, as far as those above are protected as well.
        fs::write(parent.path().join("memory.min"), FILE.to_string()).expect("the file is there");
        let [cache, app] = ["cache", "app"].map(|name| parent.child(name));
        fs::write(cache.path().join("memory.min"), (2 * FILE).to_string()).expect("the file is there");
        let file = crate::support::file::BigFile::new(FILE);
        let mut reads = Workload::start(&format!("read {} 2", file.path().display()), Some(&cache));
        assert_eq!(reads.step(), "done");
        let pid = until_killed(Workload::start(&format!("hold {LIMIT} obs-app 0"), Some(&app)));
        (reads, file, [cache, app, parent], pid)
    };
    let (told, (reads, file, cgroups, pid)) = told("memory-min", make, |r, made| kills(r, made.3));
    let [_, _, parent] = &cgroups;
    told.is_of(pid, pid);
    told.is_of_cgroup(parent, LIMIT, 1);
    assert!(told.bytes_of(Cause::Cache) > FILE / 2, "{:#?}", told.explanation.reasons);
    let all = told.explanation.summary.join(" ");
    assert!(all.contains("memory.min"), "{all}");
    reads.finish();
    drop(file);
}
