//! Inside of reclaim: who pushed whose cache out, waits, shrinkers, retries.

use super::{Page, Section, name};
use crate::{
    output::text::{Column, Cut, Table},
    snapshot::retry::RetryKind,
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    evictions(out, page);
    throttles(out, page);
    shrinkers(out, page);
    retries(out, page);
}

const SIDES: &[Column] = &[
    Column::left("side"),
    Column::right("read again, allocated"),
    Column::right("share"),
    Column::right("asked kswapd"),
    Column::cut("cgroup", Cut::Start),
];

fn evictions(out: &mut String, page: &Page<'_>) {
    out.push('\n');
    page.subtitle(out, "Who pushed whose page cache out");
    let Some(evictions) = &page.model.evictions else {
        let reason = page.model.coverage.probe_reason("page_alloc");
        return page.not_seen_because(out, "refaults beside allocations", reason);
    };
    if evictions.is_empty() {
        out.push_str("  nobody\n");
    }
    for eviction in evictions {
        let scope = eviction.scope.as_ref().map_or("the host's memory".to_owned(), |s| format!("the limit of {s}"));
        let text = format!("{scope}: {} read again soon after", units::bytes_per_second(eviction.refaults));
        page.fact(out, "under", &text);
        let mut table = Table::new(SIDES);
        for v in eviction.victims.iter().take(page.rows()) {
            let (rate, share) = (units::bytes_per_second(v.refaults), units::percent(v.share));
            table.row(["lost".to_owned(), rate, share, String::new(), v.path.to_string()]);
        }
        for d in eviction.drivers.iter().take(page.rows()) {
            table.row([
                "pushed".to_owned(),
                units::bytes_per_second(d.allocated),
                units::percent(d.share),
                units::or_unknown(d.kswapd_requests, units::per_second),
                name(d.path.as_ref()),
            ]);
        }
        table.render(out, page.style, 2);
        page.left_out(out, eviction.victims.len().max(eviction.drivers.len()), Section::Memory);
    }
}

const THROTTLES: &[Column] = &[
    Column::left("waited for"),
    Column::right("waits"),
    Column::right("of the time"),
    Column::cut("cgroup", Cut::Start),
];

fn throttles(out: &mut String, page: &Page<'_>) {
    out.push('\n');
    page.subtitle(out, "Waits inside of reclaim");
    let throttles = page.model.reclaim.as_ref().and_then(|r| r.throttles.as_ref());
    let Some(throttles) = throttles else { return page.not_seen(out, "waits", "reclaim.throttles") };
    if throttles.is_empty() {
        out.push_str("  none\n");
        return;
    }
    let mut table = Table::new(THROTTLES);
    for t in throttles.iter().take(page.rows()) {
        table.row([
            t.reason.to_string(),
            t.per_second.map_or_else(|| t.count.to_string(), units::per_second),
            units::or_unknown(t.waited_ratio, units::percent),
            name(t.path.as_ref()),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, throttles.len(), Section::Memory);
}

const SHRINKERS: &[Column] = &[
    Column::cut("shrinker", Cut::End),
    Column::right("calls"),
    Column::right("of the time"),
    Column::right("mean"),
    Column::right("longest ever"),
    Column::right("objects freed"),
];

fn shrinkers(out: &mut String, page: &Page<'_>) {
    out.push('\n');
    page.subtitle(out, "Shrinkers");
    let Some(shrinkers) = &page.model.shrinkers else { return page.not_seen(out, "shrinkers", "shrinkers") };
    if shrinkers.is_empty() {
        out.push_str("  none was called\n");
        return;
    }
    let mut table = Table::new(SHRINKERS);
    for s in shrinkers.iter().take(page.rows()) {
        table.row([
            s.function.to_string(),
            s.per_second.map_or_else(|| s.count.to_string(), units::per_second),
            units::or_unknown(s.busy_ratio, units::percent),
            units::or_unknown(s.mean_seconds, units::seconds),
            units::seconds(s.max_seconds),
            units::count(s.freed as f64),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, shrinkers.len(), Section::Memory);
}

const RETRIES: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::left("another round of"),
    Column::right("times"),
    Column::right("refused"),
    Column::right("order"),
    Column::right("rounds"),
    Column::cut("cgroup", Cut::Start),
];

fn retries(out: &mut String, page: &Page<'_>) {
    out.push('\n');
    page.subtitle(out, "Retries before an OOM kill");
    let Some(retries) = &page.model.retries else { return page.not_seen(out, "retries", "retries") };
    if retries.is_empty() {
        out.push_str("  none\n");
        return;
    }
    let mut table = Table::new(RETRIES);
    for r in retries.iter().take(page.rows()) {
        let kind = match r.who.kind {
            RetryKind::Reclaim => "reclaim",
            RetryKind::Compact => "compaction",
        };
        table.row([
            r.who.pid.to_string(),
            r.who.comm.to_string(),
            kind.to_owned(),
            r.in_interval.to_string(),
            r.refused_in_interval.to_string(),
            r.who.last_order.to_string(),
            r.who.last_loops.to_string(),
            name(r.cgroup_path.as_ref()),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, retries.len(), Section::Memory);
}
