//! Reclaim: who stalls, kswapd and who wakes it, who pushed whose page cache out, waits, shrinkers, retries.

use ratatui::{buffer::Buffer, layout::Rect};

use super::Pane;
use crate::{
    model::reclaim::Stalls,
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        strip::{About, Strip},
        table::{Cell, Column, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::{coverage::Source, retry::RetryKind},
    units,
};

pub(super) const PANE: Pane = Pane {
    name: "reclaim",
    title: "Reclaim",
    short: "Recl",
    lists_findings: false,
    first_table: 0,
    tables: &[
        ("Stalls in reclaim", STALLS),
        ("kswapd and who wakes it", KSWAPD),
        ("Who pushed whose page cache out", EVICTIONS),
        ("Waits inside of reclaim", THROTTLES),
        ("Shrinkers", SHRINKERS),
        ("Retries before an OOM kill", RETRIES),
    ],
    draw,
};

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    let tables = [stalls(ctx), kswapd(ctx), evictions(ctx), throttles(ctx), shrinkers(ctx), retries(ctx)];
    stack::draw(ctx, area, buf, &[], &tables)
}

const STALLS: &[Column] = &[
    Column::text("who", 20, "cgroup whose tasks stalled, or the task that stalls now: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}").cut(Cut::Start),
    Column::word("limit", 6, "whose limit the reclaim is for: direct is the host, memcg a cgroup"),
    Column::number("stalls/s", 8, "reclaims a second: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}"),
    Column::number("stalled", 7, "seconds stalled in each second: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}"),
    Column::number("mean", 8, "mean time of a stall: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}").rank(2),
    Column::number("p50", 8, "half of the stalls took less; of one that goes on, its age: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}"),
    Column::number("p99", 8, "99 % of the stalls took less: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}"),
    Column::number("took/s", 9, "bytes a second that the tasks reclaimed: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}").rank(1),
];

/// Reclaims that go on, and then those that have ended, by cgroup.
fn stalls<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Stalls in reclaim", STALLS).from("reclaim", &[]);
    let Some(reclaim) = &ctx.model.reclaim else { return table.empty(Strip::reason(ctx.no_data("reclaim", &[]))) };
    let unknown = || Cell::text("").tone(Tone::Dim);
    let ongoing = reclaim.in_flight.iter().map(|o| {
        vec![
            Cell::text(format!("{} ({}) stalls now", o.task.comm, o.task.pid)).tone(Tone::Warn),
            Cell::text(cells::kind(o.task.kind)),
            unknown(),
            unknown(),
            Cell::number(Some(o.age_seconds), |s| format!(">{}", units::seconds(s))).tone(Tone::Warn),
            unknown(),
            unknown(),
            unknown(),
        ]
    });
    let ended = reclaim.cgroups.iter().map(|c| {
        let bound = |q| c.latency_ns.quantile_bound(q).map(|ns| ns / 1e9);
        let taken = |s: &Stalls| ctx.model.interval.map(|i| i.per_second(s.totals.reclaimed_bytes));
        vec![
            cells::cgroup(c.path.as_ref(), c.cgroup),
            Cell::text(cells::kind(c.kind)),
            cells::rate(c.stalls.per_second),
            cells::ratio(c.stalls.stalled_ratio).warn_from(0.01, 0.2),
            cells::seconds(c.stalls.mean_seconds),
            cells::bound(bound(0.5)),
            cells::bound(bound(0.99)),
            cells::byte_rate(taken(&c.stalls)),
        ]
    });
    table.rows(ongoing.chain(ended)).empty("no task stalled in reclaim in this interval")
}

const KSWAPD: &[Column] = &[
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
fn kswapd<'a>(ctx: &Context<'a>) -> Table<'a> {
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

const EVICTIONS: &[Column] = &[
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
        "under the limit of",
        12,
        "cgroup whose limit was met, or the host: memory.failcnt (v1), memory.events.local (v2), reclaims",
    )
    .cut(Cut::Start)
    .rank(2),
];

fn evictions<'a>(ctx: &Context<'a>) -> Table<'a> {
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

const THROTTLES: &[Column] = &[
    Column::word(
        "waits for",
        11,
        "what a task inside of reclaim waited for, the kernel's word: vmscan:mm_vmscan_throttled",
    ),
    Column::number("waits/s", 8, "waits a second: tracepoint vmscan:mm_vmscan_throttled"),
    Column::number("waited", 7, "seconds waited in each second: tracepoint vmscan:mm_vmscan_throttled usec_delayed"),
    Column::text("cgroup", 20, "memory cgroup of the tasks that waited: task_struct cgroups").cut(Cut::Start),
];

fn throttles<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Waits inside of reclaim", THROTTLES).from("reclaim.throttles", &[]);
    let Some(throttles) = ctx.model.reclaim.as_ref().and_then(|r| r.throttles.as_ref()) else {
        return table.empty(Strip::reason(ctx.no_data("reclaim.throttles", &[])));
    };
    let rows = throttles.iter().map(|t| {
        vec![
            Cell::text(t.reason.as_str()),
            cells::rate(t.per_second),
            cells::ratio(t.waited_ratio).warn_from(0.01, 0.2),
            cells::cgroup(t.path.as_ref(), t.cgroup),
        ]
    });
    table.rows(rows).empty("no task waited inside of reclaim in this interval")
}

const SHRINKERS: &[Column] = &[
    Column::text("function", 24, "function of the shrinker: /proc/kallsyms"),
    Column::number("calls/s", 8, "calls a second: tracepoints vmscan:mm_shrink_slab_{start,end}"),
    Column::number("busy", 7, "seconds in it in each second: tracepoints vmscan:mm_shrink_slab_{start,end}"),
    Column::number("mean", 8, "mean time of a call: tracepoints vmscan:mm_shrink_slab_{start,end}"),
    Column::number(
        "longest",
        8,
        "time, longest call since the probes were attached: vmscan:mm_shrink_slab_{start,end}",
    )
    .rank(1),
    Column::number("freed", 8, "objects freed in the interval: tracepoint vmscan:mm_shrink_slab_end"),
];

fn shrinkers<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Shrinkers", SHRINKERS).from("shrinkers", &[]);
    let Some(shrinkers) = &ctx.model.shrinkers else {
        return table.empty(Strip::reason(ctx.no_data("shrinkers", &[])));
    };
    let rows = shrinkers.iter().map(|s| {
        vec![
            Cell::text(s.function.as_str()),
            cells::rate(s.per_second),
            cells::ratio(s.busy_ratio).warn_from(0.05, 0.5),
            cells::seconds(s.mean_seconds),
            cells::seconds(Some(s.max_seconds)),
            cells::count(Some(s.freed)),
        ]
    });
    table.rows(rows).empty("no shrinker was called in this interval")
}

const RETRIES: &[Column] = &[
    Column::number("pid", 7, "process id: tracepoints oom:reclaim_retry_zone, oom:compact_retry"),
    Column::text("process", 12, "name of the task: tracepoints oom:reclaim_retry_zone, oom:compact_retry"),
    Column::word("of", 10, "how it was to be tried again: oom:reclaim_retry_zone or oom:compact_retry"),
    Column::number("times", 6, "times in the interval that it was considered: the same"),
    Column::number("refused", 7, "times in the interval that the answer was no: the same, wmark_check or ret"),
    Column::number("order", 5, "order of the last request: the same").rank(1),
    Column::number("rounds", 6, "rounds without progress at the last one: the same").rank(1),
    Column::text("cgroup", 14, "memory cgroup of the task: task_struct cgroups").cut(Cut::Start).rank(2),
];

fn retries<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Retries before an OOM kill", RETRIES).from("retries", &[]);
    let Some(retries) = &ctx.model.retries else { return table.empty(Strip::reason(ctx.no_data("retries", &[]))) };
    let rows = retries.iter().map(|r| {
        let kind = match r.who.kind {
            RetryKind::Reclaim => "reclaim",
            RetryKind::Compact => "compaction",
        };
        vec![
            cells::id(r.who.pid.into()),
            Cell::text(r.who.comm.as_str()),
            Cell::text(kind),
            cells::count(Some(r.in_interval)),
            cells::trouble(Some(r.refused_in_interval as f64)),
            cells::id(r.who.last_order.into()),
            cells::id(r.who.last_loops.into()),
            cells::cgroup(r.cgroup_path.as_ref(), r.who.cgroup),
        ]
    });
    table.rows(rows).empty("the page allocator had no need to try again")
}
