//! The first line of the screen: host, interval, pause, what is covered and lost.

use jiff::tz::TimeZone;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    context::{Lines, date_and_time, time_of_day},
    strip::{self, About, Strip},
    theme::{Theme, Tone},
};
use crate::{
    model::Model,
    snapshot::{Coverage, coverage::ProbeState},
    units,
};

/// What the loop is doing, for the header.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Status {
    /// Seconds between two snapshots that were asked for.
    pub(super) asked_seconds: f64,
    /// True while nothing new is read.
    pub(super) paused: bool,
    /// How many newer models there are than the one that is shown.
    pub(super) newer: usize,
    /// Place in the recording; `None` if this is live.
    pub(super) replay: Option<Position>,
    /// For how long the snapshot that is awaited has been awaited, in seconds, if that is remarkable.
    pub(super) slow_seconds: Option<f64>,
    /// What could not be done.
    pub(super) trouble: Option<String>,
}

/// Place in a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Snapshot that is shown, from 0.
    pub(super) index: usize,
    /// Snapshots in all, if that is known yet.
    pub(super) count: Option<usize>,
}

const NOWHERE: super::table::Origin = ("", &[]);

const HOST: About = About::new("host", "name of the host", "uname(2) nodename", NOWHERE);
const KERNEL: About = About::new("kernel", "release of the kernel", "uname(2) release", NOWHERE);
const CPUS: About = About::new("CPUs", "number of CPUs that are online", "/sys/devices/system/cpu/online", NOWHERE);
const TIME: About =
    About::new("time", "time of day of what is shown, in the zone of this terminal", "CLOCK_REALTIME", NOWHERE);
const EVERY: About =
    About::new("every", "seconds between the two snapshots that all rates are made of", "CLOCK_MONOTONIC", NOWHERE);
const PLACE: About =
    About::new("replay", "number of the snapshot that is shown, and of those there are", "the recording", NOWHERE);
const PAUSED: About =
    About::new("paused", "number of newer snapshots than the one that is shown", "counted by this screen", NOWHERE);
const SLOW: About = About::new(
    "reading takes",
    "seconds for which the next snapshot has been awaited",
    "the clock of this screen",
    NOWHERE,
);
const TROUBLE: About = About::new("trouble", "why it does not go on, in words", "this screen", NOWHERE);
const LOST: About = About::new(
    "lost",
    "number of events that no output has: a map or ring that was full, a probe that was skipped",
    "counters of the probes; by kind in the coverage (c)",
    NOWHERE,
);
const MISSING: About = About::new(
    "files missing",
    "number of files and netlink answers that could not be read",
    "coverage (c), with the reasons",
    NOWHERE,
);
const PROBES: About =
    About::new("probes", "number of probes that work, and of all", "coverage (c), with the reasons", NOWHERE);

/// A piece of the header; the piece of the highest rank gives way first, rank 0 stays.
struct Piece {
    strip: Strip,
    rank: u8,
}

fn piece(strip: Strip, rank: u8) -> Piece {
    Piece { strip, rank }
}

fn words(about: &About, words: impl Into<String>, tone: Tone, rank: u8) -> Piece {
    piece(Strip::default().words(about, words, tone), rank)
}

/// Probes that work, probes in all.
pub(super) fn probes(coverage: &Coverage) -> (usize, usize) {
    let works = coverage.probes.iter().filter(|p| !matches!(p.state, ProbeState::Absent { .. })).count();
    (works, coverage.probes.len())
}

/// What the header says, and how it looks.
pub(super) struct Header<'a> {
    /// What is shown.
    pub(super) model: Option<&'a Model>,
    /// What the loop is doing.
    pub(super) status: &'a Status,
    /// How things look.
    pub(super) theme: &'a Theme,
    /// Time zone of times of day.
    pub(super) zone: &'a TimeZone,
}

impl Header<'_> {
    /// Draws the first line with the chosen number turned round. Its numbers are those that there is room for.
    pub(super) fn draw(&self, area: Rect, buf: &mut Buffer, chosen: Option<usize>) -> Lines {
        const BLANK: &str = "  ";
        let (mut left, mut right) = (self.left(), self.right());
        let needed = |p: &[Piece]| -> usize { p.iter().map(|p| p.strip.width() + BLANK.len()).sum() };
        while needed(&left) + needed(&right) > usize::from(area.width) + BLANK.len() {
            let worst = |p: &[Piece]| p.iter().map(|p| p.rank).max().unwrap_or(0);
            let from = if worst(&left) >= worst(&right) { &mut left } else { &mut right };
            let rank = worst(from);
            match from.iter().rposition(|p| p.rank == rank).filter(|_| rank > 0) {
                Some(at) => drop(from.remove(at)),
                None => break,
            }
        }
        let join = |pieces: &[Piece]| {
            let join = |line: Strip, p: &Piece| {
                if line.is_empty() { p.strip.clone() } else { line.label(BLANK).then(&p.strip) }
            };
            pieces.iter().fold(Strip::default(), join)
        };
        let (left, right) = (join(&left), join(&right));
        let right_width = u16::try_from(right.width()).unwrap_or(u16::MAX).min(area.width);
        // What is wrong stands right, and stays when the line is too short for both.
        let first = Rect { width: (area.width - right_width).saturating_sub(1), ..area };
        let second = Rect { x: area.right() - right_width, width: right_width, ..area };
        let mut lines = Lines::default();
        for (strip, area) in [(left, first), (right, second)] {
            let before = lines.numbers.len();
            let laid = strip.lay(usize::from(area.width), self.theme);
            let chosen = chosen.and_then(|c| c.checked_sub(before));
            let places = strip::draw(&laid, area, buf, self.theme, chosen);
            lines.places.extend(places.into_iter().map(|(i, place)| (i + before, place)));
            lines.numbers.extend(strip.numbers(self.model));
        }
        lines
    }

    fn left(&self) -> Vec<Piece> {
        let mut left = vec![piece(Strip::default().label_toned("observer", Tone::Title), 7)];
        if let Some(model) = self.model {
            left.push(words(&HOST, model.host.hostname.as_str(), Tone::Plain, 4));
            left.push(words(&KERNEL, model.host.kernel_release.as_str(), Tone::Dim, 5));
            if let Some(cpus) = model.host.cpus {
                let cpus = Strip::default().words(&CPUS, cpus.to_string(), Tone::Dim).label(" CPUs");
                left.push(piece(cpus, 6));
            }
            let time = model.stamp.realtime_ns;
            let replay = self.status.replay.is_some();
            let time = if replay { date_and_time(time, self.zone) } else { time_of_day(time, self.zone) };
            left.push(words(&TIME, time, Tone::Plain, 2));
            left.push(match model.interval {
                Some(i) => {
                    let every = Strip::default().label("every ");
                    piece(every.words(&EVERY, format!("{:.2} s", i.seconds), Tone::Dim), 3)
                }
                None => piece(Strip::default().label("first look"), 3),
            });
        }
        left.extend(self.state().map(|state| piece(state, 0)));
        if let Some(seconds) = self.status.slow_seconds {
            let slow = Strip::default().label_toned("reading takes ", Tone::Warn);
            left.push(piece(slow.number_toned(&SLOW, Some(seconds), units::seconds, Tone::Warn), 1));
        }
        left
    }

    fn right(&self) -> Vec<Piece> {
        let mut right = Vec::new();
        if let Some(trouble) = &self.status.trouble {
            right.push(words(&TROUBLE, trouble.as_str(), Tone::Bad, 1));
        }
        let Some(model) = self.model else { return right };
        let coverage = &model.coverage;
        let lost: u64 = coverage.losses.iter().map(|l| l.count).sum();
        if lost > 0 {
            let words = Strip::default().label_toned("lost ", Tone::Bad);
            right.push(piece(words.number_toned(&LOST, Some(lost as f64), units::count, Tone::Bad), 0));
        }
        let missing = coverage.sources.iter().filter(|s| s.missing.is_some()).count();
        if missing > 0 {
            let number = Strip::default().words(&MISSING, missing.to_string(), Tone::Warn);
            let words = if missing == 1 { " file missing" } else { " files missing" };
            right.push(piece(number.label_toned(words, Tone::Warn), 1));
        }
        let (works, all) = probes(coverage);
        let tone = if works < all || all == 0 { Tone::Warn } else { Tone::Good };
        let strip = if all == 0 {
            Strip::default().label_toned("no probes", tone)
        } else {
            Strip::default().words(&PROBES, format!("{works}/{all}"), tone).label_toned(" probes", tone)
        };
        let full = coverage.is_full() && all > 0;
        right.push(piece(if full { strip } else { strip.label_toned(COVERAGE_HINT, tone) }, 0));
        right
    }

    /// Live, paused, or where in the recording.
    fn state(&self) -> Option<Strip> {
        let Status { replay, paused, newer, .. } = *self.status;
        let strip = Strip::default();
        Some(match (replay, paused, newer) {
            (Some(p), paused, _) => {
                let of = p.count.map(|c| format!("/{c}")).unwrap_or_default();
                let strip = strip.label_toned(if paused { "replay " } else { "playing " }, Tone::Warn);
                strip.words(&PLACE, format!("{}{of}", p.index + 1), Tone::Warn)
            }
            (None, false, _) => return None,
            (None, true, 0) => strip.label_toned("PAUSED", Tone::Warn),
            (None, true, n) => {
                let strip = strip.label_toned("PAUSED ", Tone::Warn).words(&PAUSED, n.to_string(), Tone::Warn);
                strip.label_toned(" back", Tone::Warn)
            }
        })
    }
}

/// Leads to what is missing.
const COVERAGE_HINT: &str = " [c]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tui::keymap::{Action, label_of};

    #[test]
    fn the_hint_names_the_key_of_the_coverage() {
        assert_eq!(COVERAGE_HINT, format!(" [{}]", label_of(Action::Coverage)));
    }
}
