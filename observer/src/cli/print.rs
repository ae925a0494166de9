//! Writing to stdout: whole texts at once, in the style that the reader can show.

use std::io::{self, IsTerminal, Write};

use super::Global;
use crate::output::text::Style;

/// What stdout can show: the terminal's width and colors on a terminal, plain text of any width elsewhere.
pub(super) fn style(global: &Global) -> Style {
    if !io::stdout().is_terminal() {
        return Style::default();
    }
    let width = crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|w| *w > 0);
    let wanted = !global.no_color && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let able = std::env::var_os("TERM").is_some_and(|t| t != "dumb");
    Style { width, color: wanted && able }
}

/// Writes a text to stdout. The error of a reader that went away is passed on, see [`super::failed`].
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
