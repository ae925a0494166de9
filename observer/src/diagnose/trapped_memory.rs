//! Memory is free, and those who wait for it may not take it.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, allocators, common, growth};
use crate::{
    model::{Model, memory::FreeMemory},
    snapshot::{coverage::Source, reclaim::ReclaimKind},
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Share of RAM that must be trapped to matter: less would not end the shortage if it were free for all.
const LEAST_RATIO: f64 = 0.01;
/// Direct reclaims a second from which somebody waits for memory.
const LEAST_STALLS: f64 = 1.0;

pub(super) const RULE: Rule = Rule {
    name: "trapped_memory",
    about: "Requests wait or fail while free memory is kept for others: CMA, highatomic, lowmem reserve.",
    check,
};

/// What traps free memory: its name, how much of a zone's it holds, and where that is told.
struct Trap {
    name: &'static str,
    source: &'static str,
    bytes: fn(&FreeMemory) -> u64,
    advice: &'static str,
}

const TRAPS: [Trap; 3] = [
    Trap {
        name: "CMA areas, which only movable pages may take",
        source: "/proc/zoneinfo nr_free_cma",
        bytes: |f| f.trapped_cma,
        advice: "Make the area smaller (`cma=SIZE` on the kernel command line) if no device needs so much of it.",
    },
    Trap {
        name: "blocks kept for atomic requests of a high order (highatomic)",
        source: "/proc/zoneinfo nr_free_highatomic",
        bytes: |f| f.trapped_highatomic.unwrap_or(0),
        advice: "The reserve grows with atomic requests of high orders, up to 1 % of a zone: find who makes them (network cards with large buffers, jumbo frames).",
    },
    Trap {
        name: "the lowmem reserve of low zones",
        source: "/proc/zoneinfo protection",
        bytes: |f| f.trapped_reserve,
        advice: "A larger vm.lowmem_reserve_ratio of that zone makes its reserve smaller: `sysctl vm.lowmem_reserve_ratio`.",
    },
];

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let Some((zones, ram)) = newest.memory.free.as_ref().zip(growth::ram(newest)) else {
        return common::no_source(window, "free memory by zone", Source::ZONEINFO);
    };
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let stalls = common::mean(models, |m| m.memory.vm.allocstall);
    let failures = allocators::total(models).map(|t| t.failed.first().copied().unwrap_or(0));
    let (None | Some(0.0), None) = (stalls, failures) else {
        return judge(models, zones, ram, stalls.unwrap_or(0.0), failures.unwrap_or(0) as f64 / seconds);
    };
    match stalls {
        Some(_) => Outcome::Quiet,
        None => common::no_source(window, "direct reclaims", Source::VMSTAT),
    }
}

fn judge(models: &[Model], zones: &[FreeMemory], ram: u64, stalls: f64, failures: f64) -> Outcome {
    let trapped: u64 = zones.iter().map(FreeMemory::trapped).sum();
    let usable: u64 = zones.iter().map(|z| z.usable).sum();
    // What would help those who wait must be more than what they may take, or it is not the reason that they wait.
    let much = trapped as f64 >= LEAST_RATIO * ram as f64 && trapped > usable;
    if !much || (stalls < LEAST_STALLS && failures <= 0.0) {
        return Outcome::Quiet;
    }
    let held = |trap: &Trap| zones.iter().map(trap.bytes).sum::<u64>();
    let Some(trap) = TRAPS.iter().max_by_key(|t| held(t)) else { return Outcome::Quiet };
    let Some(zone) = zones.iter().max_by_key(|z| (trap.bytes)(z)) else { return Outcome::Quiet };

    let mut evidence: Vec<_> = TRAPS
        .iter()
        .filter(|t| held(t) > 0)
        .map(|t| Evidence::new(format!("free in {}", t.name), growth::of_ram(held(t), ram), t.source))
        .collect();
    evidence.push(Evidence::new("free and usable by all", units::bytes(usable as f64), "/proc/zoneinfo"));
    evidence.push(Evidence::new("direct reclaims", units::per_second(stalls), "/proc/vmstat allocstall_*"));
    if failures > 0.0 {
        let value = units::per_second(failures);
        evidence.push(Evidence::new("requests for single pages that failed", value, allocators::TRACEPOINT));
    }
    let who = waits(models).map_or(String::new(), |who| format!(", and {who} waits for memory"));
    let verdict = format!(
        "{} of free memory is trapped in {}, most in zone {} of node {}{who}",
        units::bytes(held(trap) as f64),
        trap.name,
        zone.zone,
        zone.node
    );
    let severity = if failures > 0.0 { Severity::Critical } else { Severity::Warning };
    let advice = vec![
        trap.advice.to_owned(),
        "Until then memory is short: see who grows and who stalls (`observer report memory`).".into(),
    ];
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice })
}

/// The cgroup that waits longest in direct reclaim.
fn waits(models: &[Model]) -> Option<String> {
    let rows = models.iter().filter_map(|m| m.reclaim.as_ref()).flat_map(|r| &r.cgroups);
    let direct = rows.filter(|r| r.kind == ReclaimKind::Direct && r.stalls.per_second.is_some());
    let row = direct.max_by_key(|r| r.stalls.totals.total_ns)?;
    Some(common::cgroup(row.path.as_ref(), row.cgroup))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{
            Snapshot,
            memory::{Meminfo, Vmstat, Zone},
        },
    };

    const MIB: u64 = 1 << 20;

    /// A host of 1000 MiB with that much free, of which so much is in a CMA area, after a second with some direct reclaims.
    fn outcome(free: u64, cma: u64, stalls: u64) -> Outcome {
        let at = |second, stalls| -> Snapshot {
            let mut s = snapshot_at(second);
            s.memory.meminfo = Some(Meminfo { total: Some(1000 * MIB), ..Default::default() });
            s.memory.vmstat = Some(Vmstat { allocstall_normal: Some(stalls), ..Default::default() });
            s.memory.zones = Some(vec![Zone {
                zone: "Normal".into(),
                managed: Some(1000 * MIB),
                free: Some(free * MIB),
                min: Some(10 * MIB),
                free_cma: Some(cma * MIB),
                lowmem_reserve: vec![0],
                ..Default::default()
            }]);
            s
        };
        check(&Window::new(&models(&[at(1, 0), at(2, stalls)])).unwrap())
    }

    #[test]
    fn free_memory_in_an_area_does_not_help_who_waits() {
        let finding = fired(outcome(60, 48, 100));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.verdict.starts_with("48 MiB of free memory is trapped in CMA areas"), "{}", finding.verdict);
    }

    #[test]
    fn the_largest_trap_is_named_with_what_it_holds() {
        let models = models(&[snapshot_at(1), snapshot_at(2)]);
        let zone = FreeMemory {
            node: 0,
            zone: "Normal".into(),
            free: 90 * MIB,
            usable: 10 * MIB,
            trapped_cma: 48 * MIB,
            trapped_highatomic: Some(20 * MIB),
            trapped_reserve: 12 * MIB,
            below_min: 0,
            per_cpu: None,
        };
        let finding = fired(judge(&models, &[zone], 1000 * MIB, 100.0, 0.0));
        assert!(finding.verdict.starts_with("48 MiB of free memory is trapped in CMA areas"), "{}", finding.verdict);
    }

    #[test]
    fn nobody_waits_or_enough_is_usable() {
        assert_eq!(outcome(60, 48, 0), Outcome::Quiet);
        assert_eq!(outcome(200, 48, 100), Outcome::Quiet);
        assert_eq!(outcome(15, 2, 100), Outcome::Quiet);
    }

    #[test]
    fn without_zoneinfo_it_says_so() {
        let blind = [snapshot_at(1), snapshot_at(2)];
        assert!(matches!(check(&Window::new(&models(&blind)).unwrap()), Outcome::NoData { .. }));
    }
}
