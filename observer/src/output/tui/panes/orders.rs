//! Requests for pages by order, and who asks most for each: high orders are what fragmented memory cannot serve.

use crate::{
    model::page_alloc::{Allocs, PageAlloc},
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::page_alloc,
    units,
};

pub(super) const ORDERS: &[Column] = &[
    Column::number(
        "order",
        5,
        "order, blocks of 2^order pages; the last stands for larger ones too: kmem:mm_page_alloc",
    ),
    Column::number("block", 8, "bytes of a block of that order: page size x 2^order"),
    Column::number("met/s", 8, "requests a second that were met: tracepoint kmem:mm_page_alloc"),
    Column::number("failed/s", 8, "requests a second that got no page: tracepoint kmem:mm_page_alloc with a null page"),
    Column::number("bytes/s", 9, "bytes a second handed out: tracepoint kmem:mm_page_alloc").rank(2),
    Column::text("asks most", 20, "process with most requests of that order, and its pid: kmem:mm_page_alloc"),
    Column::number("its share", 9, "share of the requests of that order that are its: kmem:mm_page_alloc").rank(1),
    Column::text("cgroup", 14, "memory cgroup of that process: task_struct cgroups").cut(Cut::Start).rank(3),
];

/// Requests of one order, met and failed.
fn at(allocs: &Allocs, order: usize) -> (u64, u64) {
    let of = |counts: &[u64; page_alloc::ORDERS]| counts.get(order).copied().unwrap_or(0);
    (of(&allocs.counts.allocated), of(&allocs.counts.failed))
}

/// One row an order that was asked for, the highest first.
pub(super) fn orders<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Requests by order", ORDERS).from("page_alloc", &[]);
    let Some(alloc) = ctx.model.page_alloc.as_ref() else {
        return table.empty(Strip::reason(ctx.no_data("page_alloc", &[])));
    };
    let asked: Vec<usize> = (0..page_alloc::ORDERS).rev().filter(|o| at(&alloc.total, *o) != (0, 0)).collect();
    let rows = asked.iter().map(|order| row(ctx, alloc, *order)).collect::<Vec<_>>();
    table
        .rows(rows)
        .empty("no page was asked for")
        .details(move |i| asked.get(i).map(|order| vec![askers(alloc, *order)]).unwrap_or_default())
}

fn row(ctx: &Context<'_>, alloc: &PageAlloc, order: usize) -> Vec<Cell> {
    let per_second = |count: u64| ctx.model.interval.map(|i| i.per_second(count));
    let (met, failed) = at(&alloc.total, order);
    let requests = |allocs: &Allocs| {
        let (met, failed) = at(allocs, order);
        met + failed
    };
    let most = alloc.processes.iter().max_by_key(|p| requests(&p.allocs)).filter(|p| requests(&p.allocs) > 0);
    let share = most.map(|p| requests(&p.allocs) as f64 / (met + failed) as f64);
    let block = ctx.model.host.page_size.map(|size| size << order);
    let blank = || Cell::text("").tone(Tone::Dim);
    vec![
        cells::id(order as u64),
        cells::bytes(block),
        cells::rate(per_second(met)),
        cells::trouble(per_second(failed)),
        cells::byte_rate(per_second(met).zip(block).map(|(rate, bytes)| rate * bytes as f64)),
        // Processes that have ended are summed by cgroup: then nobody may be left to be named.
        most.map_or_else(blank, |p| Cell::text(format!("{} ({})", p.comm, p.pid))),
        share.map_or_else(blank, |share| cells::ratio(Some(share))),
        most.map_or_else(blank, |p| cells::cgroup(p.cgroup_path.as_ref(), p.cgroup)),
    ]
}

const NOBODY: About = About::new(
    "asked",
    "requests of that order of processes that live",
    "tracepoint kmem:mm_page_alloc",
    ("page_alloc", &[]),
);

/// The processes with most requests of an order.
fn askers(alloc: &PageAlloc, order: usize) -> Strip {
    const SHOWN: usize = 8;
    let requests = |allocs: &Allocs| {
        let (met, failed) = at(allocs, order);
        met + failed
    };
    let mut askers: Vec<_> = alloc.processes.iter().filter(|p| requests(&p.allocs) > 0).collect();
    askers.sort_by_key(|p| std::cmp::Reverse(requests(&p.allocs)));
    let strip = Strip::sentence().label("asked for it in the interval: ");
    if askers.is_empty() {
        return strip.words(&NOBODY, "only processes that have ended", Tone::Plain);
    }
    askers.iter().take(SHOWN).enumerate().fold(strip, |strip, (i, p)| {
        let words = format!("{} ({}) {}", p.comm, p.pid, units::count(requests(&p.allocs) as f64));
        let what = format!("process, its pid, and its number of requests of order {order}, met and failed");
        strip.label(if i == 0 { "" } else { ", " }).told("asked", what, "tracepoint kmem:mm_page_alloc", words)
    })
}
