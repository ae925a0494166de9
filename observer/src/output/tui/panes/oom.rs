//! OOM kills, newest first: who asked for memory, who was killed, and which reclaim came before.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
};

use super::Pane;
use crate::{
    model::oom::Kill,
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
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

pub(super) const PANE: Pane = Pane {
    name: "oom",
    title: "OOM",
    first_table: 0,
    tables: &[("Kills", KILLS), ("Cgroups with kills", CGROUPS)],
    draw,
};

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    stack::draw(ctx, area, buf, &counts(ctx), &[kills(ctx), cgroups(ctx)])
}

fn counts(ctx: &Context<'_>) -> Vec<Line<'static>> {
    let theme = ctx.theme;
    let label = |text: &str| Span::styled(text.to_owned(), theme.style(Tone::Dim));
    let kernel = ctx.model.memory.vm.oom_kills;
    let from_vmstat = match kernel {
        Some(n) => {
            Span::styled(format!("{n} in this interval"), theme.style(if n > 0 { Tone::Bad } else { Tone::Plain }))
        }
        None => Span::raw(units::UNKNOWN),
    };
    let line = match &ctx.model.oom {
        Some(oom) => {
            let lost = if oom.events_lost > 0 { Tone::Bad } else { Tone::Plain };
            vec![
                label("Kills since the probe was attached "),
                Span::styled(oom.kills.to_string(), theme.style(if oom.kills > 0 { Tone::Bad } else { Tone::Good })),
                label("  details kept "),
                Span::raw(oom.recent.len().to_string()),
                label("  details lost "),
                Span::styled(oom.events_lost.to_string(), theme.style(lost)),
            ]
        }
        None => vec![Span::styled("The OOM probe does not run", theme.style(Tone::Warn))],
    };
    let second = vec![label("oom_kill of /proc/vmstat  "), from_vmstat];
    vec![Line::from(line), Line::from(second)]
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
        return table.empty(format!("{}. Kills by cgroup, below, still count.", ctx.no_data("oom", &[Source::VMSTAT])));
    };
    let since = ctx.timeline.first().map_or(units::UNKNOWN.to_owned(), |s| ctx.time_of_day(s.realtime_ns));
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
            format!("{} kills, and the details of none were kept", oom.kills)
        } else {
            format!("no kill seen since {since}")
        })
        .details(move |i| oom.recent.get(i).map(|k| kill_details(&ctx, k)).unwrap_or_default())
}

fn kill_details(ctx: &Context<'_>, k: &Kill) -> Vec<String> {
    let cgroup = |t: &OomTask| match (&t.cgroup_path, t.cgroup) {
        (Some(path), _) => path.to_string(),
        (None, Some(id)) => format!("id {} (its path is not known)", id.0),
        (None, None) => units::UNKNOWN.to_owned(),
    };
    vec![
        format!("Kill {} at {}", k.event.sequence, ctx.time_of_day_monotonic(k.event.monotonic_ns)),
        format!("killed: {} in cgroup {}", task(&k.event.victim), cgroup(&k.event.victim)),
        format!("for a request of: {} in cgroup {}", task(&k.event.trigger), cgroup(&k.event.trigger)),
        k.event.last_reclaim.as_ref().map_or_else(|| "no reclaim of the asker was seen before".to_owned(), reclaim),
    ]
}

fn reclaim(r: &OomReclaim) -> String {
    let ns = |ns: u64| units::seconds(ns as f64 / 1e9);
    let what = match (r.reclaimed_bytes, r.duration_ns) {
        (Some(bytes), Some(took)) => format!("found {} in {}", units::bytes(bytes as f64), ns(took)),
        _ => "had not ended".to_owned(),
    };
    format!(
        "last reclaim: {} limit, order {}, gfp {:#x}, begun {} before the kill, {what}",
        cells::kind(r.kind),
        r.order,
        r.gfp,
        ns(r.begun_before_ns)
    )
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
            (Some(_), true) => "no cgroup that exists has seen a kill".to_owned(),
            (Some(_), false) => "the cgroup files tell of no kills: no memory cgroup has the count".to_owned(),
            (None, _) => ctx.no_data("cgroups", &[Source::CGROUPS]),
        })
}
