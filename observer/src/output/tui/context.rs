//! What a pane may look at while it draws, and the words for what is missing.

use jiff::{Timestamp, tz::TimeZone};
use ratatui::layout::Rect;

use super::{screen::PaneState, theme::Theme, timeline::Timeline, trend::Point};
use crate::{
    diagnose::Diagnosis,
    model::Model,
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
}

impl TableFacts {
    /// Place of the row on a line of the screen.
    pub(super) fn row_at(&self, y: u16) -> Option<usize> {
        // Title and heading stand above the rows.
        let line = usize::from(y.checked_sub(self.area.y)?).checked_sub(2)?;
        (line < self.visible && self.first + line < self.rows).then_some(self.first + line)
    }
}

/// What drawing has found out, for the next key or click.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Tables of the pane.
    pub(super) tables: Vec<TableFacts>,
    /// What the chosen cell is, its unit and source; why it is missing if it is.
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
        let coverage = &self.model.coverage;
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
        let Stamp { monotonic_ns: now, realtime_ns, .. } = self.model.stamp;
        self.time_of_day(realtime_ns.saturating_sub(now.saturating_sub(monotonic_ns)))
    }
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
