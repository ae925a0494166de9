//! One table as it is to be drawn: its title, heading, rows, and the details of the chosen row.

use std::ops::Range;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::{
    context::{Context, Number, TableFacts, why_missing},
    keymap::{Action, label_of},
    screen::Stop,
    stack::{from_line, split},
    strip::{self, About, Bit, Strip},
    table::{Column, Table, TableState, fit_columns},
    text::{Cut, fit, width},
    theme::Tone,
};
use crate::units;

/// A table with what of it is to be shown.
pub(super) struct Laid<'a> {
    ctx: &'a Context<'a>,
    table: &'a Table<'a>,
    order: Vec<usize>,
    state: TableState,
    /// True if the keys act on it.
    pub(super) focused: bool,
    /// Details of the chosen row; the words where there is no row.
    below: Vec<Strip>,
    /// The same as lines.
    lines: Vec<Vec<Bit>>,
    /// Lines of details that are worth asking for.
    most_details: usize,
}

/// Columns that details and words are moved in.
const INDENT: u16 = 2;

const ROWS: About = About::new(
    "rows",
    "number of rows that pass the filter, and which of them are visible",
    "counted by this screen",
    ("", &[]),
);
const DETAILS_BELOW: &str = " more lines: ";

impl<'a> Laid<'a> {
    /// A table at its place in the pane; `focus` is the place of the one that has the keys, or would have them.
    pub(super) fn new(ctx: &'a Context<'a>, table: &'a Table<'a>, area: Rect, place: usize, focus: usize) -> Self {
        let state = ctx.state.of(place);
        let order = table.order(&state, &ctx.state.filter);
        let tell = table.details.as_ref().filter(|_| table.always_details || place == focus && ctx.state.detail);
        let chosen = order.get(state.row.min(order.len().saturating_sub(1)));
        let below = match (chosen, tell) {
            (Some(row), Some(tell)) => tell(*row),
            (Some(_), None) => Vec::new(),
            (None, _) if !table.rows.is_empty() => vec![Strip::sentence().label("no row passes the filter")],
            (None, _) => vec![table.empty.clone()],
        };
        let room = usize::from(area.width.saturating_sub(INDENT));
        let lines = strip::lay_all(&below, room, ctx.theme);
        let most_details = usize::from(area.height) * 2 / 3;
        let focused = place == focus && ctx.state.stop == Stop::Table;
        Self { ctx, table, order, state, focused, below, lines, most_details }
    }

    /// What the line at the bottom says: of the chosen column and cell, or of a number beside the columns.
    pub(super) fn help(&self, beside: &[Number]) -> String {
        let place = self.column();
        if let Some(number) = place.checked_sub(self.table.columns.len()).and_then(|i| beside.get(i)) {
            return number.help();
        }
        let Some(column) = self.table.columns.get(place) else { return String::new() };
        let about = format!("{}: {}", column.title, column.about);
        let row = self.order.get(self.state.row.min(self.order.len().saturating_sub(1)));
        let cell = row.and_then(|row| self.table.rows.get(*row)).and_then(|r| r.cells.get(place));
        match cell {
            Some(cell) if cell.text == units::UNKNOWN => {
                format!("{} is not known: {}; {}", column.title, self.why(column), column.about)
            }
            _ => about,
        }
    }

    /// Why a number of the table is missing.
    fn why(&self, column: &Column) -> String {
        let source = column.about.rsplit_once(": ").map_or(self.table.title, |(_, source)| source);
        why_missing(Some(self.ctx.model), column.from.unwrap_or(self.table.from), source)
    }

    /// Place of what is chosen: a column, or beyond them a number.
    fn column(&self) -> usize {
        let numbers = self.title(&(0..0)).len() + self.below.iter().map(Strip::len).sum::<usize>();
        self.state.column.min((self.table.columns.len() + numbers).saturating_sub(1))
    }

    /// The lines that it would fill if it had the room.
    pub(super) fn wanted(&self) -> usize {
        if self.order.is_empty() {
            1 + self.lines.len()
        } else {
            2 + self.order.len() + self.lines.len().min(self.most_details)
        }
    }

    /// Draws it, and gives where it stands and its numbers that are in no column.
    pub(super) fn draw(&self, area: Rect, buf: &mut Buffer) -> (TableFacts, Vec<Number>) {
        let columns = self.table.columns.len();
        let mut facts = TableFacts { area, rows: self.order.len(), columns, ..TableFacts::default() };
        let (top, body) = split(area, 1);
        let seen = if self.order.is_empty() || area.is_empty() {
            self.draw_below(body, buf, usize::from(body.height));
            0..0
        } else {
            self.draw_rows(body, buf, &mut facts)
        };
        let title = self.title(&seen);
        self.draw_title(top, buf, &title);
        let numbers = |s: &Strip| s.numbers(Some(self.ctx.model)).collect::<Vec<_>>();
        let beside: Vec<Number> = [&title].into_iter().chain(&self.below).flat_map(numbers).collect();
        facts.numbers = beside.len();
        (facts, beside)
    }

    fn draw_rows(&self, body: Rect, buf: &mut Buffer, facts: &mut TableFacts) -> Range<usize> {
        // One line says more as a row than as a heading.
        let (heading, rows) = split(body, usize::from(body.height > 1));
        // Where both do not fit, half is for the rows, or less if there are fewer.
        let height = usize::from(rows.height);
        let details = self.lines.len().min(height.saturating_sub(self.order.len().min(height.div_ceil(2))));
        let (rows, below) = split(rows, usize::from(rows.height) - details);
        facts.visible = usize::from(rows.height);
        let chosen = self.state.row.min(self.order.len().saturating_sub(1));
        let first = first_row(chosen, facts.visible, self.order.len());
        facts.first = first;
        let columns = fit_columns(self.table.columns, usize::from(body.width));
        if !heading.is_empty() {
            self.heading(heading, buf, &columns);
        }
        for ((place, row), y) in self.order.iter().enumerate().skip(first).zip(rows.top()..rows.bottom()) {
            let line = Rect { y, height: 1, ..rows };
            self.row(*row, line, buf, &columns);
            if self.focused && place == chosen {
                buf.set_style(line, self.ctx.theme.chosen());
            }
        }
        self.draw_below(below, buf, details);
        first..(first + facts.visible).min(self.order.len())
    }

    /// The details of the chosen row, or the words where there is no row, from the chosen number on where they do not fit.
    fn draw_below(&self, area: Rect, buf: &mut Buffer, height: usize) {
        if height == 0 {
            return;
        }
        let chosen = self.chosen_below();
        let area = Rect { x: area.x + INDENT.min(area.width), width: area.width.saturating_sub(INDENT), ..area };
        let hides = self.lines.len() > height && !self.order.is_empty();
        let lines = from_line(&self.lines, chosen, height - usize::from(hides));
        let (area, last) = split(area, height - usize::from(hides));
        strip::draw(lines, area, buf, self.ctx.theme, chosen);
        let hidden = lines.len().saturating_sub(usize::from(area.height));
        if hides && hidden > 0 {
            let key = label_of(Action::Zoom);
            let hint = format!("{} {hidden}{DETAILS_BELOW}{key}", self.ctx.theme.glyphs.ellipsis);
            let room = usize::from(last.width);
            buf.set_stringn(last.x, last.y, hint, room, self.ctx.theme.style(Tone::Dim));
        }
    }

    /// Which number beside the columns is chosen, if one is.
    fn chosen_beside(&self) -> Option<usize> {
        self.column().checked_sub(self.table.columns.len()).filter(|_| self.focused)
    }

    fn chosen_below(&self) -> Option<usize> {
        self.chosen_beside()?.checked_sub(self.title(&(0..0)).len())
    }

    /// `▶ Cgroups 3-12 of 345  by usage ▼  note`.
    fn title(&self, seen: &Range<usize>) -> Strip {
        let total = self.order.len();
        let glyphs = self.ctx.theme.glyphs;
        let (mark, tone) = if self.focused { (glyphs.focus, Tone::Title) } else { (glyphs.rule, Tone::Dim) };
        let title = Strip::default().label_toned(mark, tone).label(" ");
        let title = title.label_toned(self.table.title, if self.focused { Tone::Focus } else { Tone::Title });
        let count = match (total, self.table.rows.len()) {
            (0, 0) => None,
            _ if !seen.is_empty() && seen.len() < total => Some(format!("{}-{} of {total}", seen.start + 1, seen.end)),
            (n, all) if n < all => Some(format!("{n} of {all}")),
            (n, _) => Some(n.to_string()),
        };
        let title = match count {
            Some(count) => title.label(" ").words(&ROWS, count, Tone::Dim),
            None => title,
        };
        if self.table.note.is_empty() { title } else { title.label("  ").then(&self.table.note) }
    }

    fn draw_title(&self, area: Rect, buf: &mut Buffer, title: &Strip) {
        if area.is_empty() {
            return;
        }
        let lines = title.lay(usize::from(area.width), self.ctx.theme);
        let places = strip::width_of(&lines);
        let glyphs = self.ctx.theme.glyphs;
        strip::draw(&lines, area, buf, self.ctx.theme, self.chosen_beside());
        let used = u16::try_from(places + 1).unwrap_or(u16::MAX).min(area.width);
        let room = usize::from(area.width - used);
        let style = self.ctx.theme.style(Tone::Dim);
        buf.set_stringn(area.x + used, area.y, glyphs.rule.repeat(room), room, style);
    }

    fn heading(&self, area: Rect, buf: &mut Buffer, columns: &[(usize, usize)]) {
        let theme = self.ctx.theme;
        self.cells(area, buf, columns, true, |i, column| {
            let sorted = self.state.sort == Some(i);
            // Texts come from a to z, numbers from large to small, until the order is turned round.
            let falls = column.right != self.state.inverted;
            let mark = if falls { theme.glyphs.descending } else { theme.glyphs.ascending };
            let title = if sorted { format!("{mark}{}", column.title) } else { column.title.to_owned() };
            let style = theme.style(if sorted { Tone::Title } else { Tone::Dim });
            let chosen = self.focused && i == self.column();
            (title, if chosen { style.add_modifier(Modifier::UNDERLINED) } else { style })
        });
    }

    fn row(&self, row: usize, area: Rect, buf: &mut Buffer, columns: &[(usize, usize)]) {
        let Some(row) = self.table.rows.get(row) else { return };
        self.cells(area, buf, columns, false, |i, _| match row.cells.get(i) {
            Some(cell) => (cell.text.clone(), self.ctx.theme.style(cell.tone)),
            None => (String::new(), Style::new()),
        });
    }

    fn cells(
        &self,
        area: Rect,
        buf: &mut Buffer,
        columns: &[(usize, usize)],
        is_heading: bool,
        content: impl Fn(usize, &Column) -> (String, Style),
    ) {
        if area.is_empty() {
            return;
        }
        let mut x = usize::from(area.x);
        let end = usize::from(area.right());
        for (index, room) in columns {
            let Some(column) = self.table.columns.get(*index) else { continue };
            let room = (*room).min(end.saturating_sub(x));
            let (text, style) = content(*index, column);
            // A heading or number that is cut would say something else: it keeps its start and shows that it was cut.
            let cut = if column.right || is_heading { Cut::End } else { column.cut };
            let text = fit(&text, room, cut, self.ctx.theme.glyphs);
            let indent = if column.right { room.saturating_sub(width(&text)) } else { 0 };
            if let Ok(at) = u16::try_from(x + indent) {
                buf.set_stringn(at, area.y, &text, room, style);
            }
            x += room + 1;
            if x >= end {
                break;
            }
        }
    }
}

/// The first visible row: the chosen one stands in the middle, except near the ends.
fn first_row(chosen: usize, visible: usize, rows: usize) -> usize {
    chosen.saturating_sub(visible / 2).min(rows.saturating_sub(visible))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_chosen_row_is_visible(rows in 1usize..200, chosen in 0usize..200, visible in 1usize..60) {
            let chosen = chosen.min(rows - 1);
            let first = first_row(chosen, visible, rows);
            prop_assert!(first <= chosen && chosen < first + visible);
        }
    }
}
