//! OOM kills, newest first: who asked for memory, who was killed, and which reclaim came before.

mod by_time;
mod kills;

use ratatui::{buffer::Buffer, layout::Rect};

use self::kills::KILLS;
use super::Pane;
use crate::{
    output::tui::{
        cells,
        context::{Context, Facts},
        screen::Stop,
        stack,
        strip::{About, Strip},
        table::{Cell, Column, Origin, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::{coverage::Source, oom::OomTask, oom_watch::OomWatch},
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
    let known = kills::known(ctx);
    let table = kills::kills(ctx, &known);
    let state = ctx.state.of(0);
    let order = table.order(&state, &ctx.state.filter);
    let chosen = order.get(state.row.min(order.len().saturating_sub(1)));
    let chosen = chosen.and_then(|i| known.get(*i)).map(|k| k.key);
    let most = usize::from(area.height / LINES_A_CGROUP).max(1);
    let mut signs = counts(ctx);
    signs.extend(by_time::lines(ctx, usize::from(area.width), most, chosen));
    let facts = stack::draw(ctx, area, buf, &signs, &[table, cgroups(ctx)]);
    // Of the other table a row is no kill.
    Facts { opens: chosen.filter(|_| ctx.state.table == 0 || ctx.state.stop != Stop::Table), ..facts }
}

/// Lines of the pane for each cgroup on the axis of time.
const LINES_A_CGROUP: u16 = 8;

/// Whether a moment lies in the interval that is shown; `None` if there is none.
fn at(ctx: &Context<'_>, monotonic_ns: u64) -> Option<bool> {
    let now = ctx.model.stamp.monotonic_ns;
    let length = (ctx.model.interval?.seconds * 1e9) as u64;
    Some(monotonic_ns <= now && monotonic_ns > now.saturating_sub(length))
}

/// The memory cgroup of a task: its path, or its number where no path is known.
fn cgroup_of(task: &OomTask) -> Option<String> {
    match (&task.cgroup_path, task.cgroup) {
        (Some(path), _) => Some(path.to_string()),
        (None, Some(id)) => Some(format!("id {} (its path is not known)", id.0)),
        (None, None) => None,
    }
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
    let third = ctx.model.oom_watch.as_ref().map(|watch| by_source(ctx, watch));
    [line, second].into_iter().chain(third).collect()
}

/// Kills as each source counts them since observer began to look; what they disagree on a finding tells.
fn by_source(ctx: &Context<'_>, watch: &OomWatch) -> Strip {
    let counts = &watch.counts;
    let [since, vmstat, cgroups, probe, log, exiting] = &BY_SOURCE;
    let disagree = ctx.diagnosis.findings.iter().any(|f| f.rule == DISAGREEMENT);
    let tone = if disagree { Tone::Warn } else { Tone::Plain };
    let number = |strip: Strip, about, n: Option<u64>| {
        strip.number_toned(about, n.map(|n| n as f64), |n| format!("{n:.0}"), tone)
    };
    let strip = Strip::default()
        .label("Kills by source since ")
        .words(since, ctx.time_of_day(counts.since.realtime_ns), Tone::Plain)
        .label("  vmstat ");
    let strip = number(strip, vmstat, counts.vmstat).label("  cgroups ");
    let strip = number(strip, cgroups, counts.cgroups.map(|c| c.total())).label("  probe ");
    let strip = number(strip, probe, counts.probe.map(|p| p.marked)).label("  log ");
    let strip = number(strip, log, counts.log.map(|l| l.killed));
    let strip = match counts.log.map_or(0, |l| l.already_exiting) {
        0 => strip,
        n => number(strip.label("  ending already "), exiting, Some(n)),
    };
    let Some(stored) = watch.stored else { return strip };
    let strip = strip.label("  stored ").words(&STORED, stored.kills.to_string(), Tone::Plain);
    match stored.failures {
        0 => strip,
        n => strip.label("  failed ").words(&FAILED, n.to_string(), Tone::Bad),
    }
}

const STORED: About = About::new("stored", "number of kills of which a record was begun", "--oom-dir", WATCH);
const FAILED: About =
    About::new("failed", "number of writes of records that failed; the coverage says why", "--oom-dir", WATCH);

/// The rule that compares the sources.
const DISAGREEMENT: &str = "oom_disagreement";

const WATCH: Origin = ("oom_watch", &["/dev/kmsg", Source::VMSTAT, Source::CGROUPS]);
const BY_SOURCE: [About; 6] = [
    About::new("since", "time of day at which all four counts began", "CLOCK_REALTIME", WATCH),
    About::new("vmstat", "number of kills, as the kernel counts them", "/proc/vmstat oom_kill", WATCH),
    About::new(
        "cgroups",
        "number of kills that all memory cgroups counted, those of removed cgroups included",
        "memory.oom_control (v1), memory.events.local oom_kill (v2)",
        WATCH,
    ),
    About::new("probe", "number of victims that were marked", "tracepoint oom:mark_victim", WATCH),
    About::new("log", "number of lines `Killed process`", "the kernel's log, /dev/kmsg", WATCH),
    About::new(
        "ending already",
        "number of victims that were ending anyway, which are marked and not killed",
        "the kernel's log, Skip killing",
        WATCH,
    ),
];

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
