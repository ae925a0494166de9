//! Tasks stand still because they must reclaim memory before they get any.

use std::collections::HashMap;

use super::{
    Evidence, Finding, Outcome, Rule, Severity, Window,
    common::{cgroup as cgroup_name, needs_interval, no_probe, process, top_allocator},
};
use crate::{
    model::{
        Model, cgroup,
        reclaim::{Cgroup, Process, Throttle},
    },
    snapshot::{CgroupId, Log2Histogram, Name, reclaim::ReclaimKind},
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
    latency_ns: Log2Histogram,
}

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    if newest.reclaim.is_none() {
        return without_probes(window);
    }
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let stalled = by_cgroup(models);
    let worst = stalled.first();
    let ratio = |s: &Stalled<'_>| if seconds > 0.0 { s.seconds / seconds } else { 0.0 };
    let stalled_ratio = worst.map_or(0.0, ratio);
    let ongoing = newest.reclaim.as_ref().and_then(|r| r.in_flight.first());
    let ongoing_seconds = ongoing.map_or(0.0, |o| o.age_seconds);

    let severity = if stalled_ratio >= CRITICAL_STALLED_RATIO || ongoing_seconds >= CRITICAL_ONGOING_SECONDS {
        Severity::Critical
    } else if stalled_ratio >= WARN_STALLED_RATIO || ongoing_seconds >= WARN_ONGOING_SECONDS {
        Severity::Warning
    } else {
        return Outcome::Quiet;
    };

    let (kind, path, cgroup) = match (worst, ongoing) {
        // A stall that has not ended is in no sum yet: it decides when it alone made the rule fire.
        (Some(s), _) if stalled_ratio >= WARN_STALLED_RATIO => (s.row.kind, s.row.path.as_ref(), s.row.cgroup),
        (_, Some(o)) => (o.task.kind, o.cgroup_path.as_ref(), o.task.cgroup),
        _ => return Outcome::Quiet,
    };
    let who = name(path, cgroup);
    let mut evidence = Vec::new();
    let this = stalled.iter().find(|s| s.row.kind == kind && s.row.cgroup == cgroup);
    if let Some(s) = this {
        evidence.push(Evidence::new(
            format!("stalled in {who} over {}", units::seconds(seconds)),
            format!("{} in {} reclaims ({:.2} s each second)", units::seconds(s.seconds), s.count, ratio(s)),
            BEGIN_END,
        ));
        if let Some(bound) = s.latency_ns.quantile_bound(0.99) {
            evidence.push(Evidence::new(
                "99th percentile of one stall",
                format!("under {}", units::seconds(bound / 1e9)),
                BEGIN_END,
            ));
        }
    }
    if let Some((p, stalled)) = worst_process(models, kind, cgroup) {
        let value = match this.filter(|s| s.seconds > 0.0) {
            Some(s) => format!("{}, {} of it", units::seconds(stalled), units::percent((stalled / s.seconds).min(1.0))),
            None => units::seconds(stalled),
        };
        evidence.push(Evidence::new(format!("stalls most in it: {}", process(&p.comm, p.pid)), value, BEGIN_END));
    }
    if let Some(o) = ongoing.filter(|o| o.age_seconds >= WARN_ONGOING_SECONDS) {
        evidence.push(Evidence::new(
            format!("{} (pid {}) has been in reclaim for", o.task.comm, o.task.pid),
            units::seconds(o.age_seconds),
            BEGIN_END,
        ));
    }
    if let Some((wait, seconds)) = worst_wait(models, cgroup) {
        evidence.push(Evidence::new(
            format!("of it made to wait by the kernel, most for {}", wait.reason),
            units::seconds(seconds),
            "vmscan:mm_vmscan_throttled",
        ));
    }
    let limit = newest.cgroups.as_deref().and_then(|all| limit_of(all, path?));
    evidence.extend(context(newest, kind, limit));
    let others = stalled.iter().filter(|s| (s.row.cgroup, s.row.kind) != (cgroup, kind));
    if let Some(next) = others.into_iter().find(|s| s.seconds > 0.0) {
        evidence.push(Evidence::new(
            format!("next: {}, {}", name(next.row.path.as_ref(), next.row.cgroup), words(next.row.kind)),
            format!("{} in {} reclaims", units::seconds(next.seconds), next.count),
            BEGIN_END,
        ));
    }
    let verdict = match (kind, limit) {
        (ReclaimKind::Memcg, Some(limit)) if Some(limit.now.id) == cgroup => {
            format!("{who} stalls at its own memory limit")
        }
        (ReclaimKind::Memcg, Some(limit)) => {
            format!("{who} stalls at the memory limit of cgroup {} above it", limit.now.path)
        }
        (ReclaimKind::Memcg, None) => format!("{who} stalls at the memory limit of its own cgroup or of one above it"),
        (ReclaimKind::Direct, _) => format!("The host is short of memory: {who} stalls in direct reclaim"),
    };
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice: advice(kind) })
}

fn words(kind: ReclaimKind) -> &'static str {
    match kind {
        ReclaimKind::Memcg => "at a limit",
        ReclaimKind::Direct => "in direct reclaim",
    }
}

/// Cgroups and reasons with their stalls over the models, longest first.
fn by_cgroup(models: &[Model]) -> Vec<Stalled<'_>> {
    let mut sums: HashMap<(Option<CgroupId>, ReclaimKind), Stalled<'_>> = HashMap::new();
    // Newest last, so the row that stays is the newest.
    for row in models.iter().filter_map(|m| m.reclaim.as_ref()).flat_map(|r| &r.cgroups) {
        let empty = Stalled { row, seconds: 0.0, count: 0, latency_ns: Log2Histogram::default() };
        let sum = sums.entry((row.cgroup, row.kind)).or_insert(empty);
        sum.row = row;
        sum.seconds += row.stalls.totals.total_ns as f64 / 1e9;
        sum.count += row.stalls.totals.count;
        sum.latency_ns.add(&row.latency_ns);
    }
    let mut all: Vec<_> = sums.into_values().collect();
    // Equals keep one order, whatever that of the map.
    all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.row.cgroup.cmp(&b.row.cgroup)));
    all
}

/// The process of that cgroup with the longest stalls of that kind over the models, and their seconds.
fn worst_process(models: &[Model], kind: ReclaimKind, cgroup: Option<CgroupId>) -> Option<(&Process, f64)> {
    let mut sums: HashMap<u32, (&Process, f64)> = HashMap::new();
    let rows = models.iter().filter_map(|m| m.reclaim.as_ref()).flat_map(|r| &r.processes);
    for row in rows.filter(|p| p.kind == kind && p.cgroup == cgroup) {
        let sum = sums.entry(row.pid).or_insert((row, 0.0));
        *sum = (row, sum.1 + row.stalls.totals.total_ns as f64 / 1e9);
    }
    sums.into_values().max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.pid.cmp(&a.0.pid)))
}

/// What that cgroup's tasks waited for longest inside of reclaim over the models, and for how many seconds.
fn worst_wait(models: &[Model], cgroup: Option<CgroupId>) -> Option<(&Throttle, f64)> {
    let mut sums: HashMap<&Name, (&Throttle, f64)> = HashMap::new();
    for model in models {
        let Some((throttles, interval)) = model.reclaim.as_ref().and_then(|r| r.throttles.as_ref()).zip(model.interval)
        else {
            continue;
        };
        for wait in throttles.iter().filter(|t| t.cgroup == cgroup) {
            let sum = sums.entry(&wait.reason).or_insert((wait, 0.0));
            sum.1 += wait.waited_ratio.unwrap_or(0.0) * interval.seconds;
        }
    }
    let longest = sums.into_values().filter(|(_, seconds)| *seconds > 0.0);
    longest.max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.reason.as_str().cmp(a.0.reason.as_str())))
}

/// The nearest cgroup on the way up, itself included, that is at its limit.
fn limit_of<'a>(all: &'a [cgroup::Cgroup], path: &Name) -> Option<&'a cgroup::Cgroup> {
    let full = all.iter().filter(|c| c.is_at_limit() && c.holds(path.as_str()));
    full.max_by_key(|c| c.now.path.as_str().len())
}

fn name(path: Option<&Name>, id: Option<CgroupId>) -> String {
    if path.is_none() && id.is_none() { "a task of unknown cgroup".into() } else { cgroup_name(path, id) }
}

/// What stands beside the stalls: the limit that was met, or what the host has left and who asks for memory.
fn context(model: &Model, kind: ReclaimKind, limit: Option<&cgroup::Cgroup>) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    match kind {
        ReclaimKind::Memcg => {
            if let Some((usage, max)) = limit.and_then(|c| c.now.usage.zip(c.now.limit)) {
                let value = format!("{} of {}", units::bytes(usage as f64), units::bytes(max as f64));
                evidence.push(Evidence::new(
                    "use and hard limit of the cgroup at its limit",
                    value,
                    "memory.usage_in_bytes or memory.current",
                ));
            }
            if let Some(file) = limit.and_then(|c| c.now.stat.as_ref()).and_then(|s| s.file) {
                evidence.push(Evidence::new("page cache in it", units::bytes(file as f64), "memory.stat"));
            }
        }
        ReclaimKind::Direct => {
            if let Some(ratio) = model.memory.available_ratio {
                evidence.push(Evidence::new("available memory", units::percent(ratio), "/proc/meminfo MemAvailable"));
            }
            if let Some(p) = top_allocator(model, None) {
                let rate = units::or_unknown(p.allocs.pages, units::per_second);
                let place = p.cgroup_path.as_ref().map_or(String::new(), |path| format!(" of cgroup {path}"));
                evidence.push(Evidence::new(
                    format!("most pages are asked for by {}{place}", process(&p.comm, p.pid)),
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
fn without_probes(window: &Window<'_>) -> Outcome {
    let model = window.newest();
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
        _ => no_probe(window, "latency of reclaim by cgroup", "reclaim"),
    }
}

#[cfg(test)]
mod tests;
