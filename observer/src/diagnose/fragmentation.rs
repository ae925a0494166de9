//! Free memory lies in blocks that are too small for what is asked for.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, allocators, common};
use crate::{
    model::{Model, memory::Fragmentation},
    snapshot::{compaction::Compactor, coverage::Source, page_alloc::AllocCounts},
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Unusable free-space index from which a request fails for want of a block and not for want of memory: the kernel's own
/// choice between compaction and reclaim (`vm.extfrag_threshold`, 500 of 1000).
const FRAGMENTED_INDEX: f64 = 0.5;
/// Requests a second that must fail, or compactions that must find nothing, for it to cost something.
const LEAST_FAILURES: f64 = 1.0;
/// Largest order that the kernel tries hard for (`PAGE_ALLOC_COSTLY_ORDER`): who asks for more has a way to do without.
const COSTLY_ORDER: usize = 3;
/// Order of a huge page where nothing tells which order was compacted for.
const HUGE_ORDER: usize = 9;
/// Free memory must be enough for this many requests, else it is short and not fragmented.
const LEAST_BLOCKS: u64 = 4;

pub(super) const RULE: Rule = Rule {
    name: "fragmentation",
    about: "Requests for large blocks fail although memory is free: it lies in blocks that are too small.",
    check,
};

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let Some((zones, page_size)) = newest.memory.fragmentation.as_ref().zip(newest.host.page_size) else {
        return common::no_source(window, "free blocks by order", Source::BUDDYINFO);
    };
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let requests = allocators::total(models);
    let compact_fail = common::mean(models, |m| m.memory.vm.compact_fail);
    if requests.is_none() && compact_fail.is_none() {
        return common::no_probe(window, "requests that fail, by order", "page_alloc");
    }
    let failed = requests.as_ref().and_then(most_failed);
    let order = failed.map_or(HUGE_ORDER, |(order, _)| order);
    let failures = failed.map_or(0.0, |(_, count)| count as f64 / seconds.max(f64::MIN_POSITIVE));
    let compact_fail = compact_fail.unwrap_or(0.0);
    if failures < LEAST_FAILURES && compact_fail < LEAST_FAILURES {
        return Outcome::Quiet;
    }
    let Some((free, small)) = too_small(zones, order) else { return Outcome::Quiet };
    let block = page_size << order.min(63);
    let index = small as f64 / free as f64;
    if index < FRAGMENTED_INDEX || free / block < LEAST_BLOCKS {
        return Outcome::Quiet;
    }

    let size = allocators::order_name(order, page_size);
    let mut evidence = vec![Evidence::new(
        format!("free in blocks smaller than {size}"),
        format!("{} of {} free (index {index:.3})", units::bytes(small as f64), units::bytes(free as f64)),
        Source::BUDDYINFO,
    )];
    if failures > 0.0 {
        evidence.push(Evidence::new(
            format!("requests of order {order} that failed"),
            units::per_second(failures),
            allocators::TRACEPOINT,
        ));
    }
    if compact_fail > 0.0 {
        let value = units::per_second(compact_fail);
        evidence.push(Evidence::new("direct compactions that made no block", value, "/proc/vmstat compact_fail"));
    }
    evidence.extend(by_type(zones, order));
    let who = culprit(models, order);
    evidence.extend(compactor(newest));
    evidence.extend(mixer(models));

    let what = if failures >= LEAST_FAILURES {
        format!("{} requests of {size} fail", units::per_second(failures))
    } else {
        format!("{} compactions make no block", units::per_second(compact_fail))
    };
    let by = who.map_or(String::new(), |who| format!(", most of them by {who}"));
    let verdict = format!(
        "Free memory is fragmented: {} of it is in blocks smaller than {size}, and {what}{by}",
        units::percent(index)
    );
    let severity = if order <= COSTLY_ORDER { Severity::Critical } else { Severity::Warning };
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice: advice(order) })
}

/// The order above 0 with most failed requests.
fn most_failed(counts: &AllocCounts) -> Option<(usize, u64)> {
    let orders = counts.failed.iter().copied().enumerate().skip(1);
    orders.max_by_key(|(order, count)| (*count, std::cmp::Reverse(*order))).filter(|(_, count)| *count > 0)
}

/// Free bytes of all zones, and those of them in blocks below `order`. `None` if nothing is free.
fn too_small(zones: &[Fragmentation], order: usize) -> Option<(u64, u64)> {
    let free = zones.iter().flat_map(|z| &z.free_bytes).sum();
    let small = zones.iter().flat_map(|z| z.free_bytes.iter().take(order)).sum();
    (free > 0).then_some((free, small))
}

/// Free blocks that are large enough, by migrate type: a request takes those of its own type first.
fn by_type(zones: &[Fragmentation], order: usize) -> Option<Evidence> {
    let mut types: Vec<(&str, u64, u64)> = Vec::new();
    for (name, free) in zones.iter().flat_map(|z| &z.by_type) {
        let at = types.iter().position(|(known, ..)| *known == name.as_str()).unwrap_or_else(|| {
            types.push((name.as_str(), 0, 0));
            types.len() - 1
        });
        if let Some(row) = types.get_mut(at) {
            row.1 += free.iter().skip(order).sum::<u64>();
            row.2 += free.iter().sum::<u64>();
        }
    }
    types.retain(|(.., all)| *all > 0);
    let list: Vec<_> = types
        .iter()
        .map(|(name, large, all)| format!("{name} {} of {}", units::bytes(*large as f64), units::bytes(*all as f64)))
        .collect();
    let what = format!("free in blocks of order {order} and above, by migrate type");
    (!list.is_empty()).then(|| Evidence::new(what, list.join(", "), Source::PAGETYPEINFO))
}

/// Who asks for blocks of that order and does not get them; where none failed, who asks for most of them.
fn culprit(models: &[Model], order: usize) -> Option<String> {
    let failed = |c: &AllocCounts| c.failed.get(order).copied().unwrap_or(0);
    let asked = |c: &AllocCounts| failed(c) + c.allocated.get(order).copied().unwrap_or(0);
    if let Some(who) = allocators::most(models, failed).or_else(|| allocators::most(models, asked)) {
        return Some(who.name());
    }
    let (path, _) = allocators::most_of_cgroup(models, asked)?;
    path.map(|path| format!("ended processes of cgroup {path}"))
}

/// Whose tasks spend most time in direct compaction.
fn compactor(model: &Model) -> Option<Evidence> {
    let row = model.compaction.as_ref()?.iter().find(|c| c.by == Compactor::Direct)?;
    let results: Vec<_> = row.results.iter().map(|r| format!("{} {}", r.count, r.result)).collect();
    let what = format!("direct compactions in {}", common::cgroup(row.path.as_ref(), row.cgroup));
    Some(Evidence::new(
        what,
        format!(
            "{} ({} s each second)",
            results.join(", "),
            units::or_unknown(row.stalled_ratio, |r| format!("{r:.2}"))
        ),
        "compaction:mm_compaction_{begin,end}",
    ))
}

/// Who mixes migrate types, which is what fragments memory for good.
fn mixer(models: &[Model]) -> Option<Evidence> {
    let rows = models.iter().filter_map(|m| m.extfrag.as_ref()).flat_map(|e| &e.rows);
    let row = rows.filter(|r| r.per_second.is_some()).max_by_key(|r| r.in_interval)?;
    Some(Evidence::new(
        format!(
            "blocks of type {} taken for {} requests of order {} by {}",
            row.who.taken,
            row.who.wanted,
            row.who.order,
            allocators::process(&row.who.comm, row.who.pid, row.cgroup_path.as_ref())
        ),
        units::or_unknown(row.per_second, units::per_second),
        "kmem:mm_page_alloc_extfrag",
    ))
}

fn advice(order: usize) -> Vec<String> {
    let mut advice = vec![
        "Compact once (`echo 1 > /proc/sys/vm/compact_memory`) and look again: if the index falls, memory was movable and `vm.compaction_proactiveness` or a larger `vm.min_free_kbytes` keeps it so. If not, unmovable pages lie in between: see slab and the extfrag events.".to_owned(),
    ];
    advice.push(if order == HUGE_ORDER {
        "Huge pages: reserve them at boot (`hugepages=N`), or let faults not try so hard (`echo defer+madvise > /sys/kernel/mm/transparent_hugepage/defrag`).".into()
    } else {
        format!("Let who asks take smaller blocks: buffers and rings of order {order} can often be made of single pages (vmalloc, a smaller MTU or ring).")
    });
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{
            Snapshot,
            memory::{Buddy, Vmstat},
            page_alloc::{PageAlloc, ProcessAlloc},
        },
    };

    /// After a second with that many failed requests of an order, and these free blocks.
    fn outcome(order: usize, failed: u64, free_blocks: &[u64]) -> Outcome {
        let at = |second, failed| -> Snapshot {
            let mut s = snapshot_at(second);
            s.host.page_size = Some(4096);
            s.memory.buddy = Some(vec![Buddy { free_blocks: free_blocks.to_vec(), ..Default::default() }]);
            let mut counts = AllocCounts::default();
            counts.failed[order] = failed;
            let row = ProcessAlloc { pid: 9, comm: "wants-blocks".into(), counts, ..Default::default() };
            s.page_alloc = Some(PageAlloc { processes: vec![row], ..Default::default() });
            s
        };
        check(&Window::new(&models(&[at(1, 0), at(2, failed)])).unwrap())
    }

    #[test]
    fn blocks_that_are_too_small_are_fragmentation() {
        let finding = fired(outcome(9, 50, &[100_000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.verdict.contains("order 9 (2 MiB)"), "{}", finding.verdict);
        assert!(finding.verdict.contains("wants-blocks (pid 9)"), "{}", finding.verdict);
    }

    #[test]
    fn small_orders_are_worse() {
        assert_eq!(fired(outcome(2, 50, &[100_000, 0, 0])).severity, Severity::Critical);
    }

    #[test]
    fn failures_for_want_of_memory_are_not() {
        assert_eq!(outcome(9, 50, &[1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Outcome::Quiet, "2 blocks' worth is free");
        assert_eq!(outcome(9, 50, &[1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100]), Outcome::Quiet, "large blocks are free");
    }

    #[test]
    fn nobody_asks() {
        assert_eq!(outcome(9, 0, &[100_000, 0, 0]), Outcome::Quiet);
    }

    #[test]
    fn compactions_that_fail_tell_it_without_the_probe() {
        let at = |second, failed| -> Snapshot {
            let mut s = snapshot_at(second);
            s.host.page_size = Some(4096);
            s.memory.buddy = Some(vec![Buddy { free_blocks: vec![100_000, 0], ..Default::default() }]);
            s.memory.vmstat = Some(Vmstat { compact_fail: Some(failed), ..Default::default() });
            s
        };
        let finding = fired(check(&Window::new(&models(&[at(1, 0), at(2, 30)])).unwrap()));
        assert!(finding.verdict.contains("30/s compactions make no block"), "{}", finding.verdict);
        let blind = [snapshot_at(1), snapshot_at(2)];
        assert!(matches!(check(&Window::new(&models(&blind)).unwrap()), Outcome::NoData { .. }));
    }
}
