//! Who uses memory: cgroups against their limits, with their containers; processes by what they allocate.

use std::collections::HashMap;

use ratatui::{buffer::Buffer, layout::Rect, text::Line};

use super::Pane;
use crate::{
    model,
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        table::{Cell, Column, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::{CgroupId, Log2Histogram, coverage::Source},
    units,
};

pub(super) const PANE: Pane = Pane {
    name: "cgroups",
    title: "Cgroups",
    first_table: 0,
    tables: &[("Cgroups", CGROUPS), ("Processes", PROCESSES)],
    draw,
};

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    stack::draw(ctx, area, buf, &[] as &[Line<'_>], &[cgroups(ctx), processes(ctx)])
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
            Cell::text(name(c)),
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
            cells::trouble(c.oom_kills.map(|n| n as f64)),
        ]
    };
    Table::new("Cgroups", CGROUPS)
        .from("cgroups", &[Source::CGROUPS])
        .rows(list.iter().map(|c| row(c)))
        .note(known.map(|_| note(ctx)))
        .empty(match known {
            Some(_) => "no memory cgroup".to_owned(),
            None => ctx.no_data("cgroups", &[Source::CGROUPS]),
        })
        .details(move |i| list.get(i).map(|c| cgroup_details(c)).unwrap_or_default())
}

/// The path, and the pod and container that it belongs to.
fn name(c: &model::cgroup::Cgroup) -> String {
    let container = c.now.container.iter().flat_map(|c| c.pod.iter().chain(&c.name));
    let words: Vec<_> = container.map(ToString::to_string).collect();
    if words.is_empty() { c.now.path.to_string() } else { format!("{} {}", words.join("/"), c.now.path) }
}

fn note(ctx: &Context<'_>) -> String {
    let order = "those in trouble first, then by usage".to_owned();
    match ctx.model.cgroup_summary.as_ref().and_then(|s| s.dying).filter(|dying| *dying > 0) {
        Some(dying) => format!("{order}; {} removed ones still hold memory", units::count(dying as f64)),
        None => order,
    }
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

pub(super) const PROCESSES: &[Column] = &[
    Column::number("pid", 7, "process id: tracepoint kmem:mm_page_alloc, /proc/PID"),
    Column::text("process", 12, "name of the task that last allocated: tracepoint kmem:mm_page_alloc"),
    Column::number("alloc/s", 9, "bytes a second handed out: tracepoint kmem:mm_page_alloc"),
    Column::number("pages/s", 8, "pages a second handed out: tracepoint kmem:mm_page_alloc").rank(2),
    Column::number("requests", 8, "requests a second that were met: tracepoint kmem:mm_page_alloc").rank(3),
    Column::number("failed/s", 8, "requests a second that got no page: tracepoint kmem:mm_page_alloc with a null page")
        .rank(1),
    Column::number("rss", 8, "bytes, resident set: /proc/PID/stat").from("processes", &[Source::PROCESSES]),
    Column::number("swap", 8, "bytes in swap: /proc/PID/status VmSwap").from("processes", &[Source::PROCESSES]).rank(2),
    Column::number("tables", 8, "bytes of page tables: /proc/PID/status VmPTE")
        .from("processes", &[Source::PROCESSES])
        .rank(7),
    Column::number(
        "stalled",
        7,
        "seconds stalled in each second: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    )
    .from("reclaim", &[])
    .rank(1),
    Column::number("majflt", 7, "faults that read from a device since the process began: /proc/PID/stat majflt")
        .from("processes", &[Source::PROCESSES])
        .rank(5),
    Column::number("oom adj", 7, "adjustment of the OOM score, -1000 to 1000: /proc/PID/oom_score_adj")
        .from("processes", &[Source::PROCESSES])
        .rank(6),
    Column::text("cgroup", 14, "memory cgroup of the process: task_struct cgroups").cut(Cut::Start).rank(4),
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
            [
                cells::bytes(p.map(|p| p.rss)),
                cells::bytes(p.and_then(|p| p.swap)),
                cells::bytes(p.and_then(|p| p.page_tables)),
            ],
            cells::ratio(stalled_of(pid)).warn_from(0.01, 0.2),
            cells::count(p.map(|p| p.major_faults)),
            Cell::number(adjust, |n| format!("{n:.0}")),
        )
    };
    let page_size = ctx.model.host.page_size;
    match ctx.model.page_alloc.as_ref() {
        Some(alloc) => {
            let rows = alloc.processes.iter().map(|p| {
                let ([rss, swap, tables], stalled, major, adjust) = known(p.pid);
                let name = if p.pid == 0 { Cell::text("(idle: interrupts)") } else { Cell::text(p.comm.as_str()) };
                vec![
                    cells::id(p.pid.into()),
                    name,
                    cells::byte_rate(p.allocs.pages.zip(page_size).map(|(pages, size)| pages * size as f64)),
                    cells::rate(p.allocs.pages),
                    cells::rate(p.allocs.allocations),
                    cells::trouble(p.allocs.failures),
                    rss,
                    swap,
                    tables,
                    stalled,
                    major,
                    adjust,
                    cells::cgroup(p.cgroup_path.as_ref(), p.cgroup),
                ]
            });
            let other = alloc.other.counts.pages();
            Table::new("Processes", PROCESSES)
                .from("page_alloc", &[Source::PROCESSES])
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
                let ([rss, swap, tables], stalled, major, adjust) = known(p.pid);
                let unknown = || Cell::number(None, units::count);
                vec![
                    cells::id(p.pid.into()),
                    Cell::text(p.comm.as_str()),
                    unknown(),
                    unknown(),
                    unknown(),
                    unknown(),
                    rss,
                    swap,
                    tables,
                    stalled,
                    major,
                    adjust,
                    Cell::text_or_unknown(None::<&str>),
                ]
            });
            Table::new("Processes", PROCESSES)
                .from("page_alloc", &[Source::PROCESSES])
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
