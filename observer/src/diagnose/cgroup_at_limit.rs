//! A memory cgroup is at its limit: with page cache that reclaim can take, or without any.

use std::collections::{HashMap, HashSet};

use super::{
    Evidence, Finding, Outcome, Rule, Severity, Window,
    common::{cgroup, needs_interval, no_source, process, top_allocator, weighted},
};
use crate::{
    model::{
        Model,
        cgroup::{AT_LIMIT, Cgroup, parent},
    },
    snapshot::{CgroupId, cgroup::Hierarchy, coverage::Source},
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Share of the limit that must be page cache to be taken, or the next request finds nothing to reclaim.
const NO_CACHE: f64 = 0.1;
/// Bytes a second that come back soon after they were taken from which the cache is too small for its use.
const REFAULTS: f64 = 1024.0 * 1024.0;
/// Seconds stalled in each second from which work is slowed down.
const STALLED: f64 = 0.05;

pub(super) const RULE: Rule = Rule {
    name: "cgroup_at_limit",
    about: "A memory cgroup is at its limit, with page cache to reclaim or without.",
    check,
};

/// What the limit does to a cgroup.
struct AtLimit<'a> {
    row: &'a Cgroup,
    hits: f64,
    reclaims: f64,
    stalled: Option<f64>,
    refaults: f64,
    severity: Severity,
    /// At its limit with next to no page cache to give.
    exhausted: bool,
    /// What it needs more can go to swap.
    may_swap: bool,
    throttled: bool,
    /// Its throttling limit alone is in its way, at which nobody is killed.
    only_high: bool,
}

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = needs_interval(window) {
        return outcome;
    }
    let Some(cgroups) = &window.newest().cgroups else {
        return no_source(window, "limits and use of memory cgroups", Source::CGROUPS);
    };
    let (models, _) = window.last(LOOK_BACK_SECONDS);
    // Hosts have thousands of cgroups, and few at a limit: only those are looked up in every model.
    let met = |c: &&Cgroup| c.met_its_limit() || c.high_hits.is_some_and(|hits| hits > 0.0);
    let met: HashSet<_> =
        models.iter().filter_map(|m| m.cgroups.as_ref()).flatten().filter(met).map(|c| c.now.id).collect();
    let seen: Vec<_> = models.iter().map(|model| Seen::new(model, &met)).collect();
    let candidates = cgroups.iter().filter(|row| met.contains(&row.now.id));
    let worst = candidates.filter_map(|row| at_limit(&seen, row)).max_by(|a, b| {
        let weight = |x: &AtLimit<'_>| (x.severity, x.hits.max(x.reclaims));
        weight(a).partial_cmp(&weight(b)).unwrap_or(std::cmp::Ordering::Equal)
    });
    worst.map_or(Outcome::Quiet, |worst| Outcome::Fires(finding(window, &worst)))
}

/// One interval, by the cgroups that are looked up in it: a host has thousands.
struct Seen<'a> {
    model: &'a Model,
    rows: HashMap<CgroupId, &'a Cgroup>,
    /// Seconds stalled in each second by tasks of a cgroup. `None` without the probes.
    stalled: Option<HashMap<CgroupId, f64>>,
    /// The same by tasks of those below a path.
    stalled_below: HashMap<&'a str, f64>,
}

impl<'a> Seen<'a> {
    fn new(model: &'a Model, wanted: &HashSet<CgroupId>) -> Self {
        let listed = model.cgroups.iter().flatten().filter(|c| wanted.contains(&c.now.id));
        let rows = listed.map(|c| (c.now.id, c)).collect();
        let (mut stalled, mut stalled_below) = (HashMap::new(), HashMap::new());
        for row in model.reclaim.iter().flat_map(|r| &r.cgroups) {
            let ratio = row.stalls.stalled_ratio.unwrap_or(0.0);
            if let Some(id) = row.cgroup {
                *stalled.entry(id).or_default() += ratio;
            }
            let mut path = row.path.as_ref().map(|path| path.as_str());
            while let Some(above) = path.and_then(parent) {
                *stalled_below.entry(above).or_default() += ratio;
                path = Some(above);
            }
        }
        Self { model, rows, stalled: model.reclaim.as_ref().map(|_| stalled), stalled_below }
    }
}

/// Mean over the intervals that can tell.
fn mean(seen: &[Seen<'_>], rate: impl Fn(&Seen<'_>) -> Option<f64>) -> Option<f64> {
    weighted(seen.iter().filter_map(|s| Some((rate(s)?, s.model.interval?.seconds))))
}

fn at_limit<'a>(seen: &[Seen<'_>], row: &'a Cgroup) -> Option<AtLimit<'a>> {
    let of = |field: fn(&Cgroup) -> Option<f64>| mean(seen, |s| s.rows.get(&row.now.id).and_then(|row| field(row)));
    let hits = of(|c| c.own_limit_hits).unwrap_or(0.0);
    let reclaims = of(|c| c.limit_reclaims).unwrap_or(0.0);
    let throttled = of(|c| c.high_hits).unwrap_or(0.0) > 0.0;
    let near = row.is_at_limit();
    let over_high = row.now.usage.zip(row.now.high).is_some_and(|(usage, high)| usage as f64 >= high as f64 * AT_LIMIT);
    if hits <= 0.0 && reclaims <= 0.0 && !(throttled && over_high) {
        return None;
    }
    let limit = row.now.limit.or(row.now.high);
    let has_cache =
        row.reclaimable.zip(limit).map(|(reclaimable, limit)| reclaimable as f64 >= limit as f64 * NO_CACHE);
    let stalled = stalled_ratio(seen, row);
    let refaults = of(|c| c.refaults).unwrap_or(0.0);
    let slowed = stalled.is_some_and(|r| r >= STALLED) || refaults >= REFAULTS;
    let exhausted = has_cache == Some(false) && (near || over_high);
    let may_swap = seen.last().is_some_and(|s| may_swap(s.model, row));
    let only_high = hits <= 0.0 && reclaims <= 0.0;
    let severity = match exhausted {
        // Made to wait by the kernel for most of the time, its tasks stand still, but none is killed.
        true if only_high || may_swap => Severity::Warning,
        true => Severity::Critical,
        false if slowed || throttled => Severity::Warning,
        false => Severity::Info,
    };
    Some(AtLimit { row, hits, reclaims, stalled, refaults, severity, exhausted, may_swap, throttled, only_high })
}

/// True if memory of the cgroup can still go to swap.
fn may_swap(model: &Model, row: &Cgroup) -> bool {
    let free = model.memory.meminfo.as_ref().and_then(|m| m.swap_free).is_some_and(|free| free > 0);
    let v2 = model.cgroup_summary.as_ref().is_some_and(|s| s.hierarchy == Hierarchy::V2);
    // On version 1 the limit is of memory and swap together.
    let used = if v2 { row.now.swap } else { row.now.usage.zip(row.now.swap).map(|(usage, swap)| usage + swap) };
    let room = row.now.swap_limit.is_none_or(|limit| used.is_some_and(|used| (used as f64) < limit as f64 * AT_LIMIT));
    free && room
}

/// Seconds that tasks of the cgroup, and of those below it, stalled in each second.
fn stalled_ratio(seen: &[Seen<'_>], row: &Cgroup) -> Option<f64> {
    mean(seen, |s| {
        let own = s.stalled.as_ref()?.get(&row.now.id).copied().unwrap_or(0.0);
        Some(own + s.stalled_below.get(row.now.path.as_str()).copied().unwrap_or(0.0))
    })
}

fn finding(window: &Window<'_>, at: &AtLimit<'_>) -> Finding {
    let row = at.row;
    let bytes = |v: Option<u64>| units::or_unknown(v.map(|v| v as f64), units::bytes);
    let name = cgroup(Some(&row.now.path), None);
    let mut evidence = vec![Evidence::new(
        "use and hard limit",
        format!("{} of {}", bytes(row.now.usage), if row.now.unlimited { "none".into() } else { bytes(row.now.limit) }),
        "memory.usage_in_bytes, memory.limit_in_bytes (v1); memory.current, memory.max (v2)",
    )];
    evidence.push(Evidence::new(
        "page cache that reclaim can take",
        bytes(row.reclaimable),
        "memory.stat inactive_file + active_file - dirty - writeback",
    ));
    if let Some(stat) = &row.now.stat {
        let value = format!("anonymous {}, tmpfs {}", bytes(stat.anon), bytes(stat.shmem));
        evidence.push(Evidence::new("what only swap can take", value, "memory.stat"));
    }
    if at.hits > 0.0 {
        evidence.push(Evidence::new(
            "times that the limit was met",
            units::per_second(at.hits),
            "memory.failcnt, memory.memsw.failcnt (v1); memory.events.local max (v2)",
        ));
    }
    if at.reclaims > 0.0 {
        evidence.push(Evidence::new(
            "reclaims for this limit",
            units::per_second(at.reclaims),
            "vmscan:mm_vmscan_memcg_reclaim_end",
        ));
    }
    if at.throttled {
        let high = format!("use {} of {}", bytes(row.now.usage), bytes(row.now.high));
        evidence.push(Evidence::new("throttled above memory.high", high, "memory.events high"));
    }
    if let Some(stalled) = at.stalled {
        evidence.push(Evidence::new(
            "its tasks stalled in reclaim, seconds each second",
            format!("{stalled:.2}"),
            "vmscan:mm_vmscan_memcg_reclaim_{begin,end}",
        ));
    }
    evidence.push(Evidence::new(
        "came back soon after it was taken",
        units::bytes_per_second(at.refaults),
        "memory.stat workingset_refault_{anon,file}",
    ));
    if let Some(p) = top_allocator(window.newest(), Some(row.now.id)) {
        evidence.push(Evidence::new(
            format!("allocates most in it: {}", process(&p.comm, p.pid)),
            units::or_unknown(p.allocs.allocations, units::per_second),
            "kmem:mm_page_alloc",
        ));
    }
    let limit = if at.only_high { "throttling limit (memory.high)" } else { "memory limit" };
    let (verdict, advice) = match at.exhausted {
        true if at.only_high => (
            format!("{name} is at its {limit} and has no page cache left to give: each task that needs more is made to wait"),
            vec![
                "Raise memory.high, or find what grows: `observer report memory` names the processes that allocate in it.".into(),
                "Nobody is killed here: if it must not stand still like this, give it a memory.max not far above, or swap.".into(),
            ],
        ),
        true if at.may_swap => (
            format!("{name} is at its {limit} and has no page cache left to give: what it needs more goes to swap"),
            vec![
                "If it slows down (see swap_thrash), raise the limit, or find what grows: `observer report memory` names the processes that allocate in it.".into(),
                "When swap is full, or its own share of it, an OOM kill in it follows.".into(),
            ],
        ),
        true => (
            format!("{name} is at its {limit} and has no page cache left to give: an OOM kill in it is near"),
            vec![
                "Raise the limit, or find what grows: `observer report memory` names the processes that allocate in it.".into(),
                "If it may wait for swap, give it some: memory.swap.max (v2), memory.memsw.limit_in_bytes (v1).".into(),
            ],
        ),
        false if at.severity >= Severity::Warning => (
            format!("{name} is at its {limit}, and its page cache is too small for its work"),
            vec![
                "It reads again what was just dropped, or waits until something is: raise the limit by about the rate of refaults times the time between uses.".into(),
                "If one process streams through large files, let it use O_DIRECT or POSIX_FADV_DONTNEED, or give it a cgroup of its own.".into(),
            ],
        ),
        false => (
            format!("{name} is at its {limit}, which only makes it drop page cache that it does not use again"),
            vec!["Nothing needs to be done: the limit works as it should. Its use minus inactive_file is what it really needs.".into()],
        ),
    };
    Finding { rule: RULE.name, severity: at.severity, verdict, evidence, advice }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{self, CgroupId, Cgroups, Name, cgroup::CgroupStat},
    };

    const LIMIT: u64 = 100 << 20;

    /// A second in which a cgroup met its limit that often, with so much cache and so many bytes refaulted.
    fn outcome(hits: u64, cache: u64, refaults: u64) -> Outcome {
        let at = |second: u64| {
            let mut s = snapshot_at(second);
            let stat = CgroupStat {
                inactive_file: Some(cache),
                active_file: Some(0),
                workingset_refault_file_bytes: Some(refaults * second),
                workingset_refault_anon_bytes: Some(0),
                ..CgroupStat::default()
            };
            let cgroup = snapshot::Cgroup {
                id: CgroupId(7),
                path: Name::from("/web"),
                usage: Some(LIMIT - 4096),
                limit: Some(LIMIT),
                own_limit_hits: Some(hits * second),
                stat: Some(stat),
                ..snapshot::Cgroup::default()
            };
            s.cgroups = Some(Cgroups { list: vec![cgroup], ..Cgroups::default() });
            s
        };
        check(&Window::new(&models(&[at(1), at(2)])).unwrap())
    }

    #[test]
    fn full_of_cache_that_nobody_misses_is_well() {
        let finding = fired(outcome(100, LIMIT / 2, 0));
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.verdict.contains("/web"), "{}", finding.verdict);
    }

    #[test]
    fn cache_that_is_read_again_is_too_small() {
        assert_eq!(fired(outcome(100, LIMIT / 2, 8 << 20)).severity, Severity::Warning);
    }

    #[test]
    fn without_cache_a_kill_is_near() {
        assert_eq!(fired(outcome(1, 1 << 20, 0)).severity, Severity::Critical);
    }

    #[test]
    fn above_the_throttling_limit_tasks_wait_and_nobody_is_killed() {
        let at = |second: u64| {
            let mut s = snapshot_at(second);
            let stat = CgroupStat { inactive_file: Some(1 << 20), active_file: Some(0), ..CgroupStat::default() };
            let cgroup = snapshot::Cgroup {
                id: CgroupId(7),
                path: Name::from("/web"),
                usage: Some(LIMIT + 4096),
                high: Some(LIMIT),
                unlimited: true,
                high_hits: Some(9 * second),
                own_limit_hits: Some(0),
                stat: Some(stat),
                ..snapshot::Cgroup::default()
            };
            s.cgroups = Some(Cgroups { list: vec![cgroup], ..Cgroups::default() });
            s
        };
        let finding = fired(check(&Window::new(&models(&[at(1), at(2)])).unwrap()));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.verdict.contains("(memory.high)") && !finding.verdict.contains("OOM"), "{}", finding.verdict);
    }

    #[test]
    fn stalls_of_those_below_are_its_own_and_those_of_neighbours_are_not() {
        use crate::snapshot::reclaim::{CgroupReclaim, Reclaim, ReclaimKind, ReclaimTotals};
        const SECOND: u64 = 1_000_000_000;
        let at = |second: u64| {
            let mut s = snapshot_at(second);
            let cgroup = |id, path: &str| snapshot::Cgroup {
                id: CgroupId(id),
                path: Name::from(path),
                usage: Some(LIMIT),
                limit: Some(LIMIT),
                own_limit_hits: Some(if id == 1 { second } else { 0 }),
                stat: Some(CgroupStat { inactive_file: Some(LIMIT), active_file: Some(0), ..CgroupStat::default() }),
                ..snapshot::Cgroup::default()
            };
            let list = vec![cgroup(1, "/web"), cgroup(2, "/web/a/b"), cgroup(3, "/webs")];
            s.cgroups = Some(Cgroups { list, ..Cgroups::default() });
            // 0.25 s a second in it, 0.5 below it, 8 beside it.
            let stalled = |id, quarters: u64| CgroupReclaim {
                cgroup: Some(CgroupId(id)),
                kind: ReclaimKind::Direct,
                totals: ReclaimTotals { count: second, total_ns: second * quarters * SECOND / 4, reclaimed_bytes: 0 },
                latency_ns: snapshot::Log2Histogram::default(),
            };
            let by_cgroup = vec![stalled(1, 1), stalled(2, 2), stalled(3, 32)];
            s.reclaim = Some(Reclaim { by_cgroup, ..Reclaim::default() });
            s
        };
        let finding = fired(check(&Window::new(&models(&[at(1), at(2), at(4)])).unwrap()));
        let stalled = finding.evidence.iter().find(|e| e.what.starts_with("its tasks stalled")).expect("stalls");
        assert_eq!((finding.verdict.contains("/web "), stalled.value.as_str()), (true, "0.75"), "{}", finding.verdict);
    }

    #[test]
    fn a_cgroup_that_stands_at_its_limit_and_asks_for_nothing_is_quiet() {
        assert_eq!(outcome(0, 1 << 20, 0), Outcome::Quiet);
    }

    #[test]
    fn without_cgroups_it_cannot_tell() {
        let models = models(&[snapshot_at(1), snapshot_at(2)]);
        assert!(matches!(check(&Window::new(&models).unwrap()), Outcome::NoData { .. }));
    }
}
