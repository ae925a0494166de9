//! Requests for pages that got none.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, allocators, common};
use crate::{
    model::Model,
    snapshot::{CgroupId, page_alloc::AllocCounts},
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Largest order that the kernel tries hard for (`PAGE_ALLOC_COSTLY_ORDER`): below, a failure is one that somebody feels;
/// above, it is the usual way to ask whether there is a large block.
const COSTLY_ORDER: usize = 3;
/// Failures of small orders a second that are worth a warning. One page that is missing can be a lost packet.
const WARN_SMALL: f64 = 0.1;
/// Failures of large orders a second that are worth knowing: each has cost a search, and what is used instead is slower.
const INFO_LARGE: f64 = 1.0;

pub(super) const RULE: Rule =
    Rule { name: "failed_allocations", about: "Requests for pages fail: somebody gets no memory.", check };

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let Some(total) = allocators::total(models) else {
        return common::no_probe(window, "requests for pages that failed", "page_alloc");
    };
    let small = total.failed.iter().take(COSTLY_ORDER + 1).sum::<u64>();
    let large = total.failures() - small;
    let rate = |count: u64| count as f64 / seconds.max(f64::MIN_POSITIVE);
    let (severity, orders, count) = if rate(small) >= WARN_SMALL {
        (Severity::Warning, 0..COSTLY_ORDER + 1, small)
    } else if rate(large) >= INFO_LARGE {
        (Severity::Info, COSTLY_ORDER + 1..total.failed.len(), large)
    } else {
        return Outcome::Quiet;
    };

    let failed = |c: &AllocCounts| c.failed.get(orders.clone()).unwrap_or_default().iter().sum::<u64>();
    let by_order: Vec<_> = total
        .failed
        .iter()
        .enumerate()
        .filter(|(_, n)| **n > 0)
        .map(|(order, n)| format!("{} of order {order}", units::count(*n as f64)))
        .collect();
    let mut evidence = vec![Evidence::new(
        format!("requests that failed in {}", units::seconds(seconds)),
        by_order.join(", "),
        allocators::TRACEPOINT,
    )];
    let who = allocators::most(models, failed);
    let cgroup = allocators::most_of_cgroup(models, failed);
    let name = match (&who, cgroup) {
        (Some(who), _) => {
            evidence.push(Evidence::new(
                format!("of them by {}", who.name()),
                units::count(failed(&who.counts) as f64),
                allocators::TRACEPOINT,
            ));
            format!(", most of {}", who.name())
        }
        (None, Some((Some(path), _))) => format!(", most of ended processes of cgroup {path}"),
        _ => String::new(),
    };
    let id = who.as_ref().and_then(|w| w.cgroup);
    let at_limit = limit(newest, id);
    let limited = at_limit.is_some();
    evidence.extend(at_limit);
    if let Some(ratio) = newest.memory.available_ratio {
        evidence.push(Evidence::new("available memory", units::percent(ratio), "/proc/meminfo MemAvailable"));
    }

    let what = if severity == Severity::Info { "large blocks" } else { "pages" };
    let reason = if limited { ", whose cgroup is at its limit" } else { "" };
    let verdict = format!("{} requests for {what} fail{name}{reason}", units::per_second(rate(count)));
    let advice = if limited {
        vec![
            "Raise the cgroup's limit, or make it use less: kernel memory that it asks for (pipes, sockets, files) is charged to it, and fails with ENOMEM instead of an OOM kill.".into(),
            "See who holds what in it: memory.stat of the cgroup.".into(),
        ]
    } else if severity == Severity::Info {
        vec![
            "Most callers take smaller blocks then, and are slower for it. If free memory is fragmented there is a finding of its own; see the heat map of free blocks.".into(),
            "If it is huge pages: reserve them at boot, or set /sys/kernel/mm/transparent_hugepage/defrag to `defer+madvise`.".into(),
        ]
    } else {
        vec![
            "The kernel's log has the flags of the request and its stack, unless it asked for silence (`dmesg | grep -A20 'page allocation failure'`).".into(),
            "Atomic requests (network, storage) cannot wait for reclaim: raise vm.min_free_kbytes or vm.watermark_scale_factor, so that more stays free for them.".into(),
        ]
    };
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice })
}

/// The limit of a cgroup that has used it up.
fn limit(model: &Model, cgroup: Option<CgroupId>) -> Option<Evidence> {
    let row = model.cgroups.iter().flatten().find(|c| Some(c.now.id) == cgroup)?;
    let (usage, limit) = row.now.usage.zip(row.now.limit)?;
    row.is_at_limit().then(|| {
        Evidence::new(
            format!("use and hard limit of cgroup {}", row.now.path),
            format!("{} of {}", units::bytes(usage as f64), units::bytes(limit as f64)),
            "memory.usage_in_bytes or memory.current",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{
            Cgroup, Cgroups, Snapshot,
            page_alloc::{PageAlloc, ProcessAlloc},
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
            let row = Cgroup {
                id: CgroupId(4),
                path: "/job".into(),
                usage: Some(99),
                limit: Some(100),
                ..Default::default()
            };
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
}
