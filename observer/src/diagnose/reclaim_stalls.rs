//! Tasks stand still because they must reclaim memory before they get any.

use std::collections::HashMap;

use super::{Evidence, Finding, Outcome, Rule, Severity, Window};
use crate::{
    model::{Model, reclaim::Cgroup},
    snapshot::{CgroupId, Name, reclaim::ReclaimKind},
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Seconds stalled in each second from which it is worth a warning: one task in twenty seconds of work.
const WARN_STALLED_RATIO: f64 = 0.05;
/// Seconds stalled in each second from which work stands still: one task all of half the time.
const CRITICAL_STALLED_RATIO: f64 = 0.5;
/// A reclaim that goes on for longer than this is worth a warning by itself, in seconds.
const WARN_ONGOING_SECONDS: f64 = 1.0;
/// The same, for work that stands still.
const CRITICAL_ONGOING_SECONDS: f64 = 5.0;
/// Without the probes: share of time that some task waits for memory, with direct reclaims seen, from which to warn.
const WARN_PRESSURE_RATIO: f64 = 0.05;

pub(super) const RULE: Rule = Rule {
    name: "reclaim_stalls",
    about: "Tasks stall in direct reclaim or at the limit of their memory cgroup.",
    check,
};

const BEGIN_END: &str = "vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}";

/// Stalls of one cgroup for one reason, summed over the window.
struct Stalled<'a> {
    row: &'a Cgroup,
    seconds: f64,
    count: u64,
}

fn check(window: &Window<'_>) -> Outcome {
    let newest = window.newest();
    if newest.interval.is_none() {
        return Outcome::NoData { lacks: "a second snapshot of the same boot".into(), reason: None };
    }
    if newest.reclaim.is_none() {
        return without_probes(newest);
    }
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let stalled = worst(models);
    let stalled_ratio = stalled.as_ref().map_or(0.0, |s| if seconds > 0.0 { s.seconds / seconds } else { 0.0 });
    let ongoing = newest.reclaim.as_ref().and_then(|r| r.in_flight.first());
    let ongoing_seconds = ongoing.map_or(0.0, |o| o.age_seconds);

    let severity = if stalled_ratio >= CRITICAL_STALLED_RATIO || ongoing_seconds >= CRITICAL_ONGOING_SECONDS {
        Severity::Critical
    } else if stalled_ratio >= WARN_STALLED_RATIO || ongoing_seconds >= WARN_ONGOING_SECONDS {
        Severity::Warning
    } else {
        return Outcome::Quiet;
    };

    let mut evidence = Vec::new();
    let (kind, who, cgroup) = match (&stalled, ongoing) {
        // A stall that has not ended is in no sum yet: it decides when it alone made the rule fire.
        (Some(s), _) if stalled_ratio >= WARN_STALLED_RATIO => {
            (s.row.kind, name(s.row.path.as_ref(), s.row.cgroup), s.row.cgroup)
        }
        (_, Some(o)) => (o.task.kind, name(o.cgroup_path.as_ref(), o.task.cgroup), o.task.cgroup),
        _ => return Outcome::Quiet,
    };
    if let Some(s) = &stalled {
        evidence.push(Evidence::new(
            format!("stalled in {who} over {}", units::seconds(seconds)),
            format!("{} in {} reclaims ({:.2} s each second)", units::seconds(s.seconds), s.count, stalled_ratio),
            BEGIN_END,
        ));
        if let Some(bound) = s.row.latency_ns.quantile_bound(0.99) {
            evidence.push(Evidence::new(
                "99th percentile of one stall",
                format!("under {}", units::seconds(bound / 1e9)),
                BEGIN_END,
            ));
        }
    }
    if let Some(o) = ongoing.filter(|o| o.age_seconds >= WARN_ONGOING_SECONDS) {
        evidence.push(Evidence::new(
            format!("{} (pid {}) has been in reclaim for", o.task.comm, o.task.pid),
            units::seconds(o.age_seconds),
            BEGIN_END,
        ));
    }
    evidence.extend(context(newest, kind, cgroup));
    let verdict = match kind {
        ReclaimKind::Memcg => format!("{who} stalls at the memory limit of its own cgroup or of one above it"),
        ReclaimKind::Direct => format!("The host is short of memory: {who} stalls in direct reclaim"),
    };
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice: advice(kind) })
}

/// The cgroup and reason with the longest stall over the models.
fn worst(models: &[Model]) -> Option<Stalled<'_>> {
    let mut sums: HashMap<(Option<CgroupId>, ReclaimKind), Stalled<'_>> = HashMap::new();
    // Newest last, so the row that stays is the newest.
    for row in models.iter().filter_map(|m| m.reclaim.as_ref()).flat_map(|r| &r.cgroups) {
        let sum = sums.entry((row.cgroup, row.kind)).or_insert(Stalled { row, seconds: 0.0, count: 0 });
        sum.row = row;
        sum.seconds += row.stalls.totals.total_ns as f64 / 1e9;
        sum.count += row.stalls.totals.count;
    }
    sums.into_values().max_by(|a, b| a.seconds.total_cmp(&b.seconds))
}

fn name(path: Option<&Name>, id: Option<CgroupId>) -> String {
    match (path, id) {
        (Some(path), _) => format!("cgroup {path}"),
        (None, Some(CgroupId(id))) => format!("cgroup with id {id} (gone or not listed)"),
        (None, None) => "a task of unknown cgroup".into(),
    }
}

/// What stands beside the stalls: the limit of the cgroup, or what the host has left and who asks for memory.
fn context(model: &Model, kind: ReclaimKind, cgroup: Option<CgroupId>) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    let row = model.cgroups.iter().flatten().find(|c| Some(c.now.id) == cgroup);
    match kind {
        ReclaimKind::Memcg => {
            if let Some((usage, limit)) = row.and_then(|c| c.now.usage.zip(c.now.limit)) {
                let value = format!("{} of {}", units::bytes(usage as f64), units::bytes(limit as f64));
                evidence.push(Evidence::new(
                    "its use and hard limit",
                    value,
                    "memory.usage_in_bytes or memory.current",
                ));
            }
            if let Some(file) = row.and_then(|c| c.now.stat.as_ref()).and_then(|s| s.file) {
                evidence.push(Evidence::new("page cache in it", units::bytes(file as f64), "memory.stat"));
            }
        }
        ReclaimKind::Direct => {
            if let Some(ratio) = model.memory.available_ratio {
                evidence.push(Evidence::new("available memory", units::percent(ratio), "/proc/meminfo MemAvailable"));
            }
            if let Some(p) = model.page_alloc.as_ref().and_then(|p| p.processes.first()) {
                let rate = units::or_unknown(p.allocs.pages, units::per_second);
                evidence.push(Evidence::new(
                    format!("most pages are asked for by {} (pid {})", p.comm, p.pid),
                    format!("{rate} pages"),
                    "kmem:mm_page_alloc",
                ));
            }
        }
    }
    evidence
}

fn advice(kind: ReclaimKind) -> Vec<String> {
    match kind {
        ReclaimKind::Memcg => vec![
            "If its page cache is large, the working set does not fit: raise memory.max (memory.limit_in_bytes on v1), or read and write less through the cache.".into(),
            "If most of it is anonymous memory, the limit is too low for what runs in it, and an OOM kill is near.".into(),
        ],
        ReclaimKind::Direct => vec![
            "Find who asks for memory in the Memory pane (`observer report memory`) and limit it with a memory cgroup.".into(),
            "If it comes in bursts while memory is available, give kswapd a head start: raise vm.watermark_scale_factor.".into(),
        ],
    }
}

/// What /proc alone can tell: direct reclaims happened and tasks waited, but not who, and nothing of cgroup limits.
fn without_probes(model: &Model) -> Outcome {
    let reason = model.coverage.probe_reason("reclaim").cloned();
    let stalls = model.memory.vm.allocstall;
    let waited = model.pressure.as_ref().and_then(|p| p.memory.as_ref()).and_then(|r| r.some).map(|s| s.avg10);
    match (stalls, waited) {
        (Some(stalls), Some(waited)) if stalls > 0.0 && waited >= WARN_PRESSURE_RATIO => Outcome::Fires(Finding {
            rule: RULE.name,
            severity: Severity::Warning,
            verdict: "The host is short of memory: tasks stall in direct reclaim (which ones is not known without the reclaim probe)".into(),
            evidence: vec![
                Evidence::new("direct reclaims", units::per_second(stalls), "/proc/vmstat allocstall_*"),
                Evidence::new("time that some task waited for memory, last 10 s", units::percent(waited), "/proc/pressure/memory"),
            ],
            advice: advice(ReclaimKind::Direct),
        }),
        _ => Outcome::NoData { lacks: "latency of reclaim by cgroup".into(), reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{Log2Histogram, reclaim},
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
        let finding =
            fired(after_one_second(Some(reclaim::Reclaim { in_flight: vec![ongoing], ..Default::default() })));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.evidence.iter().any(|e| e.what.contains("hog") && e.value == "2 s"));
    }

    #[test]
    fn without_the_probe_it_says_what_it_lacks() {
        assert!(matches!(after_one_second(None), Outcome::NoData { .. }));
    }
}
