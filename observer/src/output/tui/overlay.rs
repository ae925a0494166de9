//! What lies over the panes: the keys, and the coverage. Both are a list of lines that can be scrolled.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::{Block, Clear, Widget},
};

use super::{
    context::{Facts, TableFacts},
    draw::View,
    explained,
    keymap::{Group, KEYMAP, Key},
    numbers,
    screen::Overlay,
    stack::draw_lines,
    text::wrap,
    theme::{Theme, Tone},
};
use crate::{
    model::Model,
    snapshot::coverage::{Probe, ProbeState},
    units,
};

/// Draws an overlay over the middle of an area.
pub(super) fn draw(overlay: Overlay, view: &View<'_>, facts: &Facts, area: Rect, buf: &mut Buffer) -> Facts {
    let View { screen, theme, .. } = *view;
    let is_whole = matches!(overlay, Overlay::Explanation(_));
    let margin = if area.width >= 100 && !is_whole { 6 } else { 0 };
    let place = Rect { x: area.x + margin, width: area.width - 2 * margin, ..area };
    let room = usize::from(place.width).saturating_sub(4);
    let (title, lines) = match overlay {
        Overlay::Help => (" Help ".to_owned(), help(theme)),
        Overlay::Coverage => (" Coverage ".to_owned(), coverage(view.timeline.model(), theme, room)),
        Overlay::Numbers => (" Numbers ".to_owned(), numbers::lines(screen.pane, facts, theme, room)),
        Overlay::Explanation(kill) => (explained::title(view, kill), explained::lines(view, kill, room)),
    };
    let wanted = if is_whole { u16::MAX } else { u16::try_from(lines.len() + 2).unwrap_or(u16::MAX) };
    let place = Rect { height: wanted.min(area.height), ..place };
    Clear.render(place, buf);
    let visible = usize::from(place.height).saturating_sub(2);
    // The last line of a list stands at the bottom; there is nothing to see beyond it.
    let places = lines.len().saturating_sub(visible) + 1;
    let first = screen.overlay_line.min(places - 1);
    let more = if places > 1 {
        format!(" {} {}-{} of {} ", theme.glyphs.more, first + 1, (first + visible).min(lines.len()), lines.len())
    } else {
        String::new()
    };
    let block = Block::bordered()
        .border_style(theme.style(Tone::Dim))
        .title(Line::styled(title, theme.style(Tone::Title)))
        .title(Line::styled(more, theme.style(Tone::Dim)).right_aligned());
    let inner = block.inner(place);
    block.render(place, buf);
    let inner = Rect { x: inner.x + u16::from(inner.width > 0), width: inner.width.saturating_sub(2), ..inner };
    draw_lines(buf, inner, lines.get(first..).unwrap_or_default(), theme);
    let tables = vec![TableFacts { area: place, rows: places, visible, ..TableFacts::default() }];
    Facts { tables, ..Facts::default() }
}

/// The keys, from the keymap.
fn help(theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for group in Group::ALL {
        lines.push(Line::styled(group.title(), theme.style(Tone::Title)));
        for binding in KEYMAP.iter().filter(|b| b.group == group) {
            let keys: Vec<String> = binding.keys.iter().map(Key::label).collect();
            lines.push(Line::from(vec![
                Span::styled(format!("  {:<14}", keys.join(" ")), theme.style(Tone::Warn)),
                Span::raw(binding.help),
            ]));
        }
    }
    lines.push(Line::styled("Mouse", theme.style(Tone::Title)));
    for (what, does) in [("click", "on a tab, a table or a row chooses it"), ("wheel", "moves the row")] {
        lines.push(Line::from(vec![Span::styled(format!("  {what:<14}"), theme.style(Tone::Warn)), Span::raw(does)]));
    }
    lines.push(Line::styled(
        format!("A {} is a value that could not be read; the coverage says why.", units::UNKNOWN),
        theme.style(Tone::Dim),
    ));
    lines
}

/// What is seen, what is missing and why, what was lost.
fn coverage(model: Option<&Model>, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let Some(coverage) = model.map(|m| &m.coverage) else {
        return vec![Line::raw("no snapshot yet")];
    };
    let title = |text: String| Line::styled(text, theme.style(Tone::Title));
    let mut lines = Vec::new();
    let (works, all) = super::header::probes(coverage);
    lines.push(title(format!("Probes in the kernel: {works} of {all} work")));
    if all == 0 {
        lines.push(Line::styled("  none: this is what the files and netlink tell", theme.style(Tone::Warn)));
    }
    // What is missing comes first: it is what one opens this for.
    let (absent, others): (Vec<_>, Vec<_>) =
        coverage.probes.iter().partition(|p| matches!(p.state, ProbeState::Absent { .. }));
    absent.into_iter().chain(others).for_each(|p| lines.extend(probe(p, theme, room)));
    let missing = coverage.sources.iter().filter(|s| s.missing.is_some()).count();
    lines.push(title(format!(
        "Files and netlink: {} of {} read",
        coverage.sources.len() - missing,
        coverage.sources.len()
    )));
    for source in coverage.sources.iter().filter(|s| s.missing.is_some()) {
        let reason = source.missing.as_ref().map_or("", |m| m.as_str());
        lines.extend(entry("missing", Tone::Warn, &source.name, reason, theme, room));
    }
    let read: Vec<&str> = coverage.sources.iter().filter(|s| s.missing.is_none()).map(|s| s.name.as_str()).collect();
    if !read.is_empty() {
        lines.extend(entry("read", Tone::Good, "", &read.join(", "), theme, room));
    }
    let lost = coverage.losses.iter().filter(|l| l.count > 0).count();
    lines.push(title(format!("Losses: {} of {} counters are above zero", lost, coverage.losses.len())));
    for loss in &coverage.losses {
        let (word, tone) = if loss.count > 0 { ("LOST", Tone::Bad) } else { ("none", Tone::Dim) };
        lines.extend(entry(word, tone, &loss.what, &loss.count.to_string(), theme, room));
    }
    lines
}

fn probe(p: &Probe, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let (word, tone, mut words) = match &p.state {
        ProbeState::Attached => ("works", Tone::Good, p.attach.clone()),
        ProbeState::Fallback { with, reason } => {
            ("fallback", Tone::Warn, format!("{with} in place of {}: {reason}", p.attach))
        }
        ProbeState::Absent { reason, replaced_by, remedy } => {
            let replaced = replaced_by.as_ref().map(|r| format!("; in its place: {r}")).unwrap_or_default();
            let remedy = remedy.as_ref().map(|r| format!("; to mend: {r}")).unwrap_or_default();
            ("ABSENT", Tone::Bad, format!("{}: {reason}{remedy}{replaced}", p.attach))
        }
    };
    if !p.fields_missing.is_empty() {
        words = format!("{words}; this kernel lacks {}", p.fields_missing.join(", "));
    }
    if let Some(runs) = p.runs {
        words = format!("{words}; ran {} times", units::count(runs as f64));
    }
    entry(word, tone, &p.name, &words, theme, room)
}

/// A line `word name words`, its words wrapped under themselves.
fn entry(word: &str, tone: Tone, name: &str, words: &str, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    const WORD: usize = 10;
    let lead = if name.is_empty() { String::new() } else { format!("{name}  ") };
    let wrapped = wrap(&format!("{lead}{words}"), room.saturating_sub(WORD + 2));
    let mut lines = Vec::with_capacity(wrapped.len());
    for (i, text) in wrapped.into_iter().enumerate() {
        let word = if i == 0 { word } else { "" };
        lines.push(Line::from(vec![Span::styled(format!("  {word:<WORD$}"), theme.style(tone)), Span::raw(text)]));
    }
    lines
}
