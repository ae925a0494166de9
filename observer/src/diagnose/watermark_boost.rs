//! kswapd works because fragmentation has raised a watermark, and not because memory is short.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, allocators, common};
use crate::{
    model::Model,
    snapshot::{Name, coverage::Source, memory::Zone},
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Share of the snapshots in which a watermark must be raised. kswapd takes the rise back when it has made up for it, so
/// what is seen again and again is raised again and again.
const RAISED_RATIO: f64 = 0.5;
/// Bytes a second that kswapd must look at for the rise to cost something.
const BUSY_SCAN: f64 = 1024.0 * 1024.0;

pub(super) const RULE: Rule = Rule {
    name: "watermark_boost",
    about: "kswapd reclaims because fragmentation raised a zone's watermarks, though memory would do without.",
    check,
};

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    if newest.memory.zones.is_none() {
        return common::no_source(window, "watermarks of zones", Source::ZONEINFO);
    }
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let Some(scan) = common::mean(models, |m| m.memory.vm.scan_kswapd) else {
        return common::no_source(window, "bytes scanned by kswapd", Source::VMSTAT);
    };
    let zones = newest.memory.zones.iter().flatten().map(|zone| (zone.node, &zone.zone));
    let raised = zones.map(|(node, name)| (node, name, seen(models, node, name))).max_by_key(|(.., s)| s.raised);
    let Some((node, name, seen)) = raised.filter(|(.., s)| s.raised > 0) else { return Outcome::Quiet };
    let often = seen.raised as f64 >= RAISED_RATIO * seen.of as f64;
    if !often || scan < BUSY_SCAN || seen.without_need * 2 < seen.raised {
        return Outcome::Quiet;
    }

    let mut evidence = vec![
        Evidence::new(
            format!("raised in zone {name} of node {node}"),
            format!(
                "by up to {}, in {} of {} snapshots, {} of them with enough free memory otherwise",
                units::bytes(seen.most as f64),
                seen.raised,
                seen.of,
                seen.without_need
            ),
            "/proc/zoneinfo boost, high, free",
        ),
        Evidence::new("looked at by kswapd", units::bytes_per_second(scan), "/proc/vmstat pgscan_kswapd"),
    ];
    if let Some(steal) = common::mean(models, |m| m.memory.vm.steal_kswapd) {
        evidence.push(Evidence::new(
            "reclaimed by kswapd",
            units::bytes_per_second(steal),
            "/proc/vmstat pgsteal_kswapd",
        ));
    }
    if let Some(ratio) = newest.memory.available_ratio {
        evidence.push(Evidence::new("available memory", units::percent(ratio), "/proc/meminfo MemAvailable"));
    }
    let cause = cause(models);
    if let Some(cause) = &cause {
        evidence.push(Evidence::new(
            format!("blocks of another migrate type taken by {}", cause.name),
            format!(
                "{} in {}, most {} from {}",
                units::count(cause.count as f64),
                units::seconds(seconds),
                cause.wanted,
                cause.taken
            ),
            "kmem:mm_page_alloc_extfrag",
        ));
    }
    let by = cause.map_or(String::new(), |c| format!(": {} takes blocks of another migrate type", c.name));
    let verdict = format!(
        "kswapd reclaims {} because fragmentation raises the watermarks of zone {name} of node {node}{by}",
        units::or_unknown(common::mean(models, |m| m.memory.vm.steal_kswapd), units::bytes_per_second)
    );
    let advice = vec![
        "Memory is not short: page cache goes so that blocks become free again. If its loss hurts more than fragmentation, lower vm.watermark_boost_factor (0 turns it off).".into(),
        "Find why blocks are mixed: who is named takes unmovable or reclaimable pages (kernel memory: files, sockets, page tables) where movable ones were free. A larger vm.min_free_kbytes makes it rarer.".into(),
    ];
    Outcome::Fires(Finding { rule: RULE.name, severity: Severity::Warning, verdict, evidence, advice })
}

/// How often a zone was seen with raised watermarks.
#[derive(Default)]
struct Seen {
    of: usize,
    raised: usize,
    /// Snapshots in which more was free than the high watermark asks for without the rise.
    without_need: usize,
    most: u64,
}

fn seen(models: &[Model], node: u32, name: &Name) -> Seen {
    let mut seen = Seen::default();
    let same = |z: &&Zone| z.node == node && z.zone == *name;
    for zone in models.iter().filter_map(|m| m.memory.zones.iter().flatten().find(same)) {
        let Some(boost) = zone.boost else { continue };
        seen.of += 1;
        if boost > 0 {
            seen.raised += 1;
            seen.most = seen.most.max(boost);
            // The kernel shows the high watermark with the rise in it.
            let enough = zone.free.zip(zone.high).is_some_and(|(free, high)| free >= high.saturating_sub(boost));
            seen.without_need += usize::from(enough);
        }
    }
    seen
}

/// Who mixes migrate types most.
struct Cause<'a> {
    name: String,
    pid: u32,
    count: u64,
    largest: u64,
    wanted: &'a Name,
    taken: &'a Name,
}

fn cause(models: &[Model]) -> Option<Cause<'_>> {
    let mut causes: Vec<Cause<'_>> = Vec::new();
    let rows = models.iter().filter_map(|m| m.extfrag.as_ref()).flat_map(|e| &e.rows);
    for row in rows.filter(|r| r.per_second.is_some()) {
        let (wanted, taken) = (&row.who.wanted, &row.who.taken);
        match causes.iter_mut().find(|c| c.pid == row.who.pid) {
            Some(cause) => {
                cause.count += row.in_interval;
                if row.in_interval > cause.largest {
                    (cause.largest, cause.wanted, cause.taken) = (row.in_interval, wanted, taken);
                }
            }
            None => causes.push(Cause {
                name: allocators::process(&row.who.comm, row.who.pid, row.cgroup_path.as_ref()),
                pid: row.who.pid,
                count: row.in_interval,
                largest: row.in_interval,
                wanted,
                taken,
            }),
        }
    }
    causes.into_iter().max_by_key(|c| c.count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{
            Snapshot,
            compaction::{Extfrag, Fallback},
            memory::Vmstat,
        },
    };

    const MIB: u64 = 1 << 20;

    fn outcome(boosts: [u64; 4], free: u64) -> Outcome {
        let snapshots: Vec<Snapshot> = (0..4)
            .map(|i| {
                let mut s = snapshot_at(i as u64 + 1);
                s.memory.zones = Some(vec![Zone {
                    zone: "Normal".into(),
                    free: Some(free * MIB),
                    high: Some((20 + boosts[i]) * MIB),
                    boost: Some(boosts[i] * MIB),
                    ..Default::default()
                }]);
                let scanned = Some(i as u64 * 8 * MIB);
                s.memory.vmstat =
                    Some(Vmstat { pgscan_kswapd_bytes: scanned, pgsteal_kswapd_bytes: scanned, ..Default::default() });
                let row = Fallback {
                    pid: 3,
                    comm: "mixer".into(),
                    wanted: "unmovable".into(),
                    taken: "movable".into(),
                    count: i as u64 * 10,
                    ..Default::default()
                };
                s.extfrag = Some(Extfrag { rows: vec![row], other: 0 });
                s
            })
            .collect();
        check(&Window::new(&models(&snapshots)).unwrap())
    }

    #[test]
    fn a_watermark_that_is_raised_again_and_again_names_who_mixes() {
        let finding = fired(outcome([0, 5, 0, 5], 22));
        assert!(finding.verdict.contains("mixer (pid 3)") && finding.verdict.contains("8 MiB/s"), "{finding:?}");
    }

    #[test]
    fn a_rise_that_is_over_and_a_real_shortage_are_not() {
        assert_eq!(outcome([5, 5, 0, 0], 22), Outcome::Quiet);
        assert_eq!(outcome([5, 5, 5, 5], 10), Outcome::Quiet, "kswapd would work without the rise");
    }

    #[test]
    fn without_zoneinfo_it_says_so() {
        let blind = [snapshot_at(1), snapshot_at(2)];
        assert!(matches!(check(&Window::new(&models(&blind)).unwrap()), Outcome::NoData { .. }));
    }
}
