//! Processes: what they allocate, what they hold, and how long they stall.

use std::collections::HashMap;

use super::details;
use crate::{
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Table},
        text::Cut,
    },
    snapshot::{coverage::Source, process::Process},
    units,
};

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

const OTHER: About = About::new(
    "in no row",
    "pages handed out in the interval to processes that found no place in the kernel's map",
    "tracepoint kmem:mm_page_alloc",
    ("page_alloc", &[]),
);

fn listed_at<'a>(ctx: &Context<'a>, row: usize) -> Option<&'a Process> {
    ctx.model.processes.as_ref()?.list.get(row)
}

/// Processes by what they allocate; without the probe, by what they hold.
pub(super) fn processes<'a>(ctx: &Context<'a>) -> Table<'a> {
    let ctx = *ctx;
    let listed: HashMap<u32, &Process> = ctx.model.processes.iter().flat_map(|p| &p.list).map(|p| (p.pid, p)).collect();
    let mut stalled: HashMap<u32, f64> = HashMap::new();
    for p in ctx.model.reclaim.iter().flat_map(|r| &r.processes) {
        *stalled.entry(p.pid).or_default() += p.stalls.stalled_ratio.unwrap_or(0.0);
    }
    // A process that is in no row of the probe has not stalled; without an interval nobody knows for how long it has.
    let told = ctx.model.reclaim.as_ref().and(ctx.model.interval);
    let stalled_of = |pid: u32| told.map(|_| stalled.get(&pid).copied().unwrap_or(0.0));
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
            let note = Strip::default().label("by pages allocated");
            let note = match alloc.other.counts.pages() {
                0 => note,
                n => note.label("; ").count(&OTHER, Some(n)).label(" more pages in no row"),
            };
            Table::new("Processes", PROCESSES)
                .from("page_alloc", &[Source::PROCESSES])
                .rows(rows)
                .note(note)
                .empty("no process allocated a page")
                .details(move |i| alloc.processes.get(i).map(|p| details::process(&ctx, p.pid)).unwrap_or_default())
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
                .note(Strip::default().label("by rss; allocations ").missing(&OTHER, &ctx))
                .empty(Strip::reason(ctx.no_data("processes", &[Source::PROCESSES])))
                .details(move |i| listed_at(&ctx, i).map(|p| details::process(&ctx, p.pid)).unwrap_or_default())
        }
    }
}
