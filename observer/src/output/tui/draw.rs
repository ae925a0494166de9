//! Puts header, tabs, pane, hints and overlay onto a frame. Reads everything, changes nothing.

use jiff::tz::TimeZone;
use ratatui::{buffer::Buffer, layout::Rect, text::Line};

use super::{
    context::{Context, Facts},
    header::{self, Status},
    overlay,
    panes::PANES,
    screen::Screen,
    stack::{draw_lines, split},
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

/// Draws a frame.
pub(super) fn draw(view: &View<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    let (theme, screen) = (view.theme, view.screen);
    let model = view.timeline.model();
    let (top, below) = split(area, 1);
    header::draw(top, buf, model, view.status, theme, view.zone);
    let (tabs, below) = split(below, 1);
    header::draw_tabs(tabs, buf, screen.pane, view.timeline.diagnosis(), theme);
    let hints = usize::from(area.height >= HINTS_FROM);
    let (body, hints) = split(below, usize::from(below.height) - hints.min(usize::from(below.height)));
    header::draw_hints(hints, buf, screen, theme);
    let facts = pane(view, body, buf);
    match screen.overlay {
        Some(overlay) => overlay::draw(overlay, screen.pane, screen.overlay_line, model, theme, body, buf),
        None => facts,
    }
}

fn pane(view: &View<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    let (Some(model), Some(state)) = (view.timeline.model(), view.screen.state()) else {
        let words = Line::styled("waiting for the first snapshot", view.theme.style(Tone::Dim));
        draw_lines(buf, area, &[words], view.theme);
        return Facts::default();
    };
    let context = Context {
        model,
        diagnosis: view.timeline.diagnosis(),
        timeline: view.timeline,
        state,
        theme: view.theme,
        zone: view.zone,
    };
    let help = usize::from(area.height >= HELP_FROM);
    let (area, below) = split(area, usize::from(area.height) - help);
    let facts = PANES.get(view.screen.pane).map(|p| (p.draw)(&context, area, buf)).unwrap_or_default();
    if let Some(help) = &facts.help {
        draw_lines(buf, below, &[Line::styled(format!("  {help}"), view.theme.style(Tone::Dim))], view.theme);
    }
    facts
}
