use super::*;
use crate::{
    diagnose::testing::{fired, models, snapshot_at},
    snapshot::{self, reclaim},
};

fn stalls(total_ns: u64, kind: ReclaimKind) -> reclaim::Reclaim {
    reclaim::Reclaim {
        by_cgroup: vec![reclaim::CgroupReclaim {
            cgroup: Some(CgroupId(7)),
            kind,
            totals: reclaim::ReclaimTotals { count: 10, total_ns, reclaimed_bytes: 0 },
            latency_ns: Log2Histogram { buckets: vec![0, 10] },
        }],
        ..Default::default()
    }
}

fn after_one_second(reclaim: Option<reclaim::Reclaim>) -> Outcome {
    let mut before = snapshot_at(1);
    before.reclaim = Some(reclaim::Reclaim::default());
    let mut now = snapshot_at(2);
    now.reclaim = reclaim;
    check(&Window::new(&models(&[before, now])).unwrap())
}

#[test]
fn a_long_stall_at_a_limit_is_critical() {
    let finding = fired(after_one_second(Some(stalls(600_000_000, ReclaimKind::Memcg))));
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.verdict.contains("id 7") && finding.verdict.contains("own cgroup"), "{}", finding.verdict);
}

#[test]
fn a_short_stall_is_quiet() {
    assert_eq!(after_one_second(Some(stalls(10_000_000, ReclaimKind::Direct))), Outcome::Quiet);
}

#[test]
fn a_stall_that_goes_on_is_seen_before_it_ends() {
    let ongoing = reclaim::InFlight {
        tid: 5,
        pid: 4,
        comm: "hog".into(),
        cgroup: None,
        kind: ReclaimKind::Direct,
        begin_ns: 0,
        order: 0,
    };
    let finding = fired(after_one_second(Some(reclaim::Reclaim { in_flight: vec![ongoing], ..Default::default() })));
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.evidence.iter().any(|e| e.what.contains("hog") && e.value == "2 s"));
}

#[test]
fn without_the_probe_it_says_what_it_lacks() {
    assert!(matches!(after_one_second(None), Outcome::NoData { .. }));
}

/// Two cgroups under the limit of one above them, the second of which stalls for a tenth of a second.
fn under_a_limit(full: &str) -> Finding {
    let at = |second: u64| {
        let mut s = snapshot_at(second);
        let cgroups = [(1, "/"), (2, "/house"), (7, "/house/a"), (8, "/house/b"), (9, "/ho")];
        let list = cgroups.into_iter().map(|(id, path)| snapshot::Cgroup {
            id: CgroupId(id),
            path: Name::from(path),
            usage: Some(if path == full { 99 } else { 10 }),
            limit: Some(100),
            ..snapshot::Cgroup::default()
        });
        s.cgroups = Some(snapshot::Cgroups { list: list.collect(), ..snapshot::Cgroups::default() });
        let totals = |ms: u64| reclaim::ReclaimTotals {
            count: 10 * second,
            total_ns: ms * second * 1_000_000,
            reclaimed_bytes: 0,
        };
        let by_cgroup = [(7, 100), (8, 20)].map(|(id, ms)| reclaim::CgroupReclaim {
            cgroup: Some(CgroupId(id)),
            kind: ReclaimKind::Memcg,
            totals: totals(ms),
            latency_ns: Log2Histogram { buckets: vec![0, 10 * second] },
        });
        let by_process = [(70, "reader", 75), (71, "other", 25)].map(|(pid, comm, ms)| reclaim::ProcessReclaim {
            pid,
            comm: comm.into(),
            cgroup: Some(CgroupId(7)),
            kind: ReclaimKind::Memcg,
            totals: totals(ms),
            latency_ns: Log2Histogram::default(),
        });
        let throttle = reclaim::Throttle {
            cgroup: Some(CgroupId(7)),
            reason: "WRITEBACK".into(),
            count: second,
            total_ns: second * 30_000_000,
        };
        s.reclaim = Some(reclaim::Reclaim {
            by_cgroup: by_cgroup.to_vec(),
            by_process: by_process.to_vec(),
            throttles: Some(vec![throttle]),
            ..Default::default()
        });
        s
    };
    fired(check(&Window::new(&models(&[at(1), at(2), at(3)])).unwrap()))
}

#[test]
fn the_limit_that_was_met_is_named_with_who_stalls_most() {
    let finding = under_a_limit("/house");
    assert_eq!(finding.verdict, "cgroup /house/a stalls at the memory limit of cgroup /house above it");
    let has = |what: &str, value: &str| {
        assert!(
            finding.evidence.iter().any(|e| e.what.contains(what) && e.value.contains(value)),
            "{what}: {finding:#?}"
        );
    };
    has("stalls most in it: reader (pid 70)", "75 %");
    has("most for WRITEBACK", "60 ms");
    has("next: cgroup /house/b, at a limit", "20 reclaims");
    has("at its limit", "99 B of 100 B");
}

#[test]
fn its_own_limit_comes_before_those_above_and_names_that_begin_alike_are_not_above() {
    assert_eq!(under_a_limit("/house/a").verdict, "cgroup /house/a stalls at its own memory limit");
    assert!(under_a_limit("/ho").verdict.ends_with("or of one above it"));
}
