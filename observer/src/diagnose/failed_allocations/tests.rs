use super::*;
use crate::{
    diagnose::testing::{fired, models, snapshot_at},
    snapshot::{
        Cgroup, Cgroups, Snapshot,
        page_alloc::{AllocFailure, Failures, GfpFlag, PageAlloc, ProcessAlloc},
    },
};

fn at(second: u64, order: usize, failed: u64) -> Snapshot {
    let mut s = snapshot_at(second);
    let mut counts = AllocCounts::default();
    counts.failed[order] = failed;
    let row = ProcessAlloc { pid: 9, comm: "nic".into(), cgroup: Some(CgroupId(4)), counts, ..Default::default() };
    s.page_alloc = Some(PageAlloc { processes: vec![row], ..Default::default() });
    s
}

fn outcome(order: usize, failed: u64) -> Outcome {
    check(&Window::new(&models(&[at(1, order, 0), at(5, order, failed)])).unwrap())
}

#[test]
fn one_small_block_that_is_missing_is_a_warning() {
    let finding = fired(outcome(0, 1));
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.verdict.contains("nic (pid 9)"), "{}", finding.verdict);
}

#[test]
fn large_blocks_are_worth_knowing_when_they_are_many() {
    assert_eq!(fired(outcome(9, 50)).severity, Severity::Info);
    assert_eq!(outcome(9, 2), Outcome::Quiet);
    assert_eq!(outcome(0, 0), Outcome::Quiet);
}

#[test]
fn the_limit_of_a_cgroup_is_the_reason() {
    let with_limit = |mut s: Snapshot| {
        let row =
            Cgroup { id: CgroupId(4), path: "/job".into(), usage: Some(99), limit: Some(100), ..Default::default() };
        s.cgroups = Some(Cgroups { list: vec![row], ..Default::default() });
        s
    };
    let finding = fired(check(&Window::new(&models(&[at(1, 0, 0), at(2, 0, 30)].map(with_limit))).unwrap()));
    assert!(finding.verdict.ends_with("whose cgroup is at its limit"), "{}", finding.verdict);
}

#[test]
fn without_the_probe_it_says_so() {
    let blind = [snapshot_at(1), snapshot_at(2)];
    assert!(matches!(check(&Window::new(&models(&blind)).unwrap()), Outcome::NoData { .. }));
}

/// Failures of one process, known with their flags.
fn with_flags(rows: &[(u32, u64, &[&str])]) -> Outcome {
    let names = ["__GFP_DIRECT_RECLAIM", "__GFP_NOWARN", "__GFP_NORETRY", "__GFP_HIGH"];
    let flags: Vec<_> = (0u32..).zip(names).map(|(n, name)| GfpFlag { bit: 1 << n, name: name.into() }).collect();
    let at = |second: u64| {
        let mut s = snapshot_at(1 + 4 * second);
        let mut counts = AllocCounts::default();
        rows.iter().for_each(|(order, n, _)| counts.failed[*order as usize] += n * second);
        let bits = |set: &[&str]| flags.iter().filter(|f| set.contains(&f.name.as_str())).map(|f| f.bit).sum();
        let row = |(order, n, set): &(u32, u64, &[&str])| AllocFailure {
            pid: Some(9),
            comm: Some("nic".into()),
            cgroup: Some(CgroupId(4)),
            order: *order,
            gfp: bits(set),
            count: n * second,
        };
        let processes = vec![ProcessAlloc { pid: 9, comm: "nic".into(), counts, ..Default::default() }];
        let failures = Some(Failures { rows: rows.iter().map(row).collect(), flags: flags.clone() });
        s.page_alloc = Some(PageAlloc { processes, failures, ..Default::default() });
        s
    };
    check(&Window::new(&models(&[at(0), at(1)])).unwrap())
}

const READAHEAD: &[&str] = &["__GFP_DIRECT_RECLAIM", "__GFP_NOWARN", "__GFP_NORETRY"];
const KERNEL: &[&str] = &["__GFP_DIRECT_RECLAIM"];
const ATOMIC: &[&str] = &["__GFP_HIGH", "__GFP_NOWARN"];

#[test]
fn who_is_ready_for_it_is_no_matter_but_large_blocks_are_worth_knowing() {
    assert_eq!(with_flags(&[(0, 900, READAHEAD)]), Outcome::Quiet, "readahead");
    assert_eq!(with_flags(&[(9, 2, READAHEAD)]), Outcome::Quiet);
    let finding = fired(with_flags(&[(9, 50, READAHEAD)]));
    assert_eq!(finding.severity, Severity::Info);
    assert!(finding.verdict.contains("as who asked was ready for, most of nic (pid 9)"), "{}", finding.verdict);
}

#[test]
fn who_has_no_other_way_is_a_warning_of_any_order() {
    let finding = fired(with_flags(&[(0, 900, READAHEAD), (5, 2, KERNEL)]));
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.verdict.starts_with("0.5/s requests for pages fail, most of nic"), "{}", finding.verdict);
    let flags = finding.evidence.iter().find(|e| e.what.contains("asked with")).unwrap();
    assert_eq!((flags.what.contains("order 5"), flags.value.as_str()), (true, "__GFP_DIRECT_RECLAIM"));
    assert!(finding.evidence.iter().any(|e| e.what.contains("ready for it") && e.value == "900"), "{finding:#?}");
    assert!(!finding.advice.iter().any(|a| a.contains("min_free_kbytes")), "it may wait for reclaim");
    assert!(fired(with_flags(&[(0, 2, ATOMIC)])).advice.iter().any(|a| a.contains("min_free_kbytes")));
}

#[test]
fn without_flags_it_says_that_it_cannot_tell() {
    let told = |f: &Finding| f.evidence.iter().any(|e| e.value.starts_with("it cannot be told of"));
    assert!(told(&fired(outcome(0, 1))));
    assert!(!told(&fired(with_flags(&[(0, 2, KERNEL)]))));
}
