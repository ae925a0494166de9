//! Who allocates, and who asks for blocks of several pages.

use std::ops::RangeInclusive;

use super::{Page, events, events_or_count, list, name, pages_as_bytes};
use crate::{
    model::{
        alloc_failure::{AllocFailure, Manner},
        page_alloc::{Allocs, Cgroup, PageAlloc, Process},
    },
    output::text::{Column, Cut},
    snapshot::{Name, coverage::Source, page_alloc::ORDERS},
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Who allocates");
    let Some(alloc) = &page.model.page_alloc else {
        return page.not_seen(out, "page allocations", "page_alloc");
    };
    total(out, page, alloc);
    if page.detailed && !alloc.cgroups.is_empty() {
        cgroups(out, page, &alloc.cgroups);
        out.push('\n');
    }
    if !alloc.processes.is_empty() {
        processes(out, page, &alloc.processes);
    }
    if page.detailed {
        cgroups_by_order(out, page, &alloc.cgroups);
        processes_by_order(out, page, &alloc.processes);
        failed(out, page, alloc);
    }
}

fn total(out: &mut String, page: &Page<'_>, alloc: &PageAlloc) {
    let all = &alloc.total;
    let mut text = format!("{} in {} requests", pages_as_bytes(page, all.pages), events(all.allocations));
    text.push_str(&format!(", {} failed", units::count(all.counts.failures() as f64)));
    if alloc.other.counts.allocations() > 0 {
        let other = pages_as_bytes(page, alloc.other.pages);
        text.push_str(&format!("; {other} of it by processes that found no place in the map"));
    }
    page.fact(out, "all", &text);
}

const CGROUPS: &[Column] = &[
    Column::right("memory"),
    Column::right("requests"),
    Column::right("failed"),
    Column::cut("cgroup, ended processes included", Cut::Start),
];

fn cgroups(out: &mut String, page: &Page<'_>, rows: &[Cgroup]) {
    list(out, page, CGROUPS, rows, |c| {
        [
            pages_as_bytes(page, c.allocs.pages),
            events(c.allocs.allocations),
            units::count(c.allocs.counts.failures() as f64),
            name(c.path.as_ref()),
        ]
    });
}

const PROCESSES: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("memory"),
    Column::right("requests"),
    Column::right("failed"),
    Column::cut("cgroup", Cut::Start),
];

fn processes(out: &mut String, page: &Page<'_>, rows: &[Process]) {
    list(out, page, PROCESSES, rows, |p| {
        [
            p.pid.to_string(),
            p.comm.to_string(),
            pages_as_bytes(page, p.allocs.pages),
            events(p.allocs.allocations),
            units::count(p.allocs.counts.failures() as f64),
            name(p.cgroup_path.as_ref()),
        ]
    });
}

/// Orders that share a column. Above order 3 the kernel holds a request to be costly (`PAGE_ALLOC_COSTLY_ORDER`); from
/// order 9 on a block is a huge page.
const COLUMNS: [RangeInclusive<usize>; 6] = [0..=0, 1..=1, 2..=2, 3..=3, 4..=8, 9..=ORDERS - 1];

const CGROUPS_BY_ORDER: &[Column] = &[
    Column::right("0"),
    Column::right("1"),
    Column::right("2"),
    Column::right("3"),
    Column::right("4-8"),
    Column::right("9+"),
    Column::right("failed"),
    Column::cut("of order", Cut::End),
    Column::cut("cgroup", Cut::Start),
];

/// Requests that were met, by the columns above: a second, or how many where there is no interval.
fn by_order(page: &Page<'_>, allocs: &Allocs) -> [String; 6] {
    COLUMNS.map(|orders| {
        let met: u64 = allocs.counts.allocated.get(orders).unwrap_or_default().iter().sum();
        let met = page.model.interval.map_or(met as f64, |i| i.per_second(met));
        units::count(met)
    })
}

/// What its numbers are.
fn unit(page: &Page<'_>) -> &'static str {
    if page.model.interval.is_some() { "a second" } else { "since the probes were attached" }
}

fn failures(allocs: &Allocs) -> String {
    events_or_count(allocs.failures, allocs.counts.failures())
}

/// Orders of which requests failed: `0, 9`.
fn failed_orders(allocs: &Allocs) -> String {
    let failed = allocs.counts.failed.iter().enumerate().filter(|(_, n)| **n > 0);
    failed.map(|(order, _)| order.to_string()).collect::<Vec<_>>().join(", ")
}

fn cgroups_by_order(out: &mut String, page: &Page<'_>, all: &[Cgroup]) {
    page.subject(out, &format!("Requests of cgroups {} by order (2^order pages each)", unit(page)));
    if all.is_empty() {
        out.push_str("  none\n");
        return;
    }
    list(out, page, CGROUPS_BY_ORDER, all, |c| {
        let [one, two, three, four, five, six] = by_order(page, &c.allocs);
        let failed = failures(&c.allocs);
        [one, two, three, four, five, six, failed, failed_orders(&c.allocs), name(c.path.as_ref())]
    });
}

const PROCESSES_BY_ORDER: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("1"),
    Column::right("2"),
    Column::right("3"),
    Column::right("4-8"),
    Column::right("9+"),
    Column::right("failed"),
    Column::cut("of order", Cut::End),
];

/// Pages asked for in blocks of several, met or not.
fn in_blocks(allocs: &Allocs) -> u64 {
    let met = allocs.counts.allocated.iter().enumerate();
    let failed = allocs.counts.failed.iter().enumerate();
    met.chain(failed).filter(|(order, _)| *order > 0).map(|(order, n)| n << order).sum()
}

/// Who asks for blocks of several pages, most pages in such blocks first.
fn processes_by_order(out: &mut String, page: &Page<'_>, all: &[Process]) {
    page.subject(out, &format!("Who asks for blocks of several pages, {} by order", unit(page)));
    let mut rows: Vec<_> = all.iter().filter(|p| in_blocks(&p.allocs) > 0).collect();
    if rows.is_empty() {
        out.push_str("  no living process\n");
        return;
    }
    rows.sort_by_key(|p| std::cmp::Reverse(in_blocks(&p.allocs)));
    list(out, page, PROCESSES_BY_ORDER, &rows, |p| {
        let [_, two, three, four, five, six] = by_order(page, &p.allocs);
        let (failed, orders) = (failures(&p.allocs), failed_orders(&p.allocs));
        [p.pid.to_string(), p.comm.to_string(), two, three, four, five, six, failed, orders]
    });
}

const FAILED: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("order"),
    Column::right("failed"),
    Column::left("the caller"),
    Column::cut("gfp flags, without __GFP_", Cut::End),
];

/// How requests that failed were made, most first. Nothing is said where none failed.
fn failed(out: &mut String, page: &Page<'_>, alloc: &PageAlloc) {
    if alloc.total.counts.failures() == 0 {
        return;
    }
    page.subject(out, "Requests that failed, and whether who asked is ready for it");
    let Some(rows) = &alloc.failures else { return page.not_seen(out, "how they were made", "page_alloc") };
    list(out, page, FAILED, rows, |f| {
        [
            f.pid.map_or_else(|| "ended".to_owned(), |pid| pid.to_string()),
            name(f.comm.as_ref()),
            f.order.to_string(),
            events_or_count(f.per_second, f.count),
            f.manner.map_or(units::UNKNOWN, caller).to_owned(),
            flags(f),
        ]
    });
    if rows.iter().any(|f| f.flags.is_none()) {
        page.not_read(out, "names of flags", Source::GFP_FLAGS);
    }
}

fn caller(manner: Manner) -> &'static str {
    match manner {
        Manner::Expected => "is ready",
        Manner::Atomic => "cannot sleep",
        Manner::Sleeping => "gets an error",
    }
}

/// Their names, else the bits.
fn flags(failure: &AllocFailure) -> String {
    let Some(names) = &failure.flags else { return format!("{:#x}", failure.gfp) };
    let short = |name: &Name| name.as_str().trim_start_matches("__GFP_").to_owned();
    names.iter().map(short).collect::<Vec<_>>().join("|")
}
