//! Reclaim: which cgroups and processes stall, and what reclaim looked at; beside it kswapd, evictions and waits.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, kswapd, waits};
use crate::{
    model::reclaim::Stalls,
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        strip::Strip,
        table::{Cell, Column, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::reclaim::Scanner,
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
        ("kswapd and who wakes it", kswapd::KSWAPD),
        ("Who pushed whose page cache out", kswapd::EVICTIONS),
        ("Stalls by process", PROCESSES),
        ("What reclaim looked at", SCANS),
        ("Waits inside of reclaim", waits::THROTTLES),
        ("Shrinkers", waits::SHRINKERS),
        ("Retries before an OOM kill", waits::RETRIES),
    ],
    draw,
};

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    let tables = [
        stalls(ctx),
        kswapd::kswapd(ctx),
        kswapd::evictions(ctx),
        processes(ctx),
        scans(ctx),
        waits::throttles(ctx),
        waits::shrinkers(ctx),
        waits::retries(ctx),
    ];
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

const PROCESSES: &[Column] = &[
    Column::number("pid", 7, "process id: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}"),
    Column::text("process", 15, "name of the task: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}"),
    Column::word("limit", 6, "whose limit the reclaim is for, direct is the host, memcg a cgroup: which tracepoint"),
    Column::number("stalls/s", 8, "reclaims a second: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}"),
    Column::number(
        "stalled",
        7,
        "seconds stalled in each second: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    ),
    Column::number(
        "p50",
        8,
        "time, half of its stalls took less: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    )
    .rank(2),
    Column::number(
        "p99",
        8,
        "time, 99 % of its stalls took less: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    ),
    Column::number(
        "took/s",
        9,
        "bytes a second that it reclaimed: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    )
    .rank(3),
    Column::text("cgroup", 14, "memory cgroup of the process: task_struct cgroups").cut(Cut::Start).rank(1),
];

/// Processes whose tasks had to reclaim, longest first.
fn processes<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Stalls by process", PROCESSES).from("reclaim", &[]);
    let Some(reclaim) = &ctx.model.reclaim else { return table.empty(Strip::reason(ctx.no_data("reclaim", &[]))) };
    let rows = reclaim.processes.iter().map(|p| {
        let bound = |q| p.latency_ns.quantile_bound(q).map(|ns| ns / 1e9);
        let took = ctx.model.interval.map(|i| i.per_second(p.stalls.totals.reclaimed_bytes));
        vec![
            cells::id(p.pid.into()),
            Cell::text(p.comm.as_str()),
            Cell::text(cells::kind(p.kind)),
            cells::rate(p.stalls.per_second),
            cells::ratio(p.stalls.stalled_ratio).warn_from(0.01, 0.2),
            cells::bound(bound(0.5)),
            cells::bound(bound(0.99)),
            cells::byte_rate(took),
            cells::cgroup(p.cgroup_path.as_ref(), p.cgroup),
        ]
    });
    table.rows(rows).empty("no process stalled in reclaim in this interval")
}

const SCANS: &[Column] = &[
    Column::word("by", 9, "who looked, kswapd or a task that had to reclaim: vmscan:mm_vmscan_lru_shrink_inactive"),
    Column::number("node", 4, "NUMA node of the pages: vmscan:mm_vmscan_lru_shrink_inactive nid"),
    Column::word("pages", 5, "kind of the pages, anon with tmpfs or file: vmscan:mm_vmscan_lru_shrink_inactive flags"),
    Column::number("seen/s", 9, "bytes a second looked at: vmscan:mm_vmscan_lru_shrink_inactive nr_scanned"),
    Column::number("took/s", 9, "bytes a second reclaimed of them: vmscan:mm_vmscan_lru_shrink_inactive nr_reclaimed"),
    Column::number("of seen", 7, "share reclaimed of what was looked at: vmscan:mm_vmscan_lru_shrink_inactive"),
    Column::text("cgroup", 14, "memory cgroup of who looked, which need not be that of the pages: task_struct cgroups")
        .cut(Cut::Start),
];

/// What reclaim looked at on the inactive lists, and what it got of it.
fn scans<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("What reclaim looked at", SCANS).from("reclaim.scans", &[]);
    let Some(scans) = ctx.model.reclaim.as_ref().and_then(|r| r.scans.as_ref()) else {
        return table.empty(Strip::reason(ctx.no_data("reclaim.scans", &[])));
    };
    let rows = scans.iter().map(|s| {
        vec![
            Cell::text(match s.by {
                Scanner::Kswapd => "kswapd",
                Scanner::Task => "a task",
            }),
            cells::id(s.node.into()),
            Cell::text(if s.file { "file" } else { "anon" }),
            cells::byte_rate(s.scanned),
            cells::byte_rate(s.reclaimed),
            cells::ratio(s.efficiency),
            cells::cgroup(s.path.as_ref(), s.cgroup),
        ]
    });
    table.rows(rows).empty("no page was looked at in this interval")
}
