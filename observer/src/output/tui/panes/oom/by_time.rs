//! Kills on an axis of time, a line for each cgroup that was hit.

use std::collections::BTreeMap;

use super::{OOM, at, cgroup_of};
use crate::{
    output::{
        oom::known::Key,
        tui::{
            context::Context,
            strip::{About, Strip},
            text::{Cut, fit, width},
            theme::Tone,
        },
    },
    units,
};

const BEGIN: About = About::new(
    "begin",
    "time of day of the left end: of the first snapshot of this screen, or of the first kill if that was before",
    "CLOCK_REALTIME, CLOCK_MONOTONIC",
    OOM,
);
const END: About =
    About::new("end", "time of day of the right end, that of the newest snapshot", "CLOCK_REALTIME", ("", &[]));
const SPAN: About = About::new("span", "time from the left end to the right end", "CLOCK_MONOTONIC", ("", &[]));
const COLUMN: About = About::new("column", "time that one column stands for", "CLOCK_MONOTONIC", ("", &[]));
const VICTIMS: About = About::new(
    "killed in",
    "path of the memory cgroup of the victims; kills without details are those of which only the count is known",
    "task_struct cgroups, oom-kill:task_memcg of the kernel's log",
    OOM,
);
const COUNT: About = About::new(
    "kills",
    "number of kills on this line",
    "tracepoint oom:mark_victim, the kernel's log, /proc/vmstat oom_kill",
    OOM,
);
const MARKS: About = About::new(
    "kills by time",
    "number of kills in each column, + for ten or more; the chosen kill is underlined, and where an older moment is shown a bar stands at it",
    "tracepoint oom:mark_victim, the kernel's log, /proc/vmstat oom_kill",
    OOM,
);

/// Columns of the terminal for a count.
const COUNTS: usize = 4;
/// Fewer columns for marks are not worth it.
const FEWEST: usize = 10;

/// Kills in one column.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    kills: u64,
    chosen: bool,
    recent: bool,
    later: bool,
}

/// The axis.
struct Axis {
    begin_ns: u64,
    end_ns: u64,
    columns: usize,
}

impl Axis {
    fn column(&self, ns: u64) -> usize {
        let span = self.end_ns.saturating_sub(self.begin_ns).max(1);
        let from = ns.saturating_sub(self.begin_ns).min(span);
        (u128::from(from) * self.columns.saturating_sub(1) as u128 / u128::from(span)) as usize
    }
}

/// A line of marks.
struct Row {
    name: String,
    kills: u64,
    marks: Vec<Mark>,
}

impl Row {
    fn new(name: impl Into<String>, columns: usize) -> Self {
        Self { name: name.into(), kills: 0, marks: vec![Mark::default(); columns] }
    }

    fn add(&mut self, column: usize, mark: Mark) {
        self.kills += mark.kills;
        if let Some(known) = self.marks.get_mut(column) {
            known.kills += mark.kills;
            known.chosen |= mark.chosen;
            known.recent |= mark.recent;
            known.later = mark.later;
        }
    }

    fn take(&mut self, other: &Self) {
        other.marks.iter().enumerate().filter(|(_, m)| m.kills > 0).for_each(|(i, m)| self.add(i, *m));
    }
}

/// The axis and the cgroups with most kills, in so many columns and at most so many lines of cgroups. Nothing where there
/// was no kill.
pub(super) fn lines(ctx: &Context<'_>, room: usize, most: usize, chosen: Option<Key>) -> Vec<Strip> {
    let known = ctx.timeline.kills();
    let Some(first_ns) = known.first_ns() else { return Vec::new() };
    let names = (room / 4).clamp(12, 40);
    let columns = room.saturating_sub(names + COUNTS + 2).max(FEWEST);
    let shown_ns = ctx.model.stamp.monotonic_ns;
    let axis = Axis {
        begin_ns: ctx.timeline.first().map_or(first_ns, |s| s.monotonic_ns.min(first_ns)),
        end_ns: ctx.timeline.newest().map_or(shown_ns, |s| s.monotonic_ns.max(shown_ns)),
        columns,
    };
    let rows = rows(ctx, &axis, most, chosen);
    let span = axis.end_ns.saturating_sub(axis.begin_ns) as f64 / 1e9;
    let time = |ns| ctx.time_of_day_monotonic(ns);
    let head = Strip::default()
        .label_toned("Kills by time ", Tone::Title)
        .words(&BEGIN, time(axis.begin_ns), Tone::Plain)
        .label(" to ")
        .words(&END, time(axis.end_ns), Tone::Plain)
        .label(", ")
        .number(&SPAN, Some(span), units::seconds)
        .label(", a column is ")
        .number(&COLUMN, Some(span / columns as f64), units::seconds);
    // Where the newest is shown there is no other moment to tell apart.
    let cursor = (shown_ns < axis.end_ns).then(|| axis.column(shown_ns));
    let row = |row: &Row| {
        let name = fit(&row.name, names, Cut::Start, ctx.theme.glyphs);
        let blank = " ".repeat(names.saturating_sub(width(&name)) + 1);
        let count = format!("{:>COUNTS$} ", units::count(row.kills as f64).replace(' ', ""));
        Strip::default()
            .pieces(&VICTIMS, &row.name, [(name + &blank, Tone::Plain)])
            .pieces(&COUNT, row.kills.to_string(), [(count, Tone::Plain)])
            .pieces(&MARKS, "", drawn(ctx, row, cursor))
    };
    [head].into_iter().chain(rows.iter().map(row)).collect()
}

fn rows(ctx: &Context<'_>, axis: &Axis, most: usize, chosen: Option<Key>) -> Vec<Row> {
    let shown_ns = ctx.model.stamp.monotonic_ns;
    let mark = |ns: u64, kills: u64| Mark {
        kills,
        recent: at(ctx, ns).is_some_and(|in_interval| in_interval),
        later: ns > shown_ns,
        chosen: false,
    };
    let mut by_cgroup: BTreeMap<String, Row> = BTreeMap::new();
    for kill in ctx.timeline.kills().newest_first() {
        let name = cgroup_of(&kill.victim()).unwrap_or_else(|| units::UNKNOWN.to_owned());
        let ns = kill.key.monotonic_ns;
        let is_chosen = chosen == Some(kill.key);
        let row = by_cgroup.entry(name).or_insert_with_key(|name| Row::new(name, axis.columns));
        row.add(axis.column(ns), Mark { chosen: is_chosen, ..mark(ns, 1) });
    }
    let mut rows: Vec<Row> = by_cgroup.into_values().collect();
    rows.sort_by_key(|r| std::cmp::Reverse(r.kills));
    let mut unseen = Row::new("kills without details", axis.columns);
    ctx.timeline.kills().unseen().for_each(|u| unseen.add(axis.column(u.monotonic_ns), mark(u.monotonic_ns, u.kills)));
    if rows.len() > most.max(1) {
        let mut others = Row::new(format!("{} other cgroups", rows.len() + 1 - most.max(1)), axis.columns);
        rows.split_off(most.max(1) - 1).iter().for_each(|row| others.take(row));
        rows.push(others);
    }
    rows.extend((unseen.kills > 0).then_some(unseen));
    rows
}

/// The marks of a line, neighbours that look alike together.
fn drawn(ctx: &Context<'_>, row: &Row, cursor: Option<usize>) -> Vec<(String, Tone)> {
    let glyphs = ctx.theme.glyphs;
    let mut runs: Vec<(String, Tone)> = Vec::new();
    for (column, mark) in row.marks.iter().enumerate() {
        let (text, tone) = match mark.kills {
            0 if cursor == Some(column) => (glyphs.cursor.to_owned(), Tone::Title),
            0 => (glyphs.rule.to_owned(), Tone::Dim),
            n => {
                let tone = match mark {
                    Mark { chosen: true, .. } => Tone::Focus,
                    Mark { later: true, .. } => Tone::Dim,
                    Mark { recent: true, .. } => Tone::Bad,
                    _ => Tone::Warn,
                };
                (if n < 10 { n.to_string() } else { "+".to_owned() }, tone)
            }
        };
        match runs.last_mut().filter(|(_, last)| *last == tone) {
            Some((run, _)) => run.push_str(&text),
            None => runs.push((text, tone)),
        }
    }
    runs
}
