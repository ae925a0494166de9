//! Memory: zones against their watermarks, cgroups against their limits, who allocates, who stalls, who wakes kswapd.

use std::collections::HashMap;

use ratatui::{buffer::Buffer, layout::Rect, text::Line};

use super::Pane;
use crate::{
    model::{self, reclaim::Stalls},
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        table::{Cell, Column, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::{CgroupId, Log2Histogram, coverage::Source, memory::Zone},
    units,
};

pub(super) const PANE: Pane = Pane { name: "memory", title: "Memory", first_table: 1, draw };

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    let tables = [zones(ctx), cgroups(ctx), processes(ctx), stalls(ctx), kswapd(ctx)];
    stack::draw(ctx, area, buf, &[] as &[Line<'_>], &tables)
}

const ZONES: &[Column] = &[
    Column::word("node", 4),
    Column::word("zone", 8),
    Column::number("free", 9),
    Column::number("min", 9),
    Column::number("low", 9),
    Column::number("high", 9),
    Column::number("managed", 9).rank(3),
    Column::number("boost", 9).rank(4),
    Column::number("free cma", 9).rank(5),
    Column::word("state", 18),
];

fn zones<'a>(ctx: &Context<'a>) -> Table<'a> {
    let zones = ctx.model.memory.zones.as_deref();
    Table::new("Zones", ZONES)
        .rows(zones.unwrap_or_default().iter().filter(|z| z.managed != Some(0)).map(|z| {
            let (words, tone) = zone_state(z);
            vec![
                cells::id(z.node.into()),
                Cell::text(z.zone.as_str()),
                cells::bytes(z.free).tone(tone),
                cells::bytes(z.min),
                cells::bytes(z.low),
                cells::bytes(z.high),
                cells::bytes(z.managed),
                cells::bytes(z.boost),
                cells::bytes(z.free_cma),
                Cell::text(words).tone(tone),
            ]
        }))
        .empty(match zones {
            Some(_) => "the kernel lists no zone".to_owned(),
            None => ctx.no_data("memory", &[Source::ZONEINFO]),
        })
}

/// Where the free memory of a zone stands among its watermarks.
fn zone_state(z: &Zone) -> (&'static str, Tone) {
    let below = |mark: Option<u64>| z.free.zip(mark).map(|(free, mark)| free < mark);
    match (below(z.min), below(z.low), below(z.high)) {
        (Some(true), ..) => ("below min", Tone::Bad),
        (_, Some(true), _) => ("below low: kswapd", Tone::Warn),
        (_, _, Some(true)) => ("below high", Tone::Plain),
        (_, _, Some(false)) => ("above high", Tone::Good),
        _ => (units::UNKNOWN, Tone::Dim),
    }
}

const CGROUPS: &[Column] = &[
    Column::text("cgroup", 16).cut(Cut::Start),
    Column::number("usage", 8),
    Column::number("limit", 8),
    Column::number("near", 6),
    Column::number("growth/s", 9).rank(1),
    Column::number("refault/s", 9).rank(2),
    Column::number("stalled", 7).rank(1),
    Column::number("p99", 8).rank(3),
    Column::number("majflt/s", 8).rank(5),
    Column::number("hits/s", 6).rank(6),
    Column::number("working", 8).rank(7),
    Column::number("anon", 8).rank(8),
    Column::number("file", 8).rank(9),
    Column::number("swap", 8).rank(4),
    Column::number("kills", 5).rank(10),
];

pub(super) fn cgroups<'a>(ctx: &Context<'a>) -> Table<'a> {
    let known = ctx.model.cgroups.as_deref();
    let stalls = stalls_by_cgroup(ctx);
    let mut list: Vec<&model::cgroup::Cgroup> = known.unwrap_or_default().iter().collect();
    // A small cgroup at its limit must not hide behind large ones that are well.
    list.sort_by_key(|c| !is_in_trouble(c, stalls.get(&Some(c.now.id))));
    let none = || CgroupStalls { ratio: ctx.model.interval.map(|_| 0.0), ..CgroupStalls::default() };
    let row = |c: &model::cgroup::Cgroup| {
        let stat = c.now.stat.as_ref();
        // Without the probes nothing is known; with them a cgroup that is not listed has not stalled.
        let stalled = ctx.model.reclaim.as_ref().map(|_| stalls.get(&Some(c.now.id)).cloned().unwrap_or_else(none));
        let limit = if c.now.unlimited { Cell::text("none").tone(Tone::Dim) } else { cells::bytes(c.now.limit) };
        vec![
            Cell::text(c.now.path.as_str()),
            cells::bytes(c.now.usage),
            limit,
            if c.now.unlimited {
                Cell::text("").tone(Tone::Dim)
            } else {
                cells::ratio(c.limit_ratio).warn_from(0.9, 0.98)
            },
            cells::byte_rate(c.growth),
            cells::byte_rate(c.refaults),
            cells::ratio(stalled.as_ref().and_then(|s| s.ratio)).warn_from(0.01, 0.2),
            match &stalled {
                Some(s) if s.latency_ns.count() == 0 => Cell::text("").tone(Tone::Dim),
                s => cells::bound(s.as_ref().and_then(|s| s.latency_ns.quantile_bound(0.99)).map(|ns| ns / 1e9)),
            },
            cells::rate(c.major_faults),
            cells::rate(c.limit_hits),
            cells::bytes(c.working_set),
            cells::bytes(stat.and_then(|s| s.anon)),
            cells::bytes(stat.and_then(|s| s.file)),
            cells::bytes(c.now.swap),
            cells::trouble(c.now.oom_kills.map(|n| n as f64)),
        ]
    };
    Table::new("Cgroups", CGROUPS)
        .rows(list.iter().map(|c| row(c)))
        .note(known.map(|_| "those in trouble first, then by usage".to_owned()))
        .empty(match known {
            Some(_) => "no memory cgroup".to_owned(),
            None => ctx.no_data("cgroups", &[Source::CGROUPS]),
        })
        .details(move |i| list.get(i).map(|c| cgroup_details(c)).unwrap_or_default())
}

/// Near its limit, stalled, or hit by a kill in the interval.
fn is_in_trouble(c: &model::cgroup::Cgroup, stalls: Option<&CgroupStalls>) -> bool {
    c.limit_ratio.is_some_and(|r| r >= 0.9)
        || stalls.and_then(|s| s.ratio).is_some_and(|r| r >= 0.01)
        || c.oom_kills.is_some_and(|n| n > 0)
}

fn cgroup_details(c: &model::cgroup::Cgroup) -> Vec<String> {
    let bytes = |v: Option<u64>| units::or_unknown(v.map(|v| v as f64), units::bytes);
    let mut lines = vec![format!("{}  id {}", c.now.path, c.now.id.0)];
    if let Some(stat) = &c.now.stat {
        let known = stat.iter().filter_map(|(name, value)| Some((name, value?)));
        let facts: Vec<String> = known
            .map(|(name, v)| match name {
                "pgfault" | "pgmajfault" => format!("{name} {}", units::count(v as f64)),
                _ => format!("{name} {}", units::bytes(v as f64)),
            })
            .collect();
        lines.push(facts.join(", "));
    }
    lines.push(format!(
        "high {}, swap {}, limit hits {}, high hits {}",
        bytes(c.now.high),
        bytes(c.now.swap),
        units::or_unknown(c.now.limit_hits.map(|n| n as f64), units::count),
        units::or_unknown(c.now.high_hits.map(|n| n as f64), units::count)
    ));
    lines
}

/// Stalls of both kinds of one cgroup.
#[derive(Clone, Default)]
struct CgroupStalls {
    ratio: Option<f64>,
    latency_ns: Log2Histogram,
}

fn stalls_by_cgroup(ctx: &Context<'_>) -> HashMap<Option<CgroupId>, CgroupStalls> {
    let mut sums: HashMap<Option<CgroupId>, CgroupStalls> = HashMap::new();
    for c in ctx.model.reclaim.iter().flat_map(|r| &r.cgroups) {
        let sum = sums.entry(c.cgroup).or_default();
        sum.ratio = c.stalls.stalled_ratio.map(|r| r + sum.ratio.unwrap_or(0.0)).or(sum.ratio);
        sum.latency_ns.add(&c.latency_ns);
    }
    sums
}

const PROCESSES: &[Column] = &[
    Column::number("pid", 7),
    Column::text("process", 12),
    Column::number("alloc/s", 9),
    Column::number("pages/s", 8).rank(2),
    Column::number("requests", 8).rank(3),
    Column::number("failed/s", 8).rank(1),
    Column::number("rss", 8),
    Column::number("stalled", 7).rank(1),
    Column::number("majflt", 7).rank(5),
    Column::number("oom adj", 7).rank(6),
    Column::text("cgroup", 14).cut(Cut::Start).rank(4),
];

/// Processes by what they allocate; without the probe, by what they hold.
pub(super) fn processes<'a>(ctx: &Context<'a>) -> Table<'a> {
    let listed: HashMap<u32, &crate::snapshot::process::Process> =
        ctx.model.processes.iter().flat_map(|p| &p.list).map(|p| (p.pid, p)).collect();
    let mut stalled: HashMap<u32, f64> = HashMap::new();
    for p in ctx.model.reclaim.iter().flat_map(|r| &r.processes) {
        *stalled.entry(p.pid).or_default() += p.stalls.stalled_ratio.unwrap_or(0.0);
    }
    let stalled_of = |pid: u32| ctx.model.reclaim.as_ref().map(|_| stalled.get(&pid).copied().unwrap_or(0.0));
    let known = |pid: u32| {
        let p = listed.get(&pid);
        let adjust = p.and_then(|p| p.oom_score_adj).map(f64::from);
        (
            cells::bytes(p.map(|p| p.rss)),
            cells::ratio(stalled_of(pid)).warn_from(0.01, 0.2),
            cells::count(p.map(|p| p.major_faults)),
            Cell::number(adjust, |n| format!("{n:.0}")),
        )
    };
    let page_size = ctx.model.host.page_size;
    match ctx.model.page_alloc.as_ref() {
        Some(alloc) => {
            let rows = alloc.processes.iter().map(|p| {
                let (rss, stalled, major, adjust) = known(p.pid);
                let name = if p.pid == 0 { Cell::text("(idle: interrupts)") } else { Cell::text(p.comm.as_str()) };
                vec![
                    cells::id(p.pid.into()),
                    name,
                    cells::byte_rate(p.allocs.pages.zip(page_size).map(|(pages, size)| pages * size as f64)),
                    cells::rate(p.allocs.pages),
                    cells::rate(p.allocs.allocations),
                    cells::trouble(p.allocs.failures),
                    rss,
                    stalled,
                    major,
                    adjust,
                    cells::cgroup(p.cgroup_path.as_ref(), p.cgroup),
                ]
            });
            let other = alloc.other.counts.pages();
            Table::new("Processes", PROCESSES)
                .rows(rows)
                .note(Some(match other {
                    0 => "by pages allocated".to_owned(),
                    n => format!("by pages allocated; {} more pages in no row", units::count(n as f64)),
                }))
                .empty("no process allocated a page")
                .details(move |i| alloc.processes.get(i).map(process_details).unwrap_or_default())
        }
        None => {
            let rows = ctx.model.processes.iter().flat_map(|p| &p.list).map(|p| {
                let (rss, stalled, major, adjust) = known(p.pid);
                let unknown = || Cell::number(None, units::count);
                vec![
                    cells::id(p.pid.into()),
                    Cell::text(p.comm.as_str()),
                    unknown(),
                    unknown(),
                    unknown(),
                    unknown(),
                    rss,
                    stalled,
                    major,
                    adjust,
                    Cell::text_or_unknown(None::<&str>),
                ]
            });
            Table::new("Processes", PROCESSES)
                .rows(rows)
                .note(Some(format!("by rss; allocations {}", ctx.no_data("page_alloc", &[]))))
                .empty(ctx.no_data("processes", &[Source::PROCESSES]))
        }
    }
}

fn process_details(p: &model::page_alloc::Process) -> Vec<String> {
    let path = p.cgroup_path.as_ref().map_or(units::UNKNOWN, |n| n.as_str());
    let counts = &p.allocs.counts;
    let orders = counts.allocated.iter().zip(&counts.failed).enumerate().filter(|(_, (a, f))| **a + **f > 0);
    let orders: Vec<String> = orders
        .map(|(order, (met, failed))| match failed {
            0 => format!("order {order}: {}", units::count(*met as f64)),
            n => format!("order {order}: {} and {} failed", units::count(*met as f64), units::count(*n as f64)),
        })
        .collect();
    vec![
        format!("{} ({})  cgroup {path}", p.comm, p.pid),
        format!("requests in the interval by order: {}", orders.join(", ")),
    ]
}

const STALLS: &[Column] = &[
    Column::text("who", 20).cut(Cut::Start),
    Column::word("limit", 6),
    Column::number("stalls/s", 8),
    Column::number("stalled", 7),
    Column::number("mean", 8).rank(2),
    Column::number("p50", 8),
    Column::number("p99", 8),
    Column::number("took/s", 9).rank(1),
];

/// Reclaims that go on, and then those that have ended, by cgroup.
fn stalls<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Stalls in reclaim", STALLS);
    let Some(reclaim) = &ctx.model.reclaim else { return table.empty(ctx.no_data("reclaim", &[])) };
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
    Column::word("node", 6),
    Column::number("pid", 7),
    Column::text("who", 12),
    Column::number("per s", 7),
    Column::number("awake", 7),
    Column::number("order", 5).rank(2),
    Column::number("gfp", 8).rank(3),
    Column::text("cgroup", 14).cut(Cut::Start).rank(1),
];

/// kswapd of every node, and then who asked for it.
fn kswapd<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("kswapd and who wakes it", KSWAPD);
    let Some(kswapd) = &ctx.model.kswapd else { return table.empty(ctx.no_data("kswapd", &[])) };
    let blank = || Cell::text("").tone(Tone::Dim);
    let nodes = kswapd.nodes.iter().map(|n| {
        let since = n.awake_for_seconds.map_or("asleep".to_owned(), |s| format!("awake for {}", units::seconds(s)));
        vec![
            Cell::text(format!("node {}", n.node)),
            blank(),
            Cell::text(format!("kswapd{}: {since}", n.node)),
            cells::rate(n.wakes),
            cells::ratio(n.awake_ratio).warn_from(0.3, 0.8),
            blank(),
            blank(),
            blank(),
        ]
    });
    let requesters = kswapd.requesters.iter().map(|r| {
        vec![
            Cell::text(format!("node {}", r.who.node)),
            cells::id(r.who.pid.into()),
            Cell::text(r.who.comm.as_str()),
            cells::rate(r.per_second),
            blank(),
            cells::id(r.who.last_order.into()),
            Cell::text(format!("{:#x}", r.who.last_gfp)),
            cells::cgroup(r.cgroup_path.as_ref(), r.who.cgroup),
        ]
    });
    let note = (kswapd.other_requests > 0)
        .then(|| format!("{} requests in no row", units::count(kswapd.other_requests as f64)));
    table.rows(nodes.chain(requesters)).note(note).empty("kswapd was not seen to work")
}
