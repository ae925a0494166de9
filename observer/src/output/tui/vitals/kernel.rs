//! What the probes tell of page allocation, reclaim and kswapd.

use super::{super::table::Origin, Context, Strip, Tone, tone_of};
use crate::{
    output::tui::{strip::About, trend::Point},
    snapshot::{Log2Histogram, coverage::Source, reclaim::ReclaimKind},
    units,
};

const ALLOC: Origin = ("page_alloc", &[]);
const VMSTAT: Origin = ("memory", &[Source::VMSTAT]);

const FAULTS: About = About::new("faults", "page faults a second", "/proc/vmstat pgfault", VMSTAT);
const ALLOCATED: About = About::new("allocated", "pages a second handed out", "tracepoint kmem:mm_page_alloc", ALLOC);
const FAILED: About =
    About::new("failed", "requests a second that got no page", "tracepoint kmem:mm_page_alloc with a null page", ALLOC);
const MOST: About =
    About::new("most by", "process that got most pages, and its pid", "tracepoint kmem:mm_page_alloc", ALLOC);
const MOST_RATE: About = About::new("most", "pages a second handed out to it", "tracepoint kmem:mm_page_alloc", ALLOC);
const PAGES_BARS: About = About::new(
    "bars",
    "pages a second handed out, a bar a tick, the most of what is shown fills the line",
    "tracepoint kmem:mm_page_alloc",
    ALLOC,
);

/// Pages that were handed out, and who got most.
pub(super) fn allocation(ctx: &Context<'_>) -> Strip {
    let sign = Strip::sign("Pages");
    let Some(alloc) = &ctx.model.page_alloc else {
        let sign = sign.label("faults ").number(&FAULTS, ctx.model.memory.vm.faults, units::per_second);
        return sign.label(", allocations ").missing(&ALLOCATED, ctx);
    };
    let failed = alloc.total.failures;
    let tone = if failed.is_some_and(|f| f > 0.0) { Tone::Bad } else { Tone::Plain };
    let mut sign = sign
        .label("allocated ")
        .number(&ALLOCATED, alloc.total.pages, units::per_second)
        .label(", failed ")
        .number_toned(&FAILED, failed, units::per_second, tone);
    if let Some(most) = alloc.processes.first() {
        sign = sign
            .label(", most by ")
            .words(&MOST, format!("{} ({})", most.comm, most.pid), Tone::Plain)
            .label(" ")
            .number(&MOST_RATE, most.allocs.pages, units::per_second);
    }
    sign.bars(&PAGES_BARS, ctx.trend(|p| p.pages), 1.0, Tone::Good)
}

const RECLAIM: Origin = ("reclaim", &[]);
const ALLOCSTALL: About =
    About::new("direct", "requests a second that had to reclaim for the host", "/proc/vmstat allocstall_*", VMSTAT);
/// Rate, share of time and p99 of one kind.
const STALLS: [(&str, ReclaimKind, [About; 3]); 2] = [
    (
        "direct ",
        ReclaimKind::Direct,
        [
            About::new(
                "direct",
                "reclaims a second of tasks for the host",
                "tracepoints vmscan:mm_vmscan_direct_reclaim_{begin,end}",
                RECLAIM,
            ),
            About::new(
                "direct, stalled",
                "seconds stalled in each second, all tasks together",
                "tracepoints vmscan:mm_vmscan_direct_reclaim_{begin,end}",
                RECLAIM,
            ),
            About::new(
                "direct, p99",
                "time that 99 % of these stalls took less than, a power of two",
                "tracepoints vmscan:mm_vmscan_direct_reclaim_{begin,end}",
                RECLAIM,
            ),
        ],
    ),
    (
        ", memcg ",
        ReclaimKind::Memcg,
        [
            About::new(
                "memcg",
                "reclaims a second of tasks for the limit of a cgroup",
                "tracepoints vmscan:mm_vmscan_memcg_reclaim_{begin,end}",
                RECLAIM,
            ),
            About::new(
                "memcg, stalled",
                "seconds stalled in each second, all tasks together",
                "tracepoints vmscan:mm_vmscan_memcg_reclaim_{begin,end}",
                RECLAIM,
            ),
            About::new(
                "memcg, p99",
                "time that 99 % of these stalls took less than, a power of two",
                "tracepoints vmscan:mm_vmscan_memcg_reclaim_{begin,end}",
                RECLAIM,
            ),
        ],
    ),
];
const NOW: About = About::new(
    "now",
    "number of tasks that are in a reclaim at this moment",
    "tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    RECLAIM,
);
const RECLAIM_BARS: About = About::new(
    "bars",
    "seconds stalled in each second, both kinds, a bar a tick, 10 ms or the most of what is shown fills the line",
    "tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    RECLAIM,
);

/// Stalls of tasks that had to reclaim.
pub(super) fn reclaim(ctx: &Context<'_>) -> Strip {
    let sign = Strip::sign("Reclaim");
    let Some(reclaim) = &ctx.model.reclaim else {
        let sign = sign.label("direct ").number(&ALLOCSTALL, ctx.model.memory.vm.allocstall, units::per_second);
        return sign.label(", stalls ").missing(&NOW, ctx);
    };
    let mut worst = Tone::Plain;
    let mut sign = sign;
    for (words, kind, [rate, stalled, p99]) in &STALLS {
        let stalls = reclaim.total(*kind, ctx.model.interval);
        let mut latency = Log2Histogram::default();
        reclaim.cgroups.iter().filter(|c| c.kind == *kind).for_each(|c| latency.add(&c.latency_ns));
        let tone = tone_of(stalls.stalled_ratio, 0.01, 0.2);
        if tone != Tone::Plain {
            worst = tone;
        }
        sign = sign.label(words).number(rate, stalls.per_second, units::per_second);
        if stalls.totals.count > 0 {
            let bound = latency.quantile_bound(0.99).map(|ns| ns / 1e9);
            sign = sign
                .label(" ")
                .number_toned(stalled, stalls.stalled_ratio, units::percent, tone)
                .label(" p99<")
                .number(p99, bound, units::seconds);
        }
    }
    if !reclaim.in_flight.is_empty() {
        let now = Some(reclaim.in_flight.len() as f64);
        sign = sign.label(", ").number_toned(&NOW, now, units::count, Tone::Warn).label(" now");
    }
    let both = |p: &Point| p.direct.zip(p.memcg).map(|(d, m)| d + m);
    sign.bars(&RECLAIM_BARS, ctx.trend(both), 0.01, worst)
}

const KSWAPD: Origin = ("kswapd", &[]);
const TOOK: About =
    About::new("reclaims", "bytes a second that kswapd of all nodes reclaimed", "/proc/vmstat pgsteal_kswapd", VMSTAT);
const ASKER: About = About::new(
    "asked by",
    "process that asked most for kswapd, and its pid",
    "tracepoint vmscan:mm_vmscan_wakeup_kswapd",
    KSWAPD,
);
const NODE: About = About::new("node", "number of the NUMA node", "tracepoint vmscan:mm_vmscan_kswapd_wake", KSWAPD);
const AWAKE: About = About::new(
    "awake",
    "share of the interval in which kswapd of the node was at work",
    "tracepoints vmscan:mm_vmscan_kswapd_{wake,sleep}",
    KSWAPD,
);
const MORE_NODES: About = About::new(
    "more nodes",
    "number of NUMA nodes that are not shown here; all stand in the pane of reclaim",
    "tracepoints vmscan:mm_vmscan_kswapd_{wake,sleep}",
    KSWAPD,
);
const KSWAPD_BARS: About = About::new(
    "bars",
    "share of the interval in which the busiest kswapd was at work, a bar a tick, 10 % or the most of what is shown fills the line",
    "tracepoints vmscan:mm_vmscan_kswapd_{wake,sleep}",
    KSWAPD,
);

/// kswapd by node, and who asks for it.
pub(super) fn kswapd(ctx: &Context<'_>) -> Strip {
    /// Nodes that a line has room for.
    const NODES: usize = 4;
    let sign = Strip::sign("kswapd");
    let took = ctx.model.memory.vm.steal_kswapd;
    let Some(kswapd) = &ctx.model.kswapd else {
        let sign = sign.label("reclaims ").number(&TOOK, took, units::bytes_per_second);
        return sign.label(", wakes ").missing(&AWAKE, ctx);
    };
    let mut sign = sign;
    let mut worst = Tone::Plain;
    for n in kswapd.nodes.iter().take(NODES) {
        let tone = tone_of(n.awake_ratio, 0.3, 0.8);
        if tone != Tone::Plain {
            worst = tone;
        }
        sign = sign
            .label("node ")
            .words(&NODE, n.node.to_string(), Tone::Dim)
            .label(" awake ")
            .number_toned(&AWAKE, n.awake_ratio, units::percent, tone)
            .label(", ");
    }
    if let Some(more) = kswapd.nodes.len().checked_sub(NODES).filter(|n| *n > 0) {
        sign = sign.count(&MORE_NODES, Some(more as u64)).label(" more nodes, ");
    }
    if kswapd.nodes.is_empty() {
        sign = sign.label_toned("asleep", Tone::Plain).label(", ");
    }
    sign = sign.label("reclaims ").number(&TOOK, took, units::bytes_per_second);
    if let Some(first) = kswapd.requesters.first() {
        let who = format!("{} ({})", first.who.comm, first.who.pid);
        sign = sign.label(", asked by ").words(&ASKER, who, Tone::Plain);
    }
    sign.bars(&KSWAPD_BARS, ctx.trend(|p| p.kswapd), 0.1, worst)
}
