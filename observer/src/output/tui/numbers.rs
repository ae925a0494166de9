//! The list of all numbers of a pane: what each is, its unit and its source, and why it is missing if it is.

use ratatui::text::{Line, Span};

use super::{
    context::{Facts, Number},
    panes::PANES,
    text::wrap,
    theme::{Theme, Tone},
};

/// Columns of the terminal for the names.
const NAMES: usize = 20;

/// Every number of a pane: those of the first lines and of its own lines, of all columns, and those beside the columns of
/// the table with the keys.
pub(super) fn lines(pane: usize, facts: &Facts, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut list = |title: &'static str, rows: &mut dyn Iterator<Item = (String, String)>| {
        let before = lines.len();
        lines.push(Line::styled(title, theme.style(Tone::Title)));
        for (name, about) in rows {
            for (i, text) in wrap(&about, room.saturating_sub(NAMES)).into_iter().enumerate() {
                let name = if i == 0 { name.as_str() } else { "" };
                lines.push(Line::from(vec![
                    Span::styled(format!("  {name:<width$} ", width = NAMES - 3), theme.style(Tone::Warn)),
                    Span::raw(text),
                ]));
            }
        }
        if lines.len() == before + 1 {
            lines.pop();
        }
    };
    let about = |n: &Number| match &n.why {
        Some(why) => (n.name.clone(), format!("not known: {why}; {}", n.about)),
        None => (n.name.clone(), n.about.clone()),
    };
    let Some(pane) = PANES.get(pane) else { return Vec::new() };
    for (title, columns) in pane.tables {
        list(title, &mut columns.iter().map(|c| (c.title.to_owned(), c.about.to_owned())));
    }
    list("Lines of the pane", &mut facts.signs.numbers.iter().map(about));
    list("Beside the columns", &mut facts.beside.iter().map(about));
    list("First line", &mut facts.header.numbers.iter().map(about));
    lines
}
