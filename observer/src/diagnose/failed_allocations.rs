//! Requests for pages that got none.

use std::collections::HashMap;

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, allocators, common};
use crate::{
    model::{
        Model,
        alloc_failure::{AllocFailure, Manner},
    },
    snapshot::{
        CgroupId,
        coverage::{Loss, Source},
        page_alloc::AllocCounts,
    },
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Largest order that the kernel tries hard for (`PAGE_ALLOC_COSTLY_ORDER`): below, a failure is one that somebody feels;
/// above, it is the usual way to ask whether there is a large block.
const COSTLY_ORDER: usize = 3;
/// Failures a second that are worth a warning where who asked has no other way, or where that is not known and the order is
/// small. One page that is missing can be a lost packet.
const WARN: f64 = 0.1;
/// Failures of large orders a second that are worth knowing: each has cost a search, and what is used instead is slower.
const INFO_LARGE: f64 = 1.0;
/// Where the flags of a request are from.
const FLAGS: &str = "kmem:mm_page_alloc gfp_flags";

pub(super) const RULE: Rule =
    Rule { name: "failed_allocations", about: "Requests for pages fail: somebody gets no memory.", check };

/// Failures of the window, told apart by whether who asked has another way.
#[derive(Debug, Default)]
struct Sums {
    /// It has none, of any order.
    unready: u64,
    /// It has one, of small orders.
    expected_small: u64,
    /// It has one, of large orders.
    expected_large: u64,
    /// Not known, of small orders.
    unknown_small: u64,
    /// Not known, of large orders.
    unknown_large: u64,
}

/// Which failures the rule fires for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Who asked has no other way, or the order is small and it is not known.
    Felt,
    /// Large blocks.
    Large,
}

impl Case {
    fn holds(self, row: &AllocFailure) -> bool {
        match (self, row.manner) {
            (Self::Felt, Some(manner)) => manner != Manner::Expected,
            (Self::Felt, None) => !is_large(row.order),
            (Self::Large, _) => is_large(row.order),
        }
    }
}

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let Some(total) = allocators::total(models) else {
        return common::no_probe(window, "requests for pages that failed", "page_alloc");
    };
    let sums = Sums::of(models);
    let rate = |count: u64| count as f64 / seconds.max(f64::MIN_POSITIVE);
    let (felt, large) = (sums.unready + sums.unknown_small, sums.expected_large + sums.unknown_large);
    let (severity, case, count) = if rate(felt) >= WARN {
        (Severity::Warning, Case::Felt, felt)
    } else if rate(large) >= INFO_LARGE {
        (Severity::Info, Case::Large, large)
    } else {
        return Outcome::Quiet;
    };
    let worst = worst(models, case);
    let (who, id, own) = culprit(models, case, worst.as_ref());
    let mut evidence = vec![Evidence::new(
        format!("requests that failed in {}", units::seconds(seconds)),
        by_order(&total),
        allocators::TRACEPOINT,
    )];
    evidence.extend(readiness(window, &sums));
    if let Some((who, own)) = who.as_ref().zip(own) {
        evidence.push(Evidence::new(format!("of them by {who}"), units::count(own as f64), allocators::TRACEPOINT));
    }
    let flags = worst.as_ref().and_then(|w| w.most.flags.as_ref()).filter(|flags| !flags.is_empty());
    if let Some((worst, flags)) = worst.as_ref().zip(flags) {
        let flags: Vec<_> = flags.iter().map(|flag| flag.as_str()).collect();
        evidence.push(Evidence::new(
            format!("most of these are of order {} and asked with", worst.most.order),
            flags.join("|"),
            FLAGS,
        ));
    }
    let newest = window.newest();
    let at_limit = limit(newest, id);
    let limited = at_limit.is_some();
    evidence.extend(at_limit);
    if let Some(ratio) = newest.memory.available_ratio {
        evidence.push(Evidence::new("available memory", units::percent(ratio), "/proc/meminfo MemAvailable"));
    }
    let what = if case == Case::Large { "large blocks" } else { "pages" };
    let ready = if case == Case::Large && sums.unknown_large == 0 { ", as who asked was ready for" } else { "" };
    let most = who.map_or(String::new(), |who| format!(", most of {who}"));
    let reason = if limited { ", whose cgroup is at its limit" } else { "" };
    let verdict = format!("{} requests for {what} fail{ready}{most}{reason}", units::per_second(rate(count)));
    let manner = worst.and_then(|w| w.most.manner);
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice: advice(case, limited, manner) })
}

fn is_large(order: u32) -> bool {
    order as usize > COSTLY_ORDER
}

impl Sums {
    fn of(models: &[Model]) -> Self {
        let mut sums = Self::default();
        for counted in allocators::with_rates(models) {
            let Some(failures) = &counted.failures else {
                sums.add_unknown(&counted.total.counts, &[]);
                continue;
            };
            for row in failures {
                match (row.manner, is_large(row.order)) {
                    (Some(Manner::Expected), false) => sums.expected_small += row.count,
                    (Some(Manner::Expected), true) => sums.expected_large += row.count,
                    (Some(_), _) => sums.unready += row.count,
                    (None, false) => sums.unknown_small += row.count,
                    (None, true) => sums.unknown_large += row.count,
                }
            }
        }
        // The two are read one after the other and differ by what fails in between; only where rows are known to be lacking
        // does the difference mean something.
        let newest = models.last();
        let lacking = newest.and_then(|m| m.coverage.losses.iter().find(|loss| loss.what == Loss::ALLOC_FAILURES));
        if lacking.is_some_and(|loss| loss.count > 0) {
            for counted in allocators::with_rates(models) {
                sums.add_unknown(&counted.total.counts, counted.failures.as_deref().unwrap_or_default());
            }
        }
        sums
    }

    /// Adds the failures that are in no row.
    fn add_unknown(&mut self, counts: &AllocCounts, rows: &[AllocFailure]) {
        let told = |large: bool| rows.iter().filter(|r| is_large(r.order) == large).map(|r| r.count).sum::<u64>();
        let small = counts.failed.iter().take(COSTLY_ORDER + 1).sum::<u64>();
        self.unknown_small += small.saturating_sub(told(false));
        self.unknown_large += counts.failures().saturating_sub(small).saturating_sub(told(true));
    }
}

/// One process with the most failures of a case.
#[derive(Debug)]
struct Worst<'a> {
    /// Its row with the most.
    most: &'a AllocFailure,
    count: u64,
}

/// The process whose requests failed most; `None` if it is not known how they were made.
fn worst(models: &[Model], case: Case) -> Option<Worst<'_>> {
    let mut sums: HashMap<_, Worst<'_>> = HashMap::new();
    let rows = allocators::with_rates(models).filter_map(|p| p.failures.as_ref()).flatten();
    for row in rows.filter(|row| case.holds(row)) {
        let sum = sums.entry((row.pid, row.cgroup)).or_insert(Worst { most: row, count: 0 });
        sum.count += row.count;
        if row.count >= sum.most.count {
            sum.most = row;
        }
    }
    // Equal amounts: the smaller pid, so that the answer does not depend on the order of a map.
    sums.into_values().max_by_key(|w| (w.count, std::cmp::Reverse(w.most.pid)))
}

/// Name, cgroup and failures of who is to be named. By the flags where they are known, else by order only.
fn culprit(models: &[Model], case: Case, worst: Option<&Worst<'_>>) -> (Option<String>, Option<CgroupId>, Option<u64>) {
    if let Some((worst, (pid, comm))) = worst.and_then(|w| Some((w, w.most.pid.zip(w.most.comm.as_ref())?))) {
        let name = allocators::process(comm, pid, worst.most.cgroup_path.as_ref());
        return (Some(name), worst.most.cgroup, Some(worst.count));
    }
    let (from, to) = if case == Case::Large { (COSTLY_ORDER + 1, usize::MAX) } else { (0, COSTLY_ORDER + 1) };
    let failed = |c: &AllocCounts| c.failed.iter().take(to).skip(from).sum::<u64>();
    if let Some(who) = allocators::most(models, failed) {
        return (Some(who.name()), who.cgroup, Some(failed(&who.counts)));
    }
    let path = allocators::most_of_cgroup(models, failed).and_then(|(path, _)| path);
    (path.map(|path| format!("ended processes of cgroup {path}")), None, None)
}

fn by_order(total: &AllocCounts) -> String {
    let failed = (0..).zip(&total.failed).filter(|(_, n)| **n > 0);
    failed
        .map(|(order, n): (u32, _)| format!("{} of order {order}", units::count(*n as f64)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What the flags say of who asked, and why where they say nothing.
fn readiness(window: &Window<'_>, sums: &Sums) -> Vec<Evidence> {
    let expected = sums.expected_small + sums.expected_large;
    let unknown = sums.unknown_small + sums.unknown_large;
    let mut evidence = Vec::new();
    if expected > 0 {
        let what = "of them asked by who is ready for it: silent, and with little effort";
        evidence.push(Evidence::new(what, units::count(expected as f64), FLAGS));
    }
    if unknown > 0 {
        let reason = window.newest().coverage.source_reason(Source::GFP_FLAGS);
        let why = reason.map_or(String::new(), |why| format!(": {why}"));
        let value = format!("it cannot be told of {}{why}", units::count(unknown as f64));
        evidence.push(Evidence::new("whether who asked was ready for it", value, FLAGS));
    }
    evidence
}

fn advice(case: Case, limited: bool, manner: Option<Manner>) -> Vec<String> {
    const LIMITED: [&str; 2] = [
        "Raise the cgroup's limit, or make it use less: kernel memory that it asks for (pipes, sockets, files) is charged to it, and fails with ENOMEM instead of an OOM kill.",
        "See who holds what in it: memory.stat of the cgroup.",
    ];
    const LARGE: [&str; 2] = [
        "Most callers take smaller blocks then, and are slower for it. If free memory is fragmented there is a finding of its own; see the heat map of free blocks.",
        "If it is huge pages: reserve them at boot, or set /sys/kernel/mm/transparent_hugepage/defrag to `defer+madvise`.",
    ];
    const LOG: &str = "The kernel's log has the stack of the request, unless it asked for silence (`dmesg | grep -A20 'page allocation failure'`); so has `observer report memory --stacks`.";
    const ATOMIC: &str = "Atomic requests (network, storage) cannot wait for reclaim: raise vm.min_free_kbytes or vm.watermark_scale_factor, so that more stays free for them.";
    let words: &[&str] = match (case, manner) {
        _ if limited => &LIMITED,
        (Case::Large, _) => &LARGE,
        (Case::Felt, Some(Manner::Sleeping)) => &[LOG],
        (Case::Felt, _) => &[LOG, ATOMIC],
    };
    words.iter().map(|&word| word.to_owned()).collect()
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
mod tests;
