//! Inside of reclaim: who looked for pages, who pushed whose cache out, waits, shrinkers, retries.

use super::{Page, bytes, bytes_rate, events, events_or_count, list, name, share, time, time_under};
use crate::{
    model::{eviction::Eviction, retry::Retry},
    output::text::{Column, Cut},
    snapshot::{Name, coverage::Source, reclaim::Scanner, retry::RetryKind},
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    scans(out, page);
    evictions(out, page);
    throttles(out, page);
    shrinkers(out, page);
    retries(out, page);
}

const SCANS: &[Column] = &[
    Column::left("by"),
    Column::right("node"),
    Column::left("pages"),
    Column::right("looked at"),
    Column::right("took"),
    Column::right("of it"),
    Column::cut("cgroup of the task", Cut::Start),
];

/// Pages that reclaim looked at, most bytes first.
fn scans(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Who looked for pages to take, and what of them was taken");
    let scans = page.model.reclaim.as_ref().and_then(|r| r.scans.as_ref());
    let Some(scans) = scans else { return page.not_seen(out, "scans", "reclaim.scans") };
    if scans.is_empty() {
        out.push_str("  nobody\n");
        return;
    }
    list(out, page, SCANS, scans, |s| {
        let by = match s.by {
            Scanner::Kswapd => "kswapd",
            Scanner::Task => "a task",
        };
        let or_bytes =
            |rate: Option<f64>, bytes: u64| rate.map_or_else(|| units::bytes(bytes as f64), units::bytes_per_second);
        [
            by.to_owned(),
            s.node.to_string(),
            if s.file { "file" } else { "anonymous" }.to_owned(),
            or_bytes(s.scanned, s.scanned_bytes),
            or_bytes(s.reclaimed, s.reclaimed_bytes),
            share(s.efficiency),
            name(s.path.as_ref()),
        ]
    });
}

fn evictions(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Who pushed whose page cache out");
    let Some(evictions) = &page.model.evictions else {
        return page.not_seen_because(out, "refaults beside allocations", no_evictions(page).as_ref());
    };
    if evictions.is_empty() {
        out.push_str("  nobody\n");
    }
    for (place, eviction) in evictions.iter().enumerate() {
        if place > 0 {
            out.push('\n');
        }
        victims(out, page, eviction);
        drivers(out, page, eviction);
    }
}

/// Why it cannot be told: it takes an interval, cgroups and page allocations.
fn no_evictions(page: &Page<'_>) -> Option<Name> {
    let model = page.model;
    if model.interval.is_none() {
        return Some(Name::from("a rate needs an earlier snapshot"));
    }
    let cgroups = model.cgroups.is_none().then(|| model.coverage.source_reason(Source::CGROUPS)).flatten();
    cgroups.or_else(|| model.coverage.probe_reason("page_alloc")).cloned()
}

const VICTIMS: &[Column] =
    &[Column::right("read again"), Column::right("of all"), Column::cut("cgroup that lost its cache", Cut::Start)];

fn victims(out: &mut String, page: &Page<'_>, eviction: &Eviction) {
    let scope = eviction.scope.as_ref().map_or("the host's memory".to_owned(), |s| format!("the limit of {s}"));
    let text = format!("{scope}: {} read again soon after", units::bytes_per_second(eviction.refaults));
    page.fact(out, "under", &text);
    list(out, page, VICTIMS, &eviction.victims, |v| {
        [units::bytes_per_second(v.refaults), units::percent(v.share), v.path.to_string()]
    });
}

const DRIVERS: &[Column] = &[
    Column::right("allocated"),
    Column::right("of all"),
    Column::right("reclaimed itself"),
    Column::right("asked kswapd"),
    Column::cut("cgroup that pushed", Cut::Start),
];

fn drivers(out: &mut String, page: &Page<'_>, eviction: &Eviction) {
    list(out, page, DRIVERS, &eviction.drivers, |d| {
        [
            units::bytes_per_second(d.allocated),
            units::percent(d.share),
            bytes_rate(d.reclaimed),
            events(d.kswapd_requests),
            name(d.path.as_ref()),
        ]
    });
}

const THROTTLES: &[Column] = &[
    Column::left("waited for"),
    Column::right("waits"),
    Column::right("of the time"),
    Column::right("mean"),
    Column::cut("cgroup", Cut::Start),
];

fn throttles(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Waits inside of reclaim");
    let throttles = page.model.reclaim.as_ref().and_then(|r| r.throttles.as_ref());
    let Some(throttles) = throttles else { return page.not_seen(out, "waits", "reclaim.throttles") };
    if throttles.is_empty() {
        out.push_str("  none\n");
        return;
    }
    list(out, page, THROTTLES, throttles, |t| {
        let mean = t.waited_ratio.zip(t.per_second).map(|(waited, waits)| waited / waits);
        [
            t.reason.to_string(),
            events_or_count(t.per_second, t.count),
            share(t.waited_ratio),
            time(mean),
            name(t.path.as_ref()),
        ]
    });
}

const SHRINKERS: &[Column] = &[
    Column::cut("shrinker", Cut::End),
    Column::right("calls"),
    Column::right("of the time"),
    Column::right("mean"),
    Column::right("99 % under"),
    Column::right("longest"),
    Column::right("freed"),
];

fn shrinkers(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Shrinkers: the longest call since the probes were attached, objects freed");
    let Some(shrinkers) = &page.model.shrinkers else { return page.not_seen(out, "shrinkers", "shrinkers") };
    if shrinkers.is_empty() {
        out.push_str("  none was called\n");
        return;
    }
    list(out, page, SHRINKERS, shrinkers, |s| {
        [
            s.function.to_string(),
            events_or_count(s.per_second, s.count),
            share(s.busy_ratio),
            time(s.mean_seconds),
            time_under(&s.latency_ns, 0.99),
            units::seconds(s.max_seconds),
            units::count(s.freed as f64),
        ]
    });
}

fn retries(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Rounds of reclaim before an OOM kill");
    let Some(retries) = &page.model.retries else { return page.not_seen(out, "retries", "retries") };
    let of = |kind| retries.iter().filter(move |r| r.who.kind == kind).collect::<Vec<_>>();
    reclaim_rounds(out, page, &of(RetryKind::Reclaim));
    page.subject(out, "Rounds of compaction before an OOM kill");
    compaction_rounds(out, page, &of(RetryKind::Compact));
}

/// Who considered another round, how often, with what answer; order and rounds of the last time.
fn considered(r: &Retry) -> [String; 6] {
    [
        r.who.pid.to_string(),
        r.who.comm.to_string(),
        units::count(r.in_interval as f64),
        units::count(r.refused_in_interval as f64),
        r.who.last_order.to_string(),
        r.who.last_loops.to_string(),
    ]
}

const RECLAIM_ROUNDS: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("times"),
    Column::right("refused"),
    Column::right("order"),
    Column::right("in vain"),
    Column::right("had"),
    Column::right("needed"),
    Column::cut("cgroup", Cut::Start),
];

fn reclaim_rounds(out: &mut String, page: &Page<'_>, rows: &[&Retry]) {
    if rows.is_empty() {
        out.push_str("  none\n");
        return;
    }
    list(out, page, RECLAIM_ROUNDS, rows, |r| {
        let [pid, process, times, refused, order, rounds] = considered(r);
        let (had, needed) = (bytes(r.who.last_available_bytes), bytes(r.who.last_min_bytes));
        [pid, process, times, refused, order, rounds, had, needed, name(r.cgroup_path.as_ref())]
    });
}

const COMPACTION_ROUNDS: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("times"),
    Column::right("refused"),
    Column::right("order"),
    Column::right("retries"),
    Column::cut("cgroup", Cut::Start),
];

fn compaction_rounds(out: &mut String, page: &Page<'_>, rows: &[&Retry]) {
    if rows.is_empty() {
        out.push_str("  none\n");
        return;
    }
    list(out, page, COMPACTION_ROUNDS, rows, |r| {
        let [pid, process, times, refused, order, rounds] = considered(r);
        [pid, process, times, refused, order, rounds, name(r.cgroup_path.as_ref())]
    });
}
