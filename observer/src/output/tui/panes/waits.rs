//! What holds reclaim up: waits inside of it, shrinkers, and the retries that precede an OOM kill.

use crate::{
    model::retry::Retry,
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Table},
        text::Cut,
    },
    snapshot::retry::RetryKind,
};

pub(super) const THROTTLES: &[Column] = &[
    Column::word(
        "waits for",
        11,
        "what a task inside of reclaim waited for, the kernel's word: vmscan:mm_vmscan_throttled",
    ),
    Column::number("waits/s", 8, "waits a second: tracepoint vmscan:mm_vmscan_throttled"),
    Column::number("waited", 7, "seconds waited in each second: tracepoint vmscan:mm_vmscan_throttled usec_delayed"),
    Column::text("cgroup", 20, "memory cgroup of the tasks that waited: task_struct cgroups").cut(Cut::Start),
];

pub(super) fn throttles<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Waits inside of reclaim", THROTTLES).from("reclaim.throttles", &[]);
    let Some(throttles) = ctx.model.reclaim.as_ref().and_then(|r| r.throttles.as_ref()) else {
        return table.empty(Strip::reason(ctx.no_data("reclaim.throttles", &[])));
    };
    let rows = throttles.iter().map(|t| {
        vec![
            Cell::text(t.reason.as_str()),
            cells::rate(t.per_second),
            cells::ratio(t.waited_ratio).warn_from(0.01, 0.2),
            cells::cgroup(t.path.as_ref(), t.cgroup),
        ]
    });
    table.rows(rows).empty("no task waited inside of reclaim in this interval")
}

pub(super) const SHRINKERS: &[Column] = &[
    Column::text("function", 24, "function of the shrinker: /proc/kallsyms"),
    Column::number("calls/s", 8, "calls a second: tracepoints vmscan:mm_shrink_slab_{start,end}"),
    Column::number("busy", 7, "seconds in it in each second: tracepoints vmscan:mm_shrink_slab_{start,end}"),
    Column::number("mean", 8, "mean time of a call: tracepoints vmscan:mm_shrink_slab_{start,end}"),
    Column::number(
        "longest",
        8,
        "time, longest call since the probes were attached: vmscan:mm_shrink_slab_{start,end}",
    )
    .rank(1),
    Column::number("freed", 8, "objects freed in the interval: tracepoint vmscan:mm_shrink_slab_end"),
];

pub(super) fn shrinkers<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Shrinkers", SHRINKERS).from("shrinkers", &[]);
    let Some(shrinkers) = &ctx.model.shrinkers else {
        return table.empty(Strip::reason(ctx.no_data("shrinkers", &[])));
    };
    let rows = shrinkers.iter().map(|s| {
        vec![
            Cell::text(s.function.as_str()),
            cells::rate(s.per_second),
            cells::ratio(s.busy_ratio).warn_from(0.05, 0.5),
            cells::seconds(s.mean_seconds),
            cells::seconds(Some(s.max_seconds)),
            cells::count(Some(s.freed)),
        ]
    });
    table.rows(rows).empty("no shrinker was called in this interval")
}

pub(super) const RETRIES: &[Column] = &[
    Column::number("pid", 7, "process id: tracepoints oom:reclaim_retry_zone, oom:compact_retry"),
    Column::text("process", 12, "name of the task: tracepoints oom:reclaim_retry_zone, oom:compact_retry"),
    Column::word("of", 10, "how it was to be tried again: oom:reclaim_retry_zone or oom:compact_retry"),
    Column::number("times", 6, "times in the interval that it was considered: the same"),
    Column::number("refused", 7, "times in the interval that the answer was no: the same, wmark_check or ret"),
    Column::number("order", 5, "order of the last request: the same").rank(1),
    Column::number("rounds", 6, "rounds without progress at the last one: the same").rank(1),
    Column::text("cgroup", 14, "memory cgroup of the task: task_struct cgroups").cut(Cut::Start).rank(2),
];

pub(super) fn retries<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Retries before an OOM kill", RETRIES).from("retries", &[]);
    let Some(retries) = &ctx.model.retries else { return table.empty(Strip::reason(ctx.no_data("retries", &[]))) };
    let rows = retries.iter().map(|r| {
        let kind = match r.who.kind {
            RetryKind::Reclaim => "reclaim",
            RetryKind::Compact => "compaction",
        };
        vec![
            cells::id(r.who.pid.into()),
            Cell::text(r.who.comm.as_str()),
            Cell::text(kind),
            cells::count(Some(r.in_interval)),
            cells::trouble(Some(r.refused_in_interval as f64)),
            cells::id(r.who.last_order.into()),
            cells::id(r.who.last_loops.into()),
            cells::cgroup(r.cgroup_path.as_ref(), r.who.cgroup),
        ]
    });
    table
        .rows(rows)
        .empty("the page allocator had no need to try again")
        .details(|i| retries.get(i).map(|r| vec![retry(r)]).unwrap_or_default())
}

const RETRY_SOURCE: &str = "tracepoint oom:reclaim_retry_zone";
const RETRY: [About; 4] = [
    About::new(
        "considered",
        "times in the interval that it was considered to try again",
        "oom:reclaim_retry_zone, oom:compact_retry",
        ("retries", &[]),
    ),
    About::new(
        "refused",
        "times in the interval that the answer was no",
        "oom:reclaim_retry_zone, oom:compact_retry",
        ("retries", &[]),
    ),
    About::new(
        "could be had",
        "bytes of the zone that were free or reclaimable at the last one",
        RETRY_SOURCE,
        ("retries", &[]),
    ),
    About::new("min", "bytes, min watermark of the zone at the last one", RETRY_SOURCE, ("retries", &[])),
];

/// What was left to be had when it was last considered to try again.
fn retry(r: &Retry) -> Strip {
    let [considered, refused, available, min] = &RETRY;
    let strip = Strip::sentence()
        .label("considered ")
        .count(considered, Some(r.in_interval))
        .label(" times, refused ")
        .count(refused, Some(r.refused_in_interval));
    match r.who.kind {
        RetryKind::Reclaim => strip
            .label("; at the last one free or reclaimable ")
            .bytes(available, r.who.last_available_bytes)
            .label(", min watermark ")
            .bytes(min, r.who.last_min_bytes),
        RetryKind::Compact => strip,
    }
}
