//! Puts header, tabs, pane, hints and overlay onto a frame. Reads everything, changes nothing.

use jiff::tz::TimeZone;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::Line,
    widgets::{Clear, Widget as _},
};

use super::{
    context::{Context, Facts, Number},
    header::{Header, Status},
    overlay,
    panes::PANES,
    screen::{Screen, Stop},
    stack::{draw_lines, split},
    tabs,
    text::wrap,
    theme::{Theme, Tone},
    timeline::Timeline,
};

/// Everything that a frame shows.
pub(super) struct View<'a> {
    /// What the user has chosen.
    pub(super) screen: &'a Screen,
    /// Models and findings.
    pub(super) timeline: &'a Timeline,
    /// What the loop is doing.
    pub(super) status: &'a Status,
    /// How things look.
    pub(super) theme: &'a Theme,
    /// Time zone of times of day.
    pub(super) zone: &'a TimeZone,
}

/// From this height on the hints have a line of their own.
const HINTS_FROM: u16 = 6;

/// From this height on the bottom line of a pane tells what the chosen cell is.
const HELP_FROM: u16 = 10;

/// The line of the tabs.
pub(super) fn tabs_line(area: Rect) -> Rect {
    let (_, below) = split(area, 1);
    split(below, 1).0
}

/// From this height on the worst finding has a line of its own where there is no room beside the tabs.
const FINDING_FROM: u16 = 12;

/// Draws a frame.
pub(super) fn draw(view: &View<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    let (theme, screen) = (view.theme, view.screen);
    let model = view.timeline.model();
    let diagnosis = view.timeline.diagnosis();
    let (top, below) = split(area, 1);
    let header = Header { model, status: view.status, theme, zone: view.zone };
    let chosen = screen.state().filter(|s| s.stop == Stop::Header).map(|s| s.header_number);
    let header = header.draw(top, buf, chosen);
    let (line, below) = split(below, 1);
    tabs::draw_tabs(line, buf, screen.pane, theme);
    let lists_findings = PANES.get(screen.pane).is_some_and(|p| p.lists_findings);
    let own_line = area.height >= FINDING_FROM && !lists_findings && tabs::finding_needs_a_line(line, diagnosis);
    let (finding, below) = split(below, usize::from(own_line));
    if own_line {
        tabs::draw_finding(finding, buf, diagnosis, theme);
    } else {
        tabs::draw_finding_beside(line, buf, diagnosis, theme);
    }
    let hints = usize::from(area.height >= HINTS_FROM);
    let (body, hints) = split(below, usize::from(below.height) - hints.min(usize::from(below.height)));
    tabs::draw_hints(hints, buf, screen, theme);
    let facts = Facts { header, ..Facts::default() };
    let facts = pane(view, body, buf, facts);
    match screen.overlay {
        Some(overlay) => overlay::draw(overlay, view, &facts, body, buf),
        None => facts,
    }
}

fn pane(view: &View<'_>, area: Rect, buf: &mut Buffer, facts: Facts) -> Facts {
    let (Some(model), Some(state)) = (view.timeline.model(), view.screen.state()) else {
        let words = Line::styled("waiting for the first snapshot", view.theme.style(Tone::Dim));
        draw_lines(buf, area, &[words], view.theme);
        return facts;
    };
    let context = Context {
        model,
        diagnosis: view.timeline.diagnosis(),
        timeline: view.timeline,
        state,
        theme: view.theme,
        zone: view.zone,
    };
    let Some(pane) = PANES.get(view.screen.pane) else { return facts };
    let draw = |area, buf: &mut Buffer| {
        let drawn = (pane.draw)(&context, area, buf);
        let header = facts.header.clone();
        let chosen = header.numbers.get(state.header_number.min(header.numbers.len().saturating_sub(1)));
        let of_header = chosen.filter(|_| state.stop == Stop::Header).map(Number::help);
        Facts { header, help: of_header.or(drawn.help), ..drawn }
    };
    let help_lines = usize::from(area.height >= HELP_FROM);
    let (above, _) = split(area, usize::from(area.height) - help_lines);
    let mut drawn = draw(above, buf);
    let room = usize::from(area.width.saturating_sub(HELP_INDENT));
    let lines = |facts: &Facts| facts.help.as_ref().map(|h| wrap(h, room)).unwrap_or_default();
    let most = usize::from(area.height / HELP_SHARE).max(1);
    let wanted = lines(&drawn).len().min(most);
    let mut below = Rect { y: area.bottom() - u16::from(help_lines > 0), height: u16::from(help_lines > 0), ..area };
    if help_lines > 0 && wanted > 1 {
        // What the chosen number is needs more than a line: the pane gives way.
        Clear.render(area, buf);
        let (above, rest) = split(area, usize::from(area.height) - wanted);
        drawn = draw(above, buf);
        below = rest;
    }
    let style = view.theme.style(Tone::Dim);
    let help: Vec<Line<'_>> = lines(&drawn).into_iter().map(|l| Line::styled(format!("  {l}"), style)).collect();
    draw_lines(buf, below, &help, view.theme);
    drawn
}

/// Columns that the line at the bottom is moved in.
const HELP_INDENT: u16 = 2;

/// What the chosen number is takes at most this part of the lines of a pane.
const HELP_SHARE: u16 = 4;
