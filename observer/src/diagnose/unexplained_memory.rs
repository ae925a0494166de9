//! Memory that is in no counter of the kernel.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, allocators, common, growth};
use crate::{
    model::memory::Breakdown,
    snapshot::{coverage::Source, page_alloc::AllocCounts},
    units,
};

/// Share of RAM in no counter that is worth a warning by itself. An idle machine has 1 to 3 % of it, in pages that drivers
/// and the kernel took for themselves.
const WARN_RATIO: f64 = 0.10;
/// Share of RAM from which its growth matters.
const LEAST_RATIO: f64 = 0.05;

pub(super) const RULE: Rule = Rule {
    name: "unexplained_memory",
    about: "Much of RAM is in no counter of the kernel: pages that a driver or another part of the kernel took for itself.",
    check,
};

fn check(window: &Window<'_>) -> Outcome {
    let newest = window.newest();
    let Some(breakdown) = &newest.memory.breakdown else {
        return common::no_source(window, "uses of RAM", Source::MEMINFO);
    };
    if let Some(counter) = breakdown.not_counted.first() {
        // What that counter holds would be called unexplained.
        let source = counter.split(' ').next().unwrap_or(counter);
        return common::no_source(window, counter, source);
    }
    let bytes = u64::try_from(breakdown.unexplained).unwrap_or(0);
    let ratio = bytes as f64 / breakdown.total.max(1) as f64;
    let (models, span) = window.last(growth::LOOK_BACK_SECONDS);
    let rate = common::steady_growth(models, |m| m.memory.growth.unexplained).filter(|_| ratio >= LEAST_RATIO);
    let ends = rate.zip(growth::available(newest)).and_then(|(rate, left)| growth::exhaustion(rate, left));
    let severity = match ends {
        Some((severity, _)) => severity,
        None if ratio >= WARN_RATIO => Severity::Warning,
        None => return Outcome::Quiet,
    };

    let mut evidence = vec![
        Evidence::new("in no counter", growth::of_ram(bytes, breakdown.total), "/proc/meminfo MemTotal - every use"),
        Evidence::new("the largest uses that are counted", largest(breakdown), "/proc/meminfo"),
    ];
    let grows = rate.zip(ends).map(|(rate, (_, seconds))| {
        evidence.extend(growth::evidence(rate, "/proc/meminfo, two readings", seconds, "what is available"));
        format!(" and grows by {}", units::bytes_per_second(rate))
    });
    // Whoever takes pages for itself takes them in blocks as a rule.
    let blocks = |counts: &AllocCounts| counts.pages().saturating_sub(counts.allocated.first().copied().unwrap_or(0));
    let who = allocators::most(models, blocks).filter(|_| rate.is_some());
    if let Some(who) = &who {
        let pages = blocks(&who.counts) as f64;
        let value = format!("{} pages in {}", units::count(pages), units::seconds(span));
        evidence.push(Evidence::new(
            format!("most pages in blocks (order 1 and above) went to {}", who.name()),
            value,
            allocators::TRACEPOINT,
        ));
    }
    let by = who.map_or(String::new(), |who| format!("; meanwhile {} took most blocks", who.name()));
    let verdict = format!(
        "{} is in no counter of the kernel{}{by}",
        growth::of_ram(bytes, breakdown.total),
        grows.unwrap_or_default()
    );
    let advice = vec![
        "Rings mapped by user space: packet sockets (`cat /proc/net/packet`, `ss -0 -p`), perf and BPF ring buffers (`ls -l /proc/*/fd | grep perf_event`, `bpftool map`), io_uring.".into(),
        "Drivers: receive rings and buffers of network cards (`ethtool -g`), GPUs, RDMA (`lsmod`; unload one and see whether it comes back), page pools of the network (`ynl --family netdev --dump page-pool-get`), the balloon of a guest.".into(),
        "To know it: boot with page_owner=on and sort /sys/kernel/debug/page_owner by stack (tools/mm/page_owner_sort).".into(),
    ];
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice })
}

fn largest(breakdown: &Breakdown) -> String {
    let mut parts = breakdown.parts.clone();
    parts.sort_by_key(|p| std::cmp::Reverse(p.bytes));
    let parts: Vec<_> = parts.iter().take(3).map(|p| format!("{} {}", p.name, units::bytes(p.bytes as f64))).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        model::Model,
        snapshot::{Snapshot, memory},
    };

    const MIB: u64 = 1 << 20;

    /// A host of 1000 MiB of which that many are in no counter.
    fn at(second: u64, unexplained: u64) -> Snapshot {
        let mut s = snapshot_at(second);
        let zero = Some(0);
        s.memory.meminfo = Some(memory::Meminfo {
            total: Some(1000 * MIB),
            free: Some((1000 - unexplained) * MIB),
            available: Some((1000 - unexplained) * MIB),
            buffers: zero,
            cached: zero,
            swap_cached: zero,
            active: zero,
            inactive: zero,
            unevictable: zero,
            anon_pages: zero,
            shmem: zero,
            kernel_reclaimable: zero,
            slab_reclaimable: zero,
            slab_unreclaimable: zero,
            kernel_stack: zero,
            page_tables: zero,
            vmalloc_used: zero,
            percpu: zero,
            hugetlb: zero,
            bounce: zero,
            ..Default::default()
        });
        s.memory.zones = Some(vec![memory::Zone { per_cpu: zero, managed: Some(1000 * MIB), ..Default::default() }]);
        s
    }

    fn over(levels: &[u64]) -> Vec<Model> {
        let snapshots: Vec<_> = levels.iter().zip(1..).map(|(level, second)| at(second, *level)).collect();
        models(&snapshots)
    }

    fn outcome(levels: &[u64]) -> Outcome {
        check(&Window::new(&over(levels)).unwrap())
    }

    #[test]
    fn a_tenth_of_ram_is_a_finding_without_growth() {
        let finding = fired(outcome(&[150, 150, 150]));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.verdict.starts_with("150 MiB (15 % of RAM) is in no counter of the kernel"), "{finding:?}");
    }

    #[test]
    fn less_is_one_while_it_grows() {
        let finding = fired(outcome(&[57, 58, 59, 60]));
        assert!(finding.verdict.contains("grows by 1 MiB/s"), "{}", finding.verdict);
        assert_eq!(fired(outcome(&[40, 60, 80])).severity, Severity::Critical);
        assert_eq!(outcome(&[60, 60, 60]), Outcome::Quiet);
        assert_eq!(outcome(&[10, 20, 30]), Outcome::Quiet, "too little to say");
    }

    #[test]
    fn a_counter_that_is_not_there_explains_nothing() {
        let mut s = at(1, 500);
        s.memory.meminfo.as_mut().unwrap().slab_unreclaimable = None;
        let models = models(&[at(0, 500), s]);
        let Outcome::NoData { lacks, .. } = check(&Window::new(&models).unwrap()) else { panic!("it can tell") };
        assert_eq!(lacks, "/proc/meminfo SUnreclaim");
    }
}
