//! The table of kills, newest first, and what the event of the chosen one tells.

use super::{OOM, SINCE, at, cgroup_of};
use crate::{
    output::{
        oom::known::{Known, limit_word, no_report},
        tui::{
            cells,
            context::Context,
            strip::{About, Strip},
            table::{Cell, Column, Origin, Table, Value},
            text::Cut,
            theme::Tone,
        },
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
    Column::word("limit", 6, LIMIT_WORDS),
    Column::number(
        "order",
        5,
        "order of the request, a block of 2^order pages; -1 of a kill by sysrq: the kernel's report, vmscan:mm_vmscan_{direct,memcg}_reclaim_begin",
    )
    .rank(5),
    Column::word("told by", 7, "who tells of the kill: the event of oom:mark_victim, the kernel's log, or both").rank(2),
];

const LIMIT_WORDS: &str = "whose limit refused the request: own of the victim's cgroup, above of one above it, host, cpuset, policy, \
    sysrq; without the kernel's report memcg or direct, after the last reclaim: oom-kill: of the kernel's log, tracepoints \
    vmscan:mm_vmscan_{direct,memcg}_reclaim_begin";

fn task(t: &OomTask) -> String {
    let name = t.comm.as_ref().map_or(units::UNKNOWN, |n| n.as_str());
    t.pid.map_or_else(|| format!("{name} (tid {})", t.tid), |pid| format!("{name} ({pid})"))
}

/// The kills up to the moment that is shown, newest first.
pub(super) fn known<'a>(ctx: &Context<'a>) -> Vec<&'a Known> {
    let now = ctx.model.stamp.monotonic_ns;
    ctx.timeline.kills().newest_first().filter(|k| k.key.monotonic_ns <= now).collect()
}

/// The table of those kills.
pub(super) fn kills<'a>(ctx: &Context<'a>, known: &[&'a Known]) -> Table<'a> {
    let mut table = Table::new("Kills", KILLS).from("oom", &[Source::VMSTAT]);
    table.always_details = true;
    let counted = ctx.model.oom.as_ref().map(|oom| oom.kills);
    let told = known.to_vec();
    let ctx = *ctx;
    let empty = match counted {
        Some(n) if n > 0 => Strip::sentence().count(&SINCE, Some(n)).label(" kills, and the details of none were kept"),
        Some(_) => watched(&ctx),
        None => {
            let why = ctx.no_data("oom", &[Source::VMSTAT]);
            Strip::reason(why).label(". Kills by cgroup, below, still count.")
        }
    };
    table
        .rows(known.iter().map(|k| row(&ctx, k)))
        .empty(empty)
        .details(move |i| told.get(i).map(|k| details(&ctx, k)).unwrap_or_default())
}

fn row(ctx: &Context<'_>, kill: &Known) -> Vec<Cell> {
    let ns = kill.key.monotonic_ns;
    let tone = if at(ctx, ns) == Some(true) { Tone::Bad } else { Tone::Plain };
    let age = ctx.model.stamp.monotonic_ns.saturating_sub(ns) as f64 / 1e9;
    let (victim, trigger) = (kill.victim(), kill.trigger());
    let trigger = trigger.as_ref();
    vec![
        if kill.event.is_some() { cells::id(kill.key.sequence) } else { cells::count(None) },
        Cell { value: Value::Number(Some(ns as f64)), ..Cell::text(ctx.time_of_day_monotonic(ns)) },
        cells::seconds(Some(age)),
        Cell::text(task(&victim)).tone(tone),
        cells::cgroup(victim.cgroup_path.as_ref(), victim.cgroup),
        Cell::text_or_unknown(trigger.map(task)),
        cells::cgroup(trigger.and_then(|t| t.cgroup_path.as_ref()), trigger.and_then(|t| t.cgroup)),
        Cell::text_or_unknown(limit(kill)),
        Cell::number(kill.order().map(|n| n as f64), |n| format!("{n:.0}")),
        Cell::text(kill.source()),
    ]
}

/// Whose limit it was, in a word.
fn limit(kill: &Known) -> Option<&'static str> {
    let last = || kill.event.as_ref().and_then(|e| e.last_reclaim.as_ref());
    kill.limit().and_then(limit_word).or_else(|| last().map(|r| cells::kind(r.kind)))
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
    let strip = match ctx.model.oom_watch.as_ref().and_then(|w| w.counts.log) {
        Some(_) => strip.label(", ").words(&WATCHED, "the kernel's log", Tone::Plain),
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

fn details(ctx: &Context<'_>, kill: &Known) -> Vec<Strip> {
    let [number, time, killed, of_killed, asker, of_asker] = &KILL;
    let head = Strip::sentence().label("Kill ");
    let head = match &kill.event {
        Some(event) => head.words(number, event.sequence.to_string(), Tone::Plain).label(" at "),
        None => head.label("at "),
    };
    let head =
        head.words(time, ctx.time_of_day_monotonic(kill.key.monotonic_ns), Tone::Plain).label(". Enter tells why.");
    let (victim, trigger) = (kill.victim(), kill.trigger());
    let mut lines = vec![
        head,
        Strip::sentence()
            .label("killed: ")
            .words(killed, task(&victim), Tone::Plain)
            .label(" in cgroup ")
            .words_or_unknown(of_killed, cgroup_of(&victim)),
        Strip::sentence()
            .label("for a request of: ")
            .words_or_unknown(asker, trigger.as_ref().map(task))
            .label(" in cgroup ")
            .words_or_unknown(of_asker, trigger.as_ref().and_then(cgroup_of)),
    ];
    lines.extend(kill.event.as_ref().map(|event| match &event.last_reclaim {
        Some(last) => reclaim(last),
        None => "no reclaim of the asker was seen before".into(),
    }));
    lines.extend(kill.limit().map(|limit| Strip::sentence().words(&REFUSED, limit.sentence(), Tone::Plain)));
    if !kill.reported {
        let strip = Strip::sentence().label("what used the memory, and the score of the victim, is not known: ");
        lines.push(strip.words(&REPORT, no_report(ctx.model), Tone::Dim));
    }
    lines
}

const LOG: Origin = ("oom_watch", &["/dev/kmsg"]);
const REFUSED: About = About::new(
    "limit",
    "whose limit refused the request, in bytes, and at which level of the hierarchy of cgroups",
    "the kernel's log, oom-kill: and memory: usage",
    LOG,
);
const REPORT: About = About::new(
    "report",
    "what the kernel writes of the kill: who, why, and what used the memory",
    "the kernel's log, /dev/kmsg",
    LOG,
);

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
