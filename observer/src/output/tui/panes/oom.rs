//! OOM kills, newest first: who asked for memory, who was killed, and which reclaim came before.

use ratatui::{buffer::Buffer, layout::Rect};

use super::Pane;
use crate::{
    model::oom::Kill,
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        strip::{About, Strip},
        table::{Cell, Column, Origin, Table, Value},
        text::Cut,
        theme::Tone,
    },
    snapshot::{
        coverage::Source,
        oom::{OomReclaim, OomTask},
    },
    units,
};

pub(super) const PANE: Pane = Pane {
    name: "oom",
    title: "OOM",
    short: "OOM",
    lists_findings: false,
    first_table: 0,
    tables: &[("Kills", KILLS), ("Cgroups with kills", CGROUPS)],
    draw,
};

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    stack::draw(ctx, area, buf, &counts(ctx), &[kills(ctx), cgroups(ctx)])
}

const OOM: Origin = ("oom", &[Source::VMSTAT]);
const SINCE: About =
    About::new("kills", "number of kills since the probe was attached", "tracepoint oom:mark_victim", OOM);
const KEPT: About =
    About::new("details kept", "number of kills whose details are kept, the newest", "ring buffer of the probe", OOM);
const LOST: About = About::new(
    "details lost",
    "number of kills whose details found no place in the ring buffer",
    "counter of the probe",
    OOM,
);
const OF_KERNEL: About = About::new(
    "oom_kill",
    "number of kills in the interval, as the kernel counts them",
    "/proc/vmstat oom_kill",
    ("memory", &[Source::VMSTAT]),
);

fn counts(ctx: &Context<'_>) -> Vec<Strip> {
    let bad_if = |n: u64, otherwise| if n > 0 { Tone::Bad } else { otherwise };
    let count =
        |strip: Strip, about: &About, n: u64, otherwise| strip.words(about, n.to_string(), bad_if(n, otherwise));
    let line = match &ctx.model.oom {
        Some(oom) => {
            let strip =
                count(Strip::default().label("Kills since the probe was attached "), &SINCE, oom.kills, Tone::Good);
            let kept = oom.recent.len().to_string();
            let strip = strip.label("  details kept ").words(&KEPT, kept, Tone::Plain);
            count(strip.label("  details lost "), &LOST, oom.events_lost, Tone::Plain)
        }
        None => Strip::default().label_toned("Kills ", Tone::Warn).missing(&SINCE, ctx),
    };
    let second = Strip::default().label("oom_kill of /proc/vmstat  ");
    let second = match ctx.model.memory.vm.oom_kills {
        Some(n) => count(second, &OF_KERNEL, n, Tone::Plain).label(" in this interval"),
        None => second.words_or_unknown(&OF_KERNEL, None::<String>),
    };
    vec![line, second]
}

const KILLS: &[Column] = &[
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

fn kills<'a>(ctx: &Context<'a>) -> Table<'a> {
    let mut table = Table::new("Kills", KILLS).from("oom", &[Source::VMSTAT]);
    table.always_details = true;
    let Some(oom) = &ctx.model.oom else {
        let why = ctx.no_data("oom", &[Source::VMSTAT]);
        return table.empty(Strip::reason(why).label(". Kills by cgroup, below, still count."));
    };
    let since = ctx.timeline.first().map(|s| ctx.time_of_day(s.realtime_ns));
    let ctx = *ctx;
    table
        .rows(oom.recent.iter().map(|k| {
            let tone = if k.in_interval == Some(true) { Tone::Bad } else { Tone::Plain };
            let last = k.event.last_reclaim.as_ref();
            vec![
                cells::id(k.event.sequence),
                Cell {
                    value: Value::Number(Some(k.event.monotonic_ns as f64)),
                    ..Cell::text(ctx.time_of_day_monotonic(k.event.monotonic_ns))
                },
                cells::seconds(Some(k.age_seconds)),
                Cell::text(task(&k.event.victim)).tone(tone),
                cells::cgroup(k.event.victim.cgroup_path.as_ref(), k.event.victim.cgroup),
                Cell::text(task(&k.event.trigger)),
                cells::cgroup(k.event.trigger.cgroup_path.as_ref(), k.event.trigger.cgroup),
                Cell::text_or_unknown(last.map(|r| cells::kind(r.kind))),
                Cell::number(last.map(|r| r.order.into()), |n| format!("{n:.0}")),
            ]
        }))
        .empty(if oom.kills > 0 {
            Strip::sentence().count(&SINCE, Some(oom.kills)).label(" kills, and the details of none were kept")
        } else {
            Strip::sentence().label("no kill seen since ").words_or_unknown(&BEGUN, since)
        })
        .details(move |i| oom.recent.get(i).map(|k| kill_details(&ctx, k)).unwrap_or_default())
}

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

fn kill_details(ctx: &Context<'_>, k: &Kill) -> Vec<Strip> {
    let path = |t: &OomTask| match (&t.cgroup_path, t.cgroup) {
        (Some(path), _) => Some(path.to_string()),
        (None, Some(id)) => Some(format!("id {} (its path is not known)", id.0)),
        (None, None) => None,
    };
    let [number, at, killed, of_killed, asker, of_asker] = &KILL;
    let event = &k.event;
    vec![
        Strip::sentence().label("Kill ").words(number, event.sequence.to_string(), Tone::Plain).label(" at ").words(
            at,
            ctx.time_of_day_monotonic(event.monotonic_ns),
            Tone::Plain,
        ),
        Strip::sentence()
            .label("killed: ")
            .words(killed, task(&event.victim), Tone::Plain)
            .label(" in cgroup ")
            .words_or_unknown(of_killed, path(&event.victim)),
        Strip::sentence()
            .label("for a request of: ")
            .words(asker, task(&event.trigger), Tone::Plain)
            .label(" in cgroup ")
            .words_or_unknown(of_asker, path(&event.trigger)),
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

const CGROUPS: &[Column] = &[
    Column::text("cgroup", 20, "path of the memory cgroup: the folders of the hierarchy").cut(Cut::Start),
    Column::number("kills", 6, "kills that the cgroup counts: memory.oom_control (v1), memory.events (v2)"),
    Column::number("in interval", 11, "kills in the interval: the same"),
    Column::number("usage", 9, "bytes charged: memory.usage_in_bytes (v1), memory.current (v2)"),
    Column::number("limit", 9, "bytes, hard limit: memory.limit_in_bytes (v1), memory.max (v2)"),
    Column::number(
        "limit hits/s",
        12,
        "times a second that the limit was met: memory.failcnt (v1), memory.events max (v2)",
    )
    .rank(1),
];

/// Cgroups that have seen a kill, as the cgroup files count them: this needs no probe.
fn cgroups<'a>(ctx: &Context<'a>) -> Table<'a> {
    let list = ctx.model.cgroups.as_deref();
    let hit = list.unwrap_or_default().iter().filter(|c| c.now.oom_kills.is_some_and(|n| n > 0));
    let counted = list.unwrap_or_default().iter().any(|c| c.now.oom_kills.is_some());
    Table::new("Cgroups with kills", CGROUPS)
        .from("cgroups", &[Source::CGROUPS])
        .rows(hit.map(|c| {
            vec![
                Cell::text(c.now.path.as_str()),
                cells::trouble(c.now.oom_kills.map(|n| n as f64)),
                cells::trouble(c.oom_kills.map(|n| n as f64)),
                cells::bytes(c.now.usage),
                if c.now.unlimited { Cell::text("none").tone(Tone::Dim) } else { cells::bytes(c.now.limit) },
                cells::rate(c.limit_hits),
            ]
        }))
        .empty(match (list, counted) {
            (Some(_), true) => "no cgroup that exists has seen a kill".into(),
            (Some(_), false) => "the cgroup files tell of no kills: no memory cgroup has the count".into(),
            (None, _) => Strip::reason(ctx.no_data("cgroups", &[Source::CGROUPS])),
        })
}
