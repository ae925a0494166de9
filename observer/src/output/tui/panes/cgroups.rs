//! Who uses memory: cgroups against their limits, with their containers; beside them the processes.

use std::collections::HashMap;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, details, processes};
use crate::{
    model::{self, cgroup::AT_LIMIT},
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        strip::{About, Strip},
        table::{Cell, Column, Origin, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::{CgroupId, Log2Histogram, coverage::Source},
};

/// Where all about cgroups comes from.
const FROM: Origin = ("cgroups", &[Source::CGROUPS]);

pub(super) const PANE: Pane = Pane {
    name: "cgroups",
    title: "Cgroups",
    short: "Cgrp",
    lists_findings: false,
    first_table: 0,
    tables: &[("Cgroups", CGROUPS), ("Processes", processes::PROCESSES)],
    draw,
};

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    stack::draw(ctx, area, buf, &[], &[cgroups(ctx), processes::processes(ctx)])
}

pub(super) const CGROUPS: &[Column] = &[
    Column::text("cgroup", 16, "path of the memory cgroup, and its container: the folders of the hierarchy")
        .cut(Cut::Start),
    Column::number("usage", 8, "bytes charged to it and those below: memory.usage_in_bytes (v1), memory.current (v2)"),
    Column::number("limit", 8, "bytes, hard limit: memory.limit_in_bytes (v1), memory.max (v2)"),
    Column::number("near", 6, "share of the hard limit in use: usage / limit"),
    Column::number("growth/s", 9, "bytes a second, growth of the usage: two readings").rank(1),
    Column::number(
        "refault/s",
        9,
        "bytes a second that came back soon after they were taken: memory.stat workingset_refault_{anon,file}",
    )
    .rank(2),
    Column::number(
        "stalled",
        7,
        "seconds stalled in each second: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    )
    .from("reclaim", &[])
    .rank(1),
    Column::number(
        "p99",
        8,
        "99 % of its stalls took less: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    )
    .from("reclaim", &[])
    .rank(3),
    Column::number("majflt/s", 8, "faults a second that read from a device: memory.stat pgmajfault").rank(5),
    Column::number("hits/s", 6, "times a second that the limit was met: memory.failcnt (v1), memory.events max (v2)")
        .rank(6),
    Column::number("working", 8, "bytes, usage less inactive file pages, as cAdvisor: memory.stat inactive_file")
        .rank(7),
    Column::number("anon", 8, "bytes of anonymous memory: memory.stat anon (v2), total_rss (v1)").rank(8),
    Column::number("file", 8, "bytes of page cache with tmpfs: memory.stat file (v2), total_cache (v1)").rank(9),
    Column::number("swap", 8, "bytes in swap: memory.swap.current (v2), memory.stat total_swap (v1)").rank(4),
    Column::number("kills", 5, "OOM kills in the interval: memory.oom_control (v1), memory.events (v2)").rank(10),
];

pub(super) fn cgroups<'a>(ctx: &Context<'a>) -> Table<'a> {
    let ctx = *ctx;
    let known = ctx.model.cgroups.as_deref();
    let stalls = stalls_by_cgroup(&ctx);
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
            Cell::text(name(c)),
            cells::bytes(c.now.usage),
            limit,
            if c.now.unlimited {
                Cell::text("").tone(Tone::Dim)
            } else {
                cells::ratio(c.limit_ratio).warn_from(AT_LIMIT, 0.98)
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
            cells::trouble(c.oom_kills.map(|n| n as f64)),
        ]
    };
    Table::new("Cgroups", CGROUPS)
        .from("cgroups", &[Source::CGROUPS])
        .rows(list.iter().map(|c| row(c)))
        .note(known.map(|_| note(&ctx)).unwrap_or_default())
        .empty(match known {
            Some(_) => "no memory cgroup".into(),
            None => Strip::reason(ctx.no_data("cgroups", &[Source::CGROUPS])),
        })
        .details(move |i| list.get(i).map(|c| details::cgroup(&ctx, c)).unwrap_or_default())
}

/// The path, and the pod and container that it belongs to.
fn name(c: &model::cgroup::Cgroup) -> String {
    let container = c.now.container.iter().flat_map(|c| c.pod.iter().chain(&c.name));
    let words: Vec<_> = container.map(ToString::to_string).collect();
    if words.is_empty() { c.now.path.to_string() } else { format!("{} {}", words.join("/"), c.now.path) }
}

const DYING: About = About::new(
    "removed ones",
    "number of removed cgroups that still hold memory",
    "/proc/cgroups (v1), cgroup.stat nr_dying_descendants (v2)",
    FROM,
);

fn note(ctx: &Context<'_>) -> Strip {
    let order = Strip::default().label("those in trouble first");
    match ctx.model.cgroup_summary.as_ref().and_then(|s| s.dying).filter(|dying| *dying > 0) {
        Some(dying) => order.label("; ").count(&DYING, Some(dying)).label(" removed ones still hold memory"),
        None => order.label(", then by usage"),
    }
}

/// Near its limit, stalled, or hit by a kill in the interval.
fn is_in_trouble(c: &model::cgroup::Cgroup, stalls: Option<&CgroupStalls>) -> bool {
    c.limit_ratio.is_some_and(|r| r >= AT_LIMIT)
        || stalls.and_then(|s| s.ratio).is_some_and(|r| r >= 0.01)
        || c.oom_kills.is_some_and(|n| n > 0)
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
