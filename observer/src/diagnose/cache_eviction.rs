//! One cgroup's allocations push out page cache that another still needs.

use super::{
    Evidence, Finding, Outcome, Rule, Severity, Window,
    common::{cgroup, needs_interval, process, top_allocator},
};
use crate::{
    model::eviction::{Driver, Eviction, Victim},
    snapshot::coverage::Source,
    units,
};

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
    let Some(evictions) = &newest.evictions else {
        let reason = match &newest.cgroups {
            None => newest.coverage.source_reason(Source::CGROUPS),
            Some(_) => newest.coverage.probe_reason("page_alloc"),
        };
        let lacks = "refaults and page allocations by cgroup".into();
        return Outcome::NoData { lacks, reason: reason.cloned() };
    };
    let found = evictions.iter().filter_map(|e| blame(e).map(|(driver, victim)| (e, driver, victim)));
    let worst = found.max_by(|a, b| a.2.refaults.total_cmp(&b.2.refaults));
    worst.map_or(Outcome::Quiet, |(eviction, driver, victim)| Outcome::Fires(finding(window, eviction, driver, victim)))
}

/// The cgroup that drives the reclaim, and the one that suffers most of the others.
fn blame(eviction: &Eviction) -> Option<(&Driver, &Victim)> {
    let driver = eviction.drivers.first().filter(|d| d.share >= DRIVER_SHARE)?;
    let victim = eviction.victims.iter().find(|v| Some(v.cgroup) != driver.cgroup)?;
    let own = eviction.drivers.iter().find(|d| d.cgroup == Some(victim.cgroup)).map_or(0.0, |d| d.allocated);
    (victim.refaults >= REFAULTS && driver.allocated >= MORE * own).then_some((driver, victim))
}

fn finding(window: &Window<'_>, eviction: &Eviction, driver: &Driver, victim: &Victim) -> Finding {
    let newest = window.newest();
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
    if let Some(p) = top_allocator(newest, driver.cgroup) {
        let rate = p.allocs.pages.zip(newest.host.page_size).map(|(pages, size)| pages * size as f64);
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
        let victim = if same { 4 } else { 3 };
        models[0].evictions = Some(vec![Eviction {
            scope: Some(Name::from("/p")),
            refaults,
            victims: vec![Victim { cgroup: CgroupId(victim), path: Name::from("/p/hot"), refaults, share: 1.0 }],
            drivers: vec![Driver {
                cgroup: Some(CgroupId(4)),
                path: Some(Name::from("/p/stream")),
                allocated: 90.0 * MIB,
                share,
                kswapd_requests: None,
                reclaimed: Some(80.0 * MIB),
            }],
        }]);
        check(&Window::new(&models).unwrap())
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
