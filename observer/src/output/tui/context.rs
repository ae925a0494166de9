//! What a pane may look at while it draws, and the words for what is missing.

use jiff::{Timestamp, tz::TimeZone};
use ratatui::layout::{Position, Rect};

use super::{screen::PaneState, table::Origin, theme::Theme, timeline::Timeline, trend::Point};
use crate::{
    diagnose::Diagnosis,
    model::Model,
    output::oom::known::Key,
    snapshot::{Stamp, coverage::ProbeState},
};

/// Read-only view of everything that a pane shows.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The model that is shown.
    pub(super) model: &'a Model,
    /// What the rules say of it.
    pub(super) diagnosis: &'a Diagnosis,
    /// The models around it.
    pub(super) timeline: &'a Timeline,
    /// What the user has chosen in the pane.
    pub(super) state: &'a PaneState,
    /// How things look.
    pub(super) theme: &'a Theme,
    /// Time zone of times of day.
    pub(super) zone: &'a TimeZone,
}

/// Where a table came to stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TableFacts {
    /// Its place.
    pub(super) area: Rect,
    /// Rows that can be chosen.
    pub(super) rows: usize,
    /// Place of the first visible row.
    pub(super) first: usize,
    /// Rows that are visible.
    pub(super) visible: usize,
    /// Columns that it can be sorted by.
    pub(super) columns: usize,
    /// Numbers beside them: in its title, its words and the details of the chosen row.
    pub(super) numbers: usize,
}

impl TableFacts {
    /// Place of the row on a line of the screen.
    pub(super) fn row_at(&self, y: u16) -> Option<usize> {
        // Title and heading stand above the rows.
        let line = usize::from(y.checked_sub(self.area.y)?).checked_sub(2)?;
        (line < self.visible && self.first + line < self.rows).then_some(self.first + line)
    }
}

/// A number that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    /// Its name.
    pub(super) name: String,
    /// What is shown; empty for a drawing.
    pub(super) value: String,
    /// What it is, its unit, and its source.
    pub(super) about: String,
    /// Why it is not known, if it is not.
    pub(super) why: Option<String>,
}

impl Number {
    /// The line at the bottom.
    pub(super) fn help(&self) -> String {
        let Self { name, value, about, why } = self;
        match why {
            Some(why) => format!("{name} is not known: {why}; {about}"),
            None if value.is_empty() => format!("{name}: {about}"),
            None => format!("{name} {value}: {about}"),
        }
    }
}

/// Lines of numbers with where they came to stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// Its numbers.
    pub(super) numbers: Vec<Number>,
    /// Places of those that are on the screen.
    pub(super) places: Vec<(usize, Rect)>,
}

impl Lines {
    /// The number at a place of the screen.
    pub(super) fn at(&self, place: Position) -> Option<usize> {
        self.places.iter().find(|(_, area)| area.contains(place)).map(|(number, _)| *number)
    }
}

/// What drawing has found out, for the next key or click.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The first lines of the screen.
    pub(super) header: Lines,
    /// Lines of numbers of the pane.
    pub(super) signs: Lines,
    /// Tables of the pane.
    pub(super) tables: Vec<TableFacts>,
    /// Numbers of the table with the keys that are in no column.
    pub(super) beside: Vec<Number>,
    /// The kill that is chosen, whose explanation can be opened.
    pub(super) opens: Option<Key>,
    /// What the chosen number is, its unit and source; why it is missing if it is.
    pub(super) help: Option<String>,
}

impl Context<'_> {
    /// One number of every tick up to the model that is shown, oldest first.
    pub(super) fn trend(&self, of: impl Fn(&Point) -> Option<f64>) -> Vec<Option<f64>> {
        self.timeline.trend().until(self.model.stamp.monotonic_ns, of)
    }

    /// Why a part of the snapshot is missing: in the words of the probe that feeds it, or of one of its sources.
    pub(super) fn why(&self, part: &str, sources: &[&str]) -> String {
        self.reason(part, sources).unwrap_or_else(|| format!("no probe and no file told of {part}"))
    }

    /// The same, `None` if coverage knows no reason.
    pub(super) fn reason(&self, part: &str, sources: &[&str]) -> Option<String> {
        reason(self.model, part, sources)
    }

    /// The words for a part that is missing.
    pub(super) fn no_data(&self, part: &str, sources: &[&str]) -> String {
        format!("not seen: {}", self.why(part, sources))
    }

    /// Time of day of a moment.
    pub(super) fn time_of_day(&self, realtime_ns: u64) -> String {
        time_of_day(realtime_ns, self.zone)
    }

    /// Time of day of a moment of `CLOCK_MONOTONIC` in the boot of the model.
    pub(super) fn time_of_day_monotonic(&self, monotonic_ns: u64) -> String {
        at_monotonic(self.model.stamp, monotonic_ns, self.zone)
    }
}

/// Time of day of a moment of `CLOCK_MONOTONIC`, by the two clocks of another moment of the same boot.
pub(super) fn at_monotonic(known: Stamp, monotonic_ns: u64, zone: &TimeZone) -> String {
    let before = known.monotonic_ns.saturating_sub(monotonic_ns);
    let after = monotonic_ns.saturating_sub(known.monotonic_ns);
    time_of_day(known.realtime_ns.saturating_sub(before).saturating_add(after), zone)
}

/// Why a part of the snapshot is missing; `None` if coverage knows no reason.
fn reason(model: &Model, part: &str, sources: &[&str]) -> Option<String> {
    let coverage = &model.coverage;
    let probe = coverage.probes.iter().filter(|p| p.feeds == part).find_map(|p| match &p.state {
        ProbeState::Absent { reason, remedy, .. } => {
            let remedy = remedy.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            Some(format!("{}: {reason}{remedy}", p.name))
        }
        ProbeState::Attached | ProbeState::Fallback { .. } => None,
    });
    let source = || sources.iter().find_map(|name| coverage.source_reason(name).map(ToString::to_string));
    probe.or_else(source)
}

/// Why one number is missing, which `source` should have told.
pub(super) fn why_missing(model: Option<&Model>, (part, sources): Origin, source: &str) -> String {
    let Some(model) = model else { return "there is no snapshot yet".to_owned() };
    reason(model, part, sources).unwrap_or_else(|| match model.interval {
        None => "a rate needs a second snapshot".to_owned(),
        Some(_) => format!("{source} does not tell it here, is gone, or was not read anew"),
    })
}

/// `12:34:56`.
pub(super) fn time_of_day(realtime_ns: u64, zone: &TimeZone) -> String {
    strftime(realtime_ns, zone, "%H:%M:%S")
}

/// `2026-01-31 12:34:56`.
pub(super) fn date_and_time(realtime_ns: u64, zone: &TimeZone) -> String {
    strftime(realtime_ns, zone, "%Y-%m-%d %H:%M:%S")
}

fn strftime(realtime_ns: u64, zone: &TimeZone, format: &str) -> String {
    match Timestamp::from_nanosecond(i128::from(realtime_ns)) {
        Ok(time) => time.to_zoned(zone.clone()).strftime(format).to_string(),
        Err(_) => crate::units::UNKNOWN.to_owned(),
    }
}
