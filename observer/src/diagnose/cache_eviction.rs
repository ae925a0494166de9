//! One cgroup's allocations push out page cache that another still needs.

use std::collections::BTreeMap;

use super::{
    Evidence, Finding, Outcome, Rule, Severity, Window,
    common::{cgroup, needs_interval, process, top_allocator},
};
use crate::{
    model::{
        Model,
        eviction::{Driver, Eviction, Victim},
    },
    snapshot::{CgroupId, Name, coverage::Source},
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;

/// Bytes a second that the victim reads again from which its work is slowed down.
const REFAULTS: f64 = 2.0 * 1024.0 * 1024.0;
/// Share of what all allocated that one other cgroup must have, or nobody in particular is to blame.
const DRIVER_SHARE: f64 = 0.5;

/// How much more than its victim the driver must allocate: of two that are alike neither pushes the other.
const MORE: f64 = 2.0;

pub(super) const RULE: Rule = Rule {
    name: "cache_eviction",
    about: "One cgroup's allocations push out page cache that another cgroup still needs.",
    check,
};

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let (models, _) = window.last(LOOK_BACK_SECONDS);
    let Some(evictions) = over(models) else {
        let reason = match &newest.cgroups {
            None => newest.coverage.source_reason(Source::CGROUPS),
            Some(_) => newest.coverage.probe_reason("page_alloc"),
        };
        let lacks = "refaults and page allocations by cgroup".into();
        return Outcome::NoData { lacks, reason: reason.cloned() };
    };
    let found = evictions.iter().filter_map(|e| blame(e).map(|(driver, victim)| (e, driver, victim)));
    let worst = found.max_by(|a, b| a.2.refaults.total_cmp(&b.2.refaults));
    worst.map_or(Outcome::Quiet, |(eviction, driver, victim)| Outcome::Fires(finding(models, eviction, driver, victim)))
}

/// What the models tell together, as rates over all their time: a burst counts by its bytes, wherever in the window it is.
/// `None` if none of them can tell.
fn over(models: &[Model]) -> Option<Vec<Eviction>> {
    let told: Vec<_> = models.iter().filter_map(|m| Some((m.evictions.as_ref()?, m.interval?.seconds))).collect();
    let all: f64 = told.iter().map(|(_, seconds)| seconds).sum();
    if all <= 0.0 {
        return None;
    }
    let mut scopes: BTreeMap<Option<&Name>, Sums> = BTreeMap::new();
    for (eviction, seconds) in told.iter().flat_map(|(evictions, seconds)| evictions.iter().map(move |e| (e, seconds)))
    {
        scopes.entry(eviction.scope.as_ref()).or_default().add(eviction, seconds / all);
    }
    Some(scopes.into_iter().map(|(scope, sums)| sums.ranked(scope.cloned())).collect())
}

/// Evictions of one scope, summed. By cgroup: a host has thousands.
#[derive(Debug, Default)]
struct Sums {
    refaults: f64,
    victims: BTreeMap<CgroupId, Victim>,
    drivers: BTreeMap<Option<CgroupId>, Driver>,
}

impl Sums {
    /// Adds the evictions of a part of the time, 0 to 1.
    fn add(&mut self, eviction: &Eviction, part: f64) {
        self.refaults += eviction.refaults * part;
        for victim in &eviction.victims {
            let sum = self.victims.entry(victim.cgroup).or_insert_with(|| Victim { refaults: 0.0, ..victim.clone() });
            sum.refaults += victim.refaults * part;
        }
        for driver in &eviction.drivers {
            let none = || Driver { allocated: 0.0, kswapd_requests: None, reclaimed: None, ..driver.clone() };
            let sum = self.drivers.entry(driver.cgroup).or_insert_with(none);
            sum.allocated += driver.allocated * part;
            sum.kswapd_requests = added(sum.kswapd_requests, driver.kswapd_requests.map(|n| n * part));
            sum.reclaimed = added(sum.reclaimed, driver.reclaimed.map(|n| n * part));
        }
    }

    /// The same with shares, most first.
    fn ranked(self, scope: Option<Name>) -> Eviction {
        let mut victims: Vec<_> = self.victims.into_values().collect();
        let mut drivers: Vec<_> = self.drivers.into_values().collect();
        let allocated: f64 = drivers.iter().map(|d| d.allocated).sum();
        victims.iter_mut().for_each(|v| v.share = v.refaults / self.refaults);
        drivers.iter_mut().for_each(|d| d.share = d.allocated / allocated);
        victims.sort_by(|a, b| b.refaults.total_cmp(&a.refaults).then(a.cgroup.cmp(&b.cgroup)));
        drivers.sort_by(|a, b| b.allocated.total_cmp(&a.allocated).then(a.cgroup.cmp(&b.cgroup)));
        Eviction { scope, refaults: self.refaults, victims, drivers }
    }
}

/// The sum of what is known.
fn added(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.map(|a| a + b.unwrap_or(0.0)).or(b)
}

/// The cgroup that drives the reclaim, and the one that suffers most of the others.
fn blame(eviction: &Eviction) -> Option<(&Driver, &Victim)> {
    let driver = eviction.drivers.first().filter(|d| d.share >= DRIVER_SHARE)?;
    let victim = eviction.victims.iter().find(|v| Some(v.cgroup) != driver.cgroup)?;
    let own = eviction.drivers.iter().find(|d| d.cgroup == Some(victim.cgroup)).map_or(0.0, |d| d.allocated);
    (victim.refaults >= REFAULTS && driver.allocated >= MORE * own).then_some((driver, victim))
}

fn finding(models: &[Model], eviction: &Eviction, driver: &Driver, victim: &Victim) -> Finding {
    let (who, whose) = (cgroup(driver.path.as_ref(), driver.cgroup), cgroup(Some(&victim.path), None));
    let mut evidence = vec![
        Evidence::new(
            format!("read again by {whose}"),
            format!("{}, {} of all", units::bytes_per_second(victim.refaults), units::percent(victim.share)),
            "memory.stat workingset_refault_file",
        ),
        Evidence::new(
            format!("allocated by {who}"),
            format!("{}, {} of all", units::bytes_per_second(driver.allocated), units::percent(driver.share)),
            "kmem:mm_page_alloc",
        ),
    ];
    if let Some(requests) = driver.kswapd_requests.filter(|r| *r > 0.0) {
        let source = "vmscan:mm_vmscan_wakeup_kswapd";
        evidence.push(Evidence::new("it asked for kswapd", units::per_second(requests), source));
    }
    if let Some(reclaimed) = driver.reclaimed.filter(|r| *r > 0.0) {
        let source = "vmscan:mm_vmscan_{direct,memcg}_reclaim_end";
        evidence.push(Evidence::new("its own tasks reclaimed", units::bytes_per_second(reclaimed), source));
    }
    let allocators = models.iter().rev().filter_map(|m| Some((m, top_allocator(m, driver.cgroup)?)));
    if let Some((model, p)) = allocators.into_iter().next() {
        let rate = p.allocs.pages.zip(model.host.page_size).map(|(pages, size)| pages * size as f64);
        evidence.push(Evidence::new(
            format!("allocates most in it: {}", process(&p.comm, p.pid)),
            units::or_unknown(rate, units::bytes_per_second),
            "kmem:mm_page_alloc",
        ));
    }
    let place = eviction.scope.as_ref().map_or("on the host".to_owned(), |s| format!("under the limit of cgroup {s}"));
    Finding {
        rule: RULE.name,
        severity: Severity::Warning,
        verdict: format!("{who} pushes page cache of {whose} out, {place}"),
        evidence,
        advice: vec![
            format!(
                "Give {who} a limit of its own: memory.high or memory.max (v2), memory.limit_in_bytes (v1). Then it reclaims its own cache first."
            ),
            format!("Protect {whose}: memory.low (v2) of about its working set."),
            "If the driver streams through files once, let it use O_DIRECT or POSIX_FADV_DONTNEED.".into(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{CgroupId, Name},
    };

    const MIB: f64 = 1024.0 * 1024.0;

    fn outcome(refaults: f64, share: f64, same: bool) -> Outcome {
        let mut models = models(&[snapshot_at(1), snapshot_at(2)]);
        models[0].evictions = Some(evictions(refaults, share, same));
        check(&Window::new(&models).unwrap())
    }

    fn evictions(refaults: f64, share: f64, same: bool) -> Vec<Eviction> {
        let victim = if same { 4 } else { 3 };
        vec![Eviction {
            scope: Some(Name::from("/p")),
            refaults,
            victims: vec![Victim { cgroup: CgroupId(victim), path: Name::from("/p/hot"), refaults, share: 1.0 }],
            drivers: [(4, share), (5, (1.0 - share) / 3.0), (6, (1.0 - share) / 3.0), (7, (1.0 - share) / 3.0)]
                .map(|(id, share)| Driver {
                    cgroup: Some(CgroupId(id)),
                    path: Some(Name::from(if id == 4 { "/p/stream" } else { "/p/other" })),
                    allocated: 100.0 * MIB * share,
                    share,
                    kswapd_requests: None,
                    reclaimed: Some(80.0 * MIB),
                })
                .to_vec(),
        }]
    }

    /// Ten seconds, in which those of `burst` refault that much each.
    fn with_burst(burst: std::ops::Range<usize>, refaults: f64) -> Outcome {
        let snapshots: Vec<_> = (1..=11).map(snapshot_at).collect();
        let mut models = models(&snapshots);
        for (n, model) in models.iter_mut().enumerate() {
            model.evictions = Some(if burst.contains(&n) { evictions(refaults, 0.9, false) } else { Vec::new() });
        }
        check(&Window::new(&models).unwrap())
    }

    #[test]
    fn a_burst_in_the_middle_counts_by_its_bytes() {
        let finding = fired(with_burst(4..6, 30.0 * MIB));
        let has = |what: &str, value: &str| {
            finding.evidence.iter().any(|e| e.what.contains(what) && e.value.starts_with(value))
        };
        assert!(has("read again by cgroup /p/hot", "6 MiB/s, 100 %"), "{finding:#?}");
        assert!(has("allocated by cgroup /p/stream", "18 MiB/s"), "{finding:#?}");
        assert_eq!(with_burst(4..5, 15.0 * MIB), Outcome::Quiet, "a mean of 1.5 MiB/s");
        assert_eq!(with_burst(0..0, 0.0), Outcome::Quiet);
    }

    #[test]
    fn what_is_no_longer_in_the_window_is_over() {
        let snapshots: Vec<_> = (1..=21).map(snapshot_at).collect();
        let mut models = models(&snapshots);
        models.iter_mut().for_each(|m| m.evictions = Some(Vec::new()));
        models[0].evictions = Some(evictions(900.0 * MIB, 0.9, false));
        assert_eq!(check(&Window::new(&models).unwrap()), Outcome::Quiet);
    }

    #[test]
    fn driver_victim_and_limit_are_named() {
        let finding = fired(outcome(40.0 * MIB, 0.9, false));
        assert_eq!(
            finding.verdict,
            "cgroup /p/stream pushes page cache of cgroup /p/hot out, under the limit of cgroup /p"
        );
    }

    #[test]
    fn a_cgroup_does_not_push_itself_and_little_is_quiet() {
        assert_eq!(outcome(40.0 * MIB, 0.9, true), Outcome::Quiet);
        assert_eq!(outcome(1.0 * MIB, 0.9, false), Outcome::Quiet);
        assert_eq!(outcome(40.0 * MIB, 0.3, false), Outcome::Quiet);
    }

    #[test]
    fn without_cgroups_or_allocations_it_cannot_tell() {
        let models = models(&[snapshot_at(1), snapshot_at(2)]);
        assert!(matches!(check(&Window::new(&models).unwrap()), Outcome::NoData { .. }));
    }
}
