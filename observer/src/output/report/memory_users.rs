//! Who uses memory: who allocates, who stalls in reclaim, who wakes kswapd.

use super::{Page, Section, name, plural};
use crate::{
    model::{kswapd::Kswapd, page_alloc::PageAlloc, reclaim::Reclaim},
    output::text::{Column, Cut, Table},
    snapshot::reclaim::ReclaimKind,
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    let model = page.model;
    out.push('\n');
    page.subtitle(out, "Who allocates");
    match &model.page_alloc {
        Some(alloc) => allocators(out, page, alloc),
        None => page.not_seen(out, "page allocations", "page_alloc"),
    }
    out.push('\n');
    page.subtitle(out, "Who stalls in reclaim");
    match &model.reclaim {
        Some(reclaim) => stalls(out, page, reclaim),
        None => page.not_seen(out, "reclaim", "reclaim"),
    }
    out.push('\n');
    page.subtitle(out, "kswapd");
    match &model.kswapd {
        Some(kswapd) => background(out, page, kswapd),
        None => page.not_seen(out, "kswapd", "kswapd"),
    }
}

const ALLOCATORS: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("memory"),
    Column::right("requests"),
    Column::right("failed"),
    Column::cut("cgroup", Cut::Start),
];

const ALLOCATING_CGROUPS: &[Column] = &[
    Column::right("memory"),
    Column::right("requests"),
    Column::right("failed"),
    Column::cut("cgroup, ended processes included", Cut::Start),
];

fn allocators(out: &mut String, page: &Page<'_>, alloc: &PageAlloc) {
    let memory = |pages: Option<f64>| {
        let rate = pages.zip(page.model.host.page_size).map(|(pages, size)| pages * size as f64);
        units::or_unknown(rate, units::bytes_per_second)
    };
    let events = |r| units::or_unknown(r, units::per_second);
    let total = &alloc.total;
    let mut text = format!("{} in {} requests", memory(total.pages), events(total.allocations));
    text.push_str(&format!(", {} failed", units::count(total.counts.failures() as f64)));
    if alloc.other.counts.allocations() > 0 {
        text.push_str(&format!("; {} of it by processes that found no place in the map", memory(alloc.other.pages)));
    }
    page.fact(out, "all", &text);
    if page.detailed && !alloc.cgroups.is_empty() {
        let mut table = Table::new(ALLOCATING_CGROUPS);
        for c in alloc.cgroups.iter().take(page.rows()) {
            table.row([
                memory(c.allocs.pages),
                events(c.allocs.allocations),
                units::count(c.allocs.counts.failures() as f64),
                name(c.path.as_ref()),
            ]);
        }
        table.render(out, page.style, 2);
        page.left_out(out, alloc.cgroups.len(), Section::Memory);
        out.push('\n');
    }
    if alloc.processes.is_empty() {
        return;
    }
    let mut table = Table::new(ALLOCATORS);
    for p in alloc.processes.iter().take(page.rows()) {
        table.row([
            p.pid.to_string(),
            p.comm.to_string(),
            memory(p.allocs.pages),
            events(p.allocs.allocations),
            units::count(p.allocs.counts.failures() as f64),
            name(p.cgroup_path.as_ref()),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, alloc.processes.len(), Section::Memory);
}

const STALLING_CGROUPS: &[Column] = &[
    Column::left("limit of"),
    Column::right("stalls"),
    Column::right("of the time"),
    Column::right("mean"),
    Column::right("99 % under"),
    Column::cut("cgroup", Cut::Start),
];

const STALLS: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::left("limit of"),
    Column::right("stalls"),
    Column::right("of the time"),
    Column::right("mean"),
    Column::cut("cgroup", Cut::Start),
];

fn kind(kind: ReclaimKind) -> &'static str {
    match kind {
        ReclaimKind::Direct => "host",
        ReclaimKind::Memcg => "cgroup",
    }
}

fn stalls(out: &mut String, page: &Page<'_>, reclaim: &Reclaim) {
    for ongoing in reclaim.in_flight.iter().take(page.rows()) {
        let task = &ongoing.task;
        let text = format!(
            "{} (pid {}, tid {}) in {} for {}, order {}, limit of the {}",
            task.comm,
            task.pid,
            task.tid,
            name(ongoing.cgroup_path.as_ref()),
            units::seconds(ongoing.age_seconds),
            task.order,
            kind(task.kind)
        );
        page.fact(out, "now", &text);
    }
    if reclaim.cgroups.is_empty() && reclaim.in_flight.is_empty() {
        out.push_str("  no task\n");
    }
    if !reclaim.cgroups.is_empty() {
        let mut table = Table::new(STALLING_CGROUPS);
        for c in reclaim.cgroups.iter().take(page.rows()) {
            table.row([
                kind(c.kind).to_owned(),
                units::or_unknown(c.stalls.per_second, units::per_second),
                units::or_unknown(c.stalls.stalled_ratio, units::percent),
                units::or_unknown(c.stalls.mean_seconds, units::seconds),
                units::or_unknown(c.latency_ns.quantile_bound(0.99).map(|ns| ns / 1e9), units::seconds),
                name(c.path.as_ref()),
            ]);
        }
        table.render(out, page.style, 2);
        page.left_out(out, reclaim.cgroups.len(), Section::Memory);
        out.push('\n');
    }
    if reclaim.processes.is_empty() {
        return;
    }
    let mut table = Table::new(STALLS);
    for p in reclaim.processes.iter().take(page.rows()) {
        table.row([
            p.pid.to_string(),
            p.comm.to_string(),
            kind(p.kind).to_owned(),
            units::or_unknown(p.stalls.per_second, units::per_second),
            units::or_unknown(p.stalls.stalled_ratio, units::percent),
            units::or_unknown(p.stalls.mean_seconds, units::seconds),
            name(p.cgroup_path.as_ref()),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, reclaim.processes.len(), Section::Memory);
}

const REQUESTERS: &[Column] = &[
    Column::right("pid"),
    Column::cut("asked by", Cut::End),
    Column::right("node"),
    Column::right("requests"),
    Column::cut("cgroup", Cut::Start),
];

fn background(out: &mut String, page: &Page<'_>, kswapd: &Kswapd) {
    for node in &kswapd.nodes {
        let now = node.awake_for_seconds.map_or_else(
            || "asleep now".to_owned(),
            |s| format!("at work now, for {} without a pause", units::seconds(s)),
        );
        let rate = |r| units::or_unknown(r, units::bytes_per_second);
        let text = format!(
            "awake {} of the time, woken {}, {now}; took {} of {} looked at ({}){}",
            units::or_unknown(node.awake_ratio, units::percent),
            units::or_unknown(node.wakes, units::per_second),
            rate(node.reclaimed),
            rate(node.scanned),
            node.efficiency.map_or_else(|| "nothing to tell".to_owned(), units::percent),
            node.cycle_ns
                .quantile_bound(0.5)
                .map_or(String::new(), |ns| { format!("; half of its cycles under {}", units::seconds(ns / 1e9)) })
        );
        page.fact(out, &format!("node {}", node.node), &text);
    }
    if kswapd.nodes.is_empty() {
        out.push_str("  asleep since the probes were attached\n");
    }
    if kswapd.other_requests > 0 {
        let text = plural(kswapd.other_requests, "request");
        page.fact(out, "others", &format!("{text} by processes that found no place in the map"));
    }
    if kswapd.requesters.is_empty() {
        return;
    }
    let mut table = Table::new(REQUESTERS);
    for r in kswapd.requesters.iter().take(page.rows()) {
        table.row([
            r.who.pid.to_string(),
            r.who.comm.to_string(),
            r.who.node.to_string(),
            r.per_second.map_or_else(|| r.requests_in_interval.to_string(), units::per_second),
            name(r.cgroup_path.as_ref()),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, kswapd.requesters.len(), Section::Memory);
}
