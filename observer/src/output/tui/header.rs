//! The first lines of the screen: host, interval, pause, what is covered and lost; the tabs; and the hints at the bottom.

use jiff::tz::TimeZone;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    context::{date_and_time, time_of_day},
    keymap::{Action, KEYMAP, label_of},
    panes::PANES,
    screen::Screen,
    text::{Cut, fit},
    theme::{Theme, Tone},
};
use crate::{
    diagnose::{Diagnosis, Severity},
    model::Model,
    snapshot::{Coverage, coverage::ProbeState},
    units,
};

/// How bad a finding is, in a word that needs no colour.
pub(super) fn severity(severity: Severity) -> (&'static str, Tone) {
    match severity {
        Severity::Critical => ("CRITICAL", Tone::Bad),
        Severity::Warning => ("WARNING", Tone::Warn),
        Severity::Info => ("info", Tone::Plain),
    }
}

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

/// A piece of the header; the piece of the highest rank gives way first, rank 0 stays.
struct Piece {
    text: String,
    tone: Tone,
    rank: u8,
}

fn piece(text: impl Into<String>, tone: Tone, rank: u8) -> Piece {
    Piece { text: text.into(), tone, rank }
}

/// Probes that work, probes in all.
pub(super) fn probes(coverage: &Coverage) -> (usize, usize) {
    let works = coverage.probes.iter().filter(|p| !matches!(p.state, ProbeState::Absent { .. })).count();
    (works, coverage.probes.len())
}

/// Draws the first line.
pub(super) fn draw(
    area: Rect,
    buf: &mut Buffer,
    model: Option<&Model>,
    status: &Status,
    theme: &Theme,
    zone: &TimeZone,
) {
    let (left, right) = pieces(model, status, zone);
    let blank = 2;
    let needed = |p: &[Piece]| -> usize { p.iter().map(|p| Span::raw(p.text.as_str()).width() + blank).sum() };
    let (mut left, mut right) = (left, right);
    while needed(&left) + needed(&right) > usize::from(area.width) + blank {
        let worst = |p: &[Piece]| p.iter().map(|p| p.rank).max().unwrap_or(0);
        let from = if worst(&left) >= worst(&right) { &mut left } else { &mut right };
        let rank = worst(from);
        match from.iter().rposition(|p| p.rank == rank).filter(|_| rank > 0) {
            Some(at) => drop(from.remove(at)),
            None => break,
        }
    }
    let line = |pieces: &[Piece]| -> Line<'static> {
        let mut spans = Vec::new();
        for p in pieces {
            if !spans.is_empty() {
                spans.push(Span::raw(" ".repeat(blank)));
            }
            spans.push(Span::styled(p.text.clone(), theme.style(p.tone)));
        }
        Line::from(spans)
    };
    let (left, right) = (line(&left), line(&right));
    if area.height == 0 {
        return;
    }
    let right_width = u16::try_from(right.width()).unwrap_or(u16::MAX).min(area.width);
    // What is wrong stands right, and stays when the line is too short for both.
    buf.set_line(area.x, area.y, &left, (area.width - right_width).saturating_sub(1));
    buf.set_line(area.right() - right_width, area.y, &right, right_width);
}

fn pieces(model: Option<&Model>, status: &Status, zone: &TimeZone) -> (Vec<Piece>, Vec<Piece>) {
    let mut left = vec![piece("observer", Tone::Title, 7)];
    let mut right = Vec::new();
    if let Some(model) = model {
        left.push(piece(model.host.hostname.as_str(), Tone::Plain, 4));
        left.push(piece(model.host.kernel_release.as_str(), Tone::Dim, 5));
        if let Some(cpus) = model.host.cpus {
            left.push(piece(format!("{cpus} CPUs"), Tone::Dim, 6));
        }
        let time = model.stamp.realtime_ns;
        let time = if status.replay.is_some() { date_and_time(time, zone) } else { time_of_day(time, zone) };
        left.push(piece(time, Tone::Plain, 2));
        let interval = model.interval.map_or("first look".to_owned(), |i| format!("every {:.2} s", i.seconds));
        left.push(piece(interval, Tone::Dim, 3));
    }
    left.extend(state(status));
    if let Some(seconds) = status.slow_seconds {
        left.push(piece(format!("reading takes {}", units::seconds(seconds)), Tone::Warn, 1));
    }
    if let Some(trouble) = &status.trouble {
        right.push(piece(trouble.as_str(), Tone::Bad, 1));
    }
    if let Some(model) = model {
        let coverage = &model.coverage;
        let lost: u64 = coverage.losses.iter().map(|l| l.count).sum();
        if lost > 0 {
            right.push(piece(format!("lost {}", units::count(lost as f64)), Tone::Bad, 0));
        }
        let missing = coverage.sources.iter().filter(|s| s.missing.is_some()).count();
        if missing > 0 {
            right.push(piece(format!("{missing} files missing"), Tone::Warn, 1));
        }
        let (works, all) = probes(coverage);
        let tone = if works < all || all == 0 { Tone::Warn } else { Tone::Good };
        let words = if all == 0 { "no probes".to_owned() } else { format!("{works}/{all} probes") };
        let key = label_of(Action::Coverage);
        let hint = if coverage.is_full() && all > 0 { String::new() } else { format!(" [{key}]") };
        right.push(piece(format!("{words}{hint}"), tone, 0));
    }
    (left, right)
}

/// Live, paused, or where in the recording.
fn state(status: &Status) -> Option<Piece> {
    let words = match (status.replay, status.paused, status.newer) {
        (Some(p), paused, _) => {
            let what = if paused { "replay" } else { "playing" };
            let of = p.count.map(|c| format!("/{c}")).unwrap_or_default();
            return Some(piece(format!("{what} {}{of}", p.index + 1), Tone::Warn, 0));
        }
        (None, false, _) => return None,
        (None, true, 0) => "PAUSED".to_owned(),
        (None, true, n) => format!("PAUSED {n} back"),
    };
    Some(piece(words, Tone::Warn, 0))
}

/// Places of the tabs in a line.
pub(super) fn tab_areas(area: Rect) -> Vec<Rect> {
    let mut x = area.x;
    PANES
        .iter()
        .enumerate()
        .map(|(i, pane)| {
            let wanted = u16::try_from(tab(i, pane.title).len()).unwrap_or(u16::MAX);
            let width = wanted.min(area.right().saturating_sub(x));
            let place = Rect { x, width, ..area };
            x = x.saturating_add(width + 1).min(area.right());
            place
        })
        .collect()
}

fn tab(index: usize, title: &str) -> String {
    format!(" {} {title} ", index + 1)
}

/// Draws the tabs, and beside them the worst finding, which no pane is to hide.
pub(super) fn draw_tabs(area: Rect, buf: &mut Buffer, chosen: usize, diagnosis: &Diagnosis, theme: &Theme) {
    if area.is_empty() {
        return;
    }
    let used = tab_areas(area).last().map_or(area.x, |t| t.right());
    if let Some(worst) = diagnosis.findings.first() {
        let (word, tone) = severity(worst.severity);
        let more = match diagnosis.findings.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let room = usize::from(area.right().saturating_sub(used + 2));
        let fixed = word.len() + 1 + more.len();
        let verdict = fit(&worst.verdict, room.saturating_sub(fixed), Cut::End, theme.glyphs);
        let line = Line::from(vec![
            Span::styled(word, theme.style(tone)),
            Span::raw(format!(" {verdict}")),
            Span::styled(more, theme.style(Tone::Dim)),
        ]);
        let width = u16::try_from(line.width()).unwrap_or(u16::MAX);
        if usize::from(width) <= room {
            buf.set_line(area.right() - width, area.y, &line, width);
        }
    }
    for (i, (pane, place)) in PANES.iter().zip(tab_areas(area)).enumerate() {
        let style: Style = if i == chosen { theme.chosen() } else { theme.style(Tone::Plain) };
        buf.set_stringn(place.x, place.y, tab(i, pane.title), usize::from(place.width), style);
    }
}

/// Draws the last line: the filter while it is written or set, else what the keys do.
pub(super) fn draw_hints(area: Rect, buf: &mut Buffer, screen: &Screen, theme: &Theme) {
    if area.is_empty() {
        return;
    }
    let filter = screen.state().map(|s| s.filter.text.as_str()).unwrap_or_default();
    let line = if screen.writing_filter {
        Line::from(vec![
            Span::styled("filter ", theme.style(Tone::Title)),
            Span::raw(filter.to_owned()),
            Span::styled(" ", theme.chosen()),
            Span::styled("  Enter keeps, Esc clears; text, !text, usage > 1 GiB", theme.style(Tone::Dim)),
        ])
    } else {
        let mut spans = Vec::new();
        if !filter.is_empty() {
            spans.push(Span::styled(format!("filter {filter}"), theme.style(Tone::Warn)));
            spans.push(Span::styled(" (Esc clears)  ", theme.style(Tone::Dim)));
        }
        for (binding, hint) in KEYMAP.iter().filter_map(|b| Some((b, b.hint?))) {
            let key = binding.keys.first().map(super::keymap::Key::label).unwrap_or_default();
            spans.push(Span::styled(key, theme.style(Tone::Title)));
            spans.push(Span::styled(format!(" {hint}  "), theme.style(Tone::Dim)));
        }
        Line::from(spans)
    };
    buf.set_line(area.x, area.y, &line, area.width);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_stay_in_the_line_however_short_it_is() {
        for width in 0..60 {
            let area = Rect::new(3, 1, width, 1);
            assert!(tab_areas(area).iter().all(|t| t.right() <= area.right() && t.x >= area.x), "at {width}");
        }
    }
}
