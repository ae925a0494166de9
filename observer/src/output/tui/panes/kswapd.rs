//! kswapd and who wakes it; who pushed whose page cache out.

use crate::{
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::coverage::Source,
};

pub(super) const KSWAPD: &[Column] = &[
    Column::number("node", 4, "NUMA node whose kswapd it is: tracepoints vmscan:mm_vmscan_kswapd_{wake,sleep}"),
    Column::number("pid", 7, "process id of who asked: tracepoint vmscan:mm_vmscan_wakeup_kswapd"),
    Column::text("who", 15, "kswapd, or the process that asked for it: vmscan:mm_vmscan_wakeup_kswapd"),
    Column::number("per s", 7, "wakes, or requests, a second: vmscan:mm_vmscan_kswapd_wake, mm_vmscan_wakeup_kswapd"),
    Column::number(
        "took/s",
        9,
        "bytes a second that kswapd reclaimed: tracepoint vmscan:mm_vmscan_lru_shrink_inactive",
    ),
    Column::number("of seen", 7, "share that it reclaimed of what it looked at: vmscan:mm_vmscan_lru_shrink_inactive")
        .rank(1),
    Column::number("cycle", 8, "half of its cycles from wake to sleep took less: vmscan:mm_vmscan_kswapd_{wake,sleep}")
        .rank(2),
    Column::number("awake", 6, "share of the interval at work: vmscan:mm_vmscan_kswapd_{wake,sleep}"),
    Column::number("since", 8, "time that it has worked without a pause: vmscan:mm_vmscan_kswapd_{wake,sleep}").rank(2),
    Column::number("order", 5, "order of the last request: vmscan:mm_vmscan_wakeup_kswapd").rank(2),
    Column::number("gfp", 8, "gfp flags of the last request, the kernel's bits: vmscan:mm_vmscan_wakeup_kswapd")
        .rank(3),
    Column::text("cgroup", 14, "memory cgroup of who asked: task_struct cgroups").cut(Cut::Start).rank(1),
];

/// kswapd of every node, and then who asked for it.
pub(super) fn kswapd<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("kswapd and who wakes it", KSWAPD).from("kswapd", &[]);
    let Some(kswapd) = &ctx.model.kswapd else { return table.empty(Strip::reason(ctx.no_data("kswapd", &[]))) };
    let blank = || Cell::text("").tone(Tone::Dim);
    let nodes = kswapd.nodes.iter().map(|n| {
        vec![
            cells::id(n.node.into()),
            blank(),
            Cell::text(format!("kswapd{}", n.node)),
            cells::rate(n.wakes),
            cells::byte_rate(n.reclaimed),
            cells::ratio(n.efficiency),
            cells::bound(n.cycle_ns.quantile_bound(0.5).map(|ns| ns / 1e9)),
            cells::ratio(n.awake_ratio).warn_from(0.3, 0.8),
            n.awake_for_seconds.map_or_else(|| Cell::text("asleep").tone(Tone::Dim), |s| cells::seconds(Some(s))),
            blank(),
            blank(),
            blank(),
        ]
    });
    let requesters = kswapd.requesters.iter().map(|r| {
        vec![
            cells::id(r.who.node.into()),
            cells::id(r.who.pid.into()),
            Cell::text(r.who.comm.as_str()),
            cells::rate(r.per_second),
            blank(),
            blank(),
            blank(),
            blank(),
            blank(),
            cells::id(r.who.last_order.into()),
            Cell::text(format!("{:#x}", r.who.last_gfp)),
            cells::cgroup(r.cgroup_path.as_ref(), r.who.cgroup),
        ]
    });
    let note = match kswapd.other_requests {
        0 => Strip::default(),
        n => Strip::default().label("requests in no row: ").count(&OTHER_REQUESTS, Some(n)),
    };
    table.rows(nodes.chain(requesters)).note(note).empty("kswapd was not seen to work")
}

const OTHER_REQUESTS: About = About::new(
    "in no row",
    "requests in the interval of those who found no place in the kernel's map",
    "tracepoint vmscan:mm_vmscan_wakeup_kswapd",
    ("kswapd", &[]),
);

pub(super) const EVICTIONS: &[Column] = &[
    Column::word("side", 8, "lost: read its cache again soon after it was taken; pushed: allocated meanwhile"),
    Column::text("cgroup", 20, "memory cgroup: memory.stat, task_struct cgroups").cut(Cut::Start),
    Column::number(
        "bytes/s",
        9,
        "bytes a second read again, or allocated: memory.stat workingset_refault_file, kmem:mm_page_alloc",
    ),
    Column::number("share", 7, "its share of what all of its side did: computed"),
    Column::number("kswapd/s", 8, "times a second that it asked for kswapd: tracepoint vmscan:mm_vmscan_wakeup_kswapd")
        .rank(1),
    Column::number(
        "took/s",
        9,
        "bytes a second that its own tasks reclaimed: vmscan:mm_vmscan_{direct,memcg}_reclaim_end",
    )
    .rank(1),
    Column::text(
        "limit of",
        12,
        "cgroup whose limit was met, or the host: memory.failcnt (v1), memory.events.local (v2), reclaims",
    )
    .cut(Cut::Start)
    .rank(2),
];

pub(super) fn evictions<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Who pushed whose page cache out", EVICTIONS).from("page_alloc", &[Source::CGROUPS]);
    let Some(evictions) = &ctx.model.evictions else {
        return table.empty(Strip::reason(ctx.no_data("page_alloc", &[Source::CGROUPS])));
    };
    let blank = || Cell::text("").tone(Tone::Dim);
    let rows = evictions.iter().flat_map(|e| {
        let scope = || Cell::text(e.scope.as_ref().map_or("the host", |s| s.as_str()));
        let lost = e.victims.iter().map(move |v| {
            let share = cells::ratio(Some(v.share));
            let rate = cells::byte_rate(Some(v.refaults));
            vec![
                Cell::text("lost").tone(Tone::Warn),
                Cell::text(v.path.as_str()),
                rate,
                share,
                blank(),
                blank(),
                scope(),
            ]
        });
        let pushed = e.drivers.iter().map(move |d| {
            vec![
                Cell::text("pushed"),
                cells::cgroup(d.path.as_ref(), d.cgroup),
                cells::byte_rate(Some(d.allocated)),
                cells::ratio(Some(d.share)),
                cells::rate(d.kswapd_requests),
                cells::byte_rate(d.reclaimed),
                scope(),
            ]
        });
        lost.chain(pushed)
    });
    table.rows(rows).empty("no cgroup's page cache was pushed out by another")
}
