//! Why a process was killed, as `observer oom explain` tells it.

use ratatui::text::Line;

use super::{
    context::at_monotonic,
    draw::View,
    text::{width, wrap},
    theme::{Theme, Tone},
};
use crate::output::{
    oom::{self, known::Key},
    text::Paint,
};

/// What stands above it: the moment as a time of day, which no report has.
pub(super) fn title(view: &View<'_>, kill: Key) -> String {
    match view.timeline.newest() {
        Some(now) => format!(" Why it was killed, {} ", at_monotonic(now, kill.monotonic_ns, view.zone)),
        None => " Why it was killed ".to_owned(),
    }
}

/// The explanation of a kill, in lines of at most so many columns.
pub(super) fn lines(view: &View<'_>, kill: Key, room: usize) -> Vec<Line<'static>> {
    let Some(kill) = view.timeline.kills().get(kill) else {
        return vec![Line::styled("this kill is no longer kept", view.theme.style(Tone::Dim))];
    };
    let account = kill.account();
    let lines = oom::lines(&account.explanation, &account.report, Some(room));
    lines.into_iter().flat_map(|line| shown(line, view.theme, room)).collect()
}

/// A line as it fits: a long word, such as a path, is broken here, as nothing can be copied from beyond the edge.
fn shown(line: oom::Line, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let style = theme.style(tone(line.paint));
    if width(&line.text) <= room {
        return vec![Line::styled(line.text, style)];
    }
    let text = line.text.trim_start();
    let indent = line.text.len() - text.len();
    let broken = wrap(text, room.saturating_sub(indent));
    broken.into_iter().map(|text| Line::styled(format!("{}{text}", " ".repeat(indent)), style)).collect()
}

fn tone(paint: Option<Paint>) -> Tone {
    match paint {
        None => Tone::Plain,
        Some(Paint::Heading) => Tone::Title,
        Some(Paint::Good) => Tone::Good,
        Some(Paint::Warning) => Tone::Warn,
        Some(Paint::Critical) => Tone::Bad,
        Some(Paint::Faint) => Tone::Dim,
    }
}
