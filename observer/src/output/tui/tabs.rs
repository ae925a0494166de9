//! The tabs, the worst finding beside or below them, and the hints at the bottom.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    keymap::KEYMAP,
    panes::{PANES, Pane},
    screen::Screen,
    text::{Cut, fit},
    theme::{Theme, Tone},
};
use crate::diagnose::{Diagnosis, Finding, Severity};

/// How bad a finding is, in a word that needs no colour.
pub(super) fn severity(severity: Severity) -> (&'static str, Tone) {
    match severity {
        Severity::Critical => ("CRITICAL", Tone::Bad),
        Severity::Warning => ("WARNING", Tone::Warn),
        Severity::Info => ("info", Tone::Plain),
    }
}

/// How much of their names the tabs show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Whole,
    Short,
    None,
}

fn tab(index: usize, pane: &Pane, names: Names) -> String {
    match names {
        Names::Whole => format!(" {} {} ", index + 1, pane.title),
        Names::Short => format!(" {} {} ", index + 1, pane.short),
        Names::None => format!(" {} ", index + 1),
    }
}

/// What the tabs say in so many columns.
fn tabs(room: u16) -> Vec<String> {
    let all = |names| PANES.iter().enumerate().map(|(i, p)| tab(i, p, names)).collect::<Vec<_>>();
    let fits = |tabs: &[String]| tabs.iter().map(|t| t.len() + 1).sum::<usize>() <= usize::from(room) + 1;
    let sizes = [Names::Whole, Names::Short].map(all);
    sizes.into_iter().find(|tabs| fits(tabs)).unwrap_or_else(|| all(Names::None))
}

/// Places of the tabs in a line.
pub(super) fn tab_areas(area: Rect) -> Vec<Rect> {
    let mut x = area.x;
    tabs(area.width)
        .into_iter()
        .map(|tab| {
            let wanted = u16::try_from(tab.len()).unwrap_or(u16::MAX);
            let width = wanted.min(area.right().saturating_sub(x));
            let place = Rect { x, width, ..area };
            x = x.saturating_add(width + 1).min(area.right());
            place
        })
        .collect()
}

/// Columns that are left beside the tabs.
fn beside(area: Rect) -> Rect {
    let used = tab_areas(area).last().map_or(area.x, |t| t.right()).saturating_add(2).min(area.right());
    Rect { x: used, width: area.right() - used, ..area }
}

/// True if the worst finding cannot be read beside the tabs, and needs a line of its own.
pub(super) fn finding_needs_a_line(area: Rect, diagnosis: &Diagnosis) -> bool {
    /// Columns of the terminal in which a verdict says who and what.
    const ENOUGH: u16 = 60;
    !diagnosis.findings.is_empty() && beside(area).width < ENOUGH
}

/// Draws the tabs.
pub(super) fn draw_tabs(area: Rect, buf: &mut Buffer, chosen: usize, theme: &Theme) {
    if area.is_empty() {
        return;
    }
    for ((i, tab), place) in tabs(area.width).into_iter().enumerate().zip(tab_areas(area)) {
        let style: Style = if i == chosen { theme.chosen() } else { theme.style(Tone::Plain) };
        buf.set_stringn(place.x, place.y, tab, usize::from(place.width), style);
    }
}

/// Draws the worst finding beside the tabs.
pub(super) fn draw_finding_beside(area: Rect, buf: &mut Buffer, diagnosis: &Diagnosis, theme: &Theme) {
    let area = beside(area);
    if area.is_empty() {
        return;
    }
    if let Some(line) = finding(diagnosis, usize::from(area.width), theme) {
        let width = u16::try_from(line.width()).unwrap_or(u16::MAX).min(area.width);
        buf.set_line(area.right() - width, area.y, &line, width);
    }
}

/// Draws the worst finding on a line of its own.
pub(super) fn draw_finding(area: Rect, buf: &mut Buffer, diagnosis: &Diagnosis, theme: &Theme) {
    if let Some(line) = finding(diagnosis, usize::from(area.width), theme) {
        buf.set_line(area.x, area.y, &line, area.width);
    }
}

/// `WARNING cgroup /a stalls at its memory limit (and 2 more)`.
fn finding(diagnosis: &Diagnosis, room: usize, theme: &Theme) -> Option<Line<'static>> {
    /// Columns of a verdict that are worth it.
    const SOME: usize = 8;
    let worst: &Finding = diagnosis.findings.first()?;
    let (word, tone) = severity(worst.severity);
    let more = match diagnosis.findings.len() - 1 {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let left = room.checked_sub(word.len() + 1 + more.len()).filter(|left| *left >= SOME)?;
    let verdict = fit(&worst.verdict, left, Cut::End, theme.glyphs);
    Some(Line::from(vec![
        Span::styled(word, theme.style(tone)),
        Span::raw(format!(" {verdict}")),
        Span::styled(more, theme.style(Tone::Dim)),
    ]))
}

/// Between two hints.
const BETWEEN: &str = "  ";

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
        let mut used: usize = spans.iter().map(Span::width).sum();
        for (binding, hint) in KEYMAP.iter().filter_map(|b| Some((b, b.hint?))) {
            let key = binding.keys.first().map(super::keymap::Key::label).unwrap_or_default();
            let (key, hint) = (Span::styled(key, theme.style(Tone::Title)), format!(" {hint}"));
            used += key.width() + hint.len();
            // A hint that is cut leads nowhere; the first, to the help, stays.
            if used > usize::from(area.width) && !spans.is_empty() {
                break;
            }
            used += BETWEEN.len();
            spans.extend([key, Span::styled(hint, theme.style(Tone::Dim)), Span::raw(BETWEEN)]);
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
        for width in 0..90 {
            let area = Rect::new(3, 1, width, 1);
            assert!(tab_areas(area).iter().all(|t| t.right() <= area.right() && t.x >= area.x), "at {width}");
        }
    }

    #[test]
    fn no_tab_is_cut_on_a_screen_that_is_wide_enough_for_digits() {
        for width in 31..200 {
            let areas = tab_areas(Rect::new(0, 0, width, 1));
            let tabs = tabs(width);
            assert!(areas.iter().zip(&tabs).all(|(area, tab)| usize::from(area.width) == tab.len()), "at {width}");
        }
        assert!(tabs(100).concat().contains("Overview") && tabs(70).concat().contains("Mem"));
    }
}
