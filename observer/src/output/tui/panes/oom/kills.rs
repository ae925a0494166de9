//! The table of kills, newest first, and what the event of the chosen one tells.

use super::{OOM, SINCE, at, cgroup_of};
use crate::{
    model::oom::Kill,
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Table, Value},
        text::Cut,
        theme::Tone,
    },
    snapshot::{
        coverage::Source,
        oom::{OomReclaim, OomTask},
    },
    units,
};

/// Columns of the table of kills.
pub(super) const KILLS: &[Column] = &[
    Column::number("#", 4, "number of the kill since the probe was attached: tracepoint oom:mark_victim").rank(3),
    Column::word("time", 8, "time of day of the kill: tracepoint oom:mark_victim"),
    Column::number("ago", 11, "time since the kill: tracepoint oom:mark_victim").rank(1),
    Column::text("victim", 16, "process that was killed and its pid: tracepoint oom:mark_victim"),
    Column::text("victim's cgroup", 16, "memory cgroup of the victim: task_struct cgroups").cut(Cut::Start),
    Column::text("asker", 16, "process whose request led to the kill and its pid: current at oom:mark_victim").rank(1),
    Column::text("asker's cgroup", 16, "memory cgroup of the asker: task_struct cgroups").cut(Cut::Start).rank(4),
    Column::word(
        "limit",
        6,
        "whose limit the last reclaim of the asker was for: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    ),
    Column::number(
        "order",
        5,
        "order of the request of that reclaim: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    )
    .rank(5),
];

fn task(t: &OomTask) -> String {
    let name = t.comm.as_ref().map_or(units::UNKNOWN, |n| n.as_str());
    t.pid.map_or_else(|| format!("{name} (tid {})", t.tid), |pid| format!("{name} ({pid})"))
}

/// The kills up to the moment that is shown, newest first.
pub(super) fn known<'a>(ctx: &Context<'a>) -> Vec<&'a Kill> {
    let now = ctx.model.stamp.monotonic_ns;
    ctx.timeline.kills().newest_first().filter(|k| k.event.monotonic_ns <= now).collect()
}

/// The table of those kills.
pub(super) fn kills<'a>(ctx: &Context<'a>, known: &[&'a Kill]) -> Table<'a> {
    let mut table = Table::new("Kills", KILLS).from("oom", &[Source::VMSTAT]);
    table.always_details = true;
    let Some(oom) = &ctx.model.oom else {
        let why = ctx.no_data("oom", &[Source::VMSTAT]);
        return table.empty(Strip::reason(why).label(". Kills by cgroup, below, still count."));
    };
    let ctx = *ctx;
    let rows = known.iter().map(|k| {
        let tone = if at(&ctx, k.event.monotonic_ns) == Some(true) { Tone::Bad } else { Tone::Plain };
        let last = k.event.last_reclaim.as_ref();
        let age = ctx.model.stamp.monotonic_ns.saturating_sub(k.event.monotonic_ns) as f64 / 1e9;
        vec![
            cells::id(k.event.sequence),
            Cell {
                value: Value::Number(Some(k.event.monotonic_ns as f64)),
                ..Cell::text(ctx.time_of_day_monotonic(k.event.monotonic_ns))
            },
            cells::seconds(Some(age)),
            Cell::text(task(&k.event.victim)).tone(tone),
            cells::cgroup(k.event.victim.cgroup_path.as_ref(), k.event.victim.cgroup),
            Cell::text(task(&k.event.trigger)),
            cells::cgroup(k.event.trigger.cgroup_path.as_ref(), k.event.trigger.cgroup),
            Cell::text_or_unknown(last.map(|r| cells::kind(r.kind))),
            Cell::number(last.map(|r| r.order.into()), |n| format!("{n:.0}")),
        ]
    });
    let told = known.to_vec();
    table
        .rows(rows)
        .empty(if oom.kills > 0 {
            Strip::sentence().count(&SINCE, Some(oom.kills)).label(" kills, and the details of none were kept")
        } else {
            watched(&ctx)
        })
        .details(move |i| told.get(i).map(|k| details(&ctx, k)).unwrap_or_default())
}

/// Nothing has happened: what was watched, and since when.
fn watched(ctx: &Context<'_>) -> Strip {
    let since = ctx.timeline.first().map(|s| ctx.time_of_day(s.realtime_ns));
    let strip = Strip::sentence()
        .label("no kill seen since ")
        .words_or_unknown(&BEGUN, since)
        .label(": watched are ")
        .words(&WATCHED, "oom:mark_victim", Tone::Plain);
    let strip = match ctx.model.memory.vm.oom_kills {
        Some(_) => strip.label(", ").words(&WATCHED, "oom_kill of /proc/vmstat", Tone::Plain),
        None => strip,
    };
    let cgroups = ctx.model.cgroups.iter().flatten().filter(|c| c.now.oom_kills.is_some()).count();
    match cgroups {
        0 => strip,
        n => strip.label(", and the counts of ").count(&OF_CGROUPS, Some(n as u64)).label(" cgroups"),
    }
}

const WATCHED: About =
    About::new("watched", "events and counters whose kills are shown here, by name", "coverage", OOM);
const OF_CGROUPS: About = About::new(
    "cgroups",
    "number of memory cgroups that count their kills",
    "memory.oom_control (v1), memory.events (v2)",
    ("cgroups", &[Source::CGROUPS]),
);
const BEGUN: About =
    About::new("since", "time of day of the first snapshot of this screen", "CLOCK_REALTIME", ("", &[]));
const KILL: [About; 6] = [
    About::new("kill", "number of the kill since the probe was attached", "tracepoint oom:mark_victim", OOM),
    About::new("at", "time of day of the kill", "tracepoint oom:mark_victim, CLOCK_MONOTONIC", OOM),
    About::new("killed", "process that was killed and its pid", "tracepoint oom:mark_victim", OOM),
    About::new("cgroup", "memory cgroup, a path, or its number where no path is known", "task_struct cgroups", OOM),
    About::new(
        "for a request of",
        "process whose request led to the kill and its pid",
        "current at oom:mark_victim",
        OOM,
    ),
    About::new("cgroup", "memory cgroup, a path, or its number where no path is known", "task_struct cgroups", OOM),
];

fn details(ctx: &Context<'_>, k: &Kill) -> Vec<Strip> {
    let [number, time, killed, of_killed, asker, of_asker] = &KILL;
    let event = &k.event;
    vec![
        Strip::sentence()
            .label("Kill ")
            .words(number, event.sequence.to_string(), Tone::Plain)
            .label(" at ")
            .words(time, ctx.time_of_day_monotonic(event.monotonic_ns), Tone::Plain)
            .label(". Enter tells why."),
        Strip::sentence()
            .label("killed: ")
            .words(killed, task(&event.victim), Tone::Plain)
            .label(" in cgroup ")
            .words_or_unknown(of_killed, cgroup_of(&event.victim)),
        Strip::sentence()
            .label("for a request of: ")
            .words(asker, task(&event.trigger), Tone::Plain)
            .label(" in cgroup ")
            .words_or_unknown(of_asker, cgroup_of(&event.trigger)),
        event.last_reclaim.as_ref().map_or_else(|| "no reclaim of the asker was seen before".into(), reclaim),
    ]
}

const RECLAIM_SOURCE: &str = "tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}";
const RECLAIM: [About; 6] = [
    About::new("limit", "whose limit the reclaim was for: direct is the host, memcg a cgroup", RECLAIM_SOURCE, OOM),
    About::new("order", "order of the request, a block of 2^order pages", RECLAIM_SOURCE, OOM),
    About::new("gfp", "gfp flags of the request, a number of the kernel's bits", RECLAIM_SOURCE, OOM),
    About::new("begun", "time from the begin of the reclaim to the kill", RECLAIM_SOURCE, OOM),
    About::new("found", "bytes that the reclaim found", RECLAIM_SOURCE, OOM),
    About::new("took", "time that the reclaim took", RECLAIM_SOURCE, OOM),
];

fn reclaim(r: &OomReclaim) -> Strip {
    let ns = |ns: u64| Some(ns as f64 / 1e9);
    let [limit, order, gfp, begun, found, took] = &RECLAIM;
    let strip = Strip::sentence()
        .label("last reclaim: ")
        .words(limit, cells::kind(r.kind), Tone::Plain)
        .label(" limit, order ")
        .words(order, r.order.to_string(), Tone::Plain)
        .label(", gfp ")
        .words(gfp, format!("{:#x}", r.gfp), Tone::Plain)
        .label(", begun ")
        .number(begun, ns(r.begun_before_ns), units::seconds)
        .label(" before the kill, ");
    match (r.reclaimed_bytes, r.duration_ns) {
        (Some(bytes), Some(duration)) => {
            strip.label("found ").bytes(found, Some(bytes)).label(" in ").number(took, ns(duration), units::seconds)
        }
        _ => strip.label("had not ended"),
    }
}
