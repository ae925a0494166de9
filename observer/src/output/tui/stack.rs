//! Draws the tables of a pane above one another: the one that the keys act on gets the most room.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};

use super::{
    context::{Context, Facts, TableFacts},
    keymap::{Action, label_of},
    table::{Column, Table, TableState, fit_columns},
    text::{Cut, fit, width, wrap},
    theme::{Theme, Tone},
};
use crate::units;

/// Lines that a table without the keys gets before the one with the keys takes more than half: title, heading, a row or two.
const MODEST: usize = 4;

/// Draws lines and below them all tables of a pane.
pub(super) fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer, head: &[Line<'_>], tables: &[Table<'_>]) -> Facts {
    let focus = ctx.state.table.min(tables.len().saturating_sub(1));
    let head = if ctx.state.zoom { &[] } else { head };
    let (top, body) = split(area, head.len().min(usize::from(area.height) / 2));
    draw_lines(buf, top, head, ctx.theme);
    draw_tables(ctx, body, buf, tables, 0, focus)
}

/// Draws some tables of a pane: `first` is the place of the first of them in the pane, `focus` that of the one with the
/// keys, which may be none of these.
pub(super) fn draw_tables(
    ctx: &Context<'_>,
    area: Rect,
    buf: &mut Buffer,
    tables: &[Table<'_>],
    first: usize,
    focus: usize,
) -> Facts {
    let laid: Vec<Laid<'_>> =
        tables.iter().enumerate().map(|(i, t)| Laid::new(ctx, t, area, first + i, focus)).collect();
    let inner = focus.checked_sub(first);
    let heights = if let [_] = tables {
        vec![usize::from(area.height)]
    } else if ctx.state.zoom {
        laid.iter().map(|l| if l.focused { usize::from(area.height) } else { 0 }).collect()
    } else {
        let wanted: Vec<usize> = laid.iter().map(Laid::wanted).collect();
        heights(&wanted, inner.unwrap_or(usize::MAX), usize::from(area.height))
    };
    let mut facts = Facts::default();
    let mut rest = area;
    for (laid, height) in laid.iter().zip(heights) {
        let (place, below) = split(rest, height);
        rest = below;
        facts.tables.push(laid.draw(place, buf));
        if laid.focused {
            facts.help = Some(laid.help());
        }
    }
    facts
}

/// The lines that a table would fill if it had the room.
pub(super) fn wanted(ctx: &Context<'_>, table: &Table<'_>, area: Rect, place: usize, focus: usize) -> usize {
    Laid::new(ctx, table, area, place, focus).wanted()
}

/// Draws lines from the top of an area; what is wider is cut with a sign that it was.
pub(super) fn draw_lines(buf: &mut Buffer, area: Rect, lines: &[Line<'_>], theme: &Theme) {
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        buf.set_line(area.x, y, line, area.width);
        if line.width() > usize::from(area.width) && area.width > 0 {
            buf.set_stringn(area.right() - 1, y, theme.glyphs.ellipsis, 1, theme.style(Tone::Dim));
        }
    }
}

/// The first `height` lines of an area, and the others.
pub(super) fn split(area: Rect, height: usize) -> (Rect, Rect) {
    let height = u16::try_from(height).unwrap_or(u16::MAX).min(area.height);
    let top = Rect { height, ..area };
    (top, Rect { y: area.y + height, height: area.height - height, ..area })
}

/// Shares the lines of a pane among tables.
fn heights(wanted: &[usize], focus: usize, total: usize) -> Vec<usize> {
    let mut given: Vec<usize> = wanted.iter().map(|_| 0).collect();
    let mut left = total;
    let mut raise = |given: &mut Vec<usize>, i: usize, to: usize| {
        let (Some(given), Some(wanted)) = (given.get_mut(i), wanted.get(i)) else { return };
        let more = to.min(*wanted).saturating_sub(*given).min(left);
        *given += more;
        left -= more;
    };
    raise(&mut given, focus, 3);
    (0..wanted.len()).for_each(|i| raise(&mut given, i, 1));
    raise(&mut given, focus, total / 2);
    // Two lines would show a heading and no row.
    (0..wanted.len()).filter(|i| *i != focus).for_each(|i| raise(&mut given, i, MODEST));
    raise(&mut given, focus, total * 2 / 3);
    (0..wanted.len()).for_each(|i| raise(&mut given, i, 2 * MODEST));
    raise(&mut given, focus, usize::MAX);
    (0..wanted.len()).for_each(|i| raise(&mut given, i, usize::MAX));
    given
}

/// A table with what of it is to be shown.
struct Laid<'a> {
    ctx: &'a Context<'a>,
    table: &'a Table<'a>,
    order: Vec<usize>,
    state: TableState,
    focused: bool,
    details: Vec<String>,
    /// Lines of details that are worth asking for.
    most_details: usize,
    /// Columns of the terminal for words below the title.
    room: usize,
}

impl<'a> Laid<'a> {
    fn new(ctx: &'a Context<'a>, table: &'a Table<'a>, area: Rect, place: usize, focus: usize) -> Self {
        let state = ctx.state.of(place);
        let order = table.order(&state, &ctx.state.filter);
        let focused = place == focus;
        let tell = table.details.as_ref().filter(|_| table.always_details || focused && ctx.state.detail);
        let chosen = order.get(state.row.min(order.len().saturating_sub(1)));
        let told = tell.zip(chosen).map(|(tell, row)| tell(*row)).unwrap_or_default();
        let room = usize::from(area.width).saturating_sub(2);
        let details: Vec<String> = told.iter().flat_map(|l| wrap(l, room)).collect();
        Self { ctx, table, order, state, focused, details, most_details: usize::from(area.height) * 2 / 3, room }
    }

    /// The chosen column, what stands in it and where that comes from; of a cell that is not known also why.
    fn help(&self) -> String {
        let Some(column) = self.table.columns.get(self.column()) else { return String::new() };
        let about = format!("{}: {}", column.title, column.about);
        let row = self.order.get(self.state.row.min(self.order.len().saturating_sub(1)));
        let cell = row.and_then(|row| self.table.rows.get(*row)).and_then(|r| r.cells.get(self.column()));
        match cell {
            Some(cell) if cell.text == units::UNKNOWN => format!("not known: {}; {about}", self.why(column)),
            _ => about,
        }
    }

    /// Why a number of the table is missing.
    fn why(&self, column: &Column) -> String {
        let (part, sources) = column.from.unwrap_or(self.table.from);
        let reason = self.ctx.reason(part, sources);
        reason.unwrap_or_else(|| match self.ctx.model.interval {
            None => "a rate needs a second snapshot".to_owned(),
            Some(_) => "it is not told for this row, is gone, or was not read anew".to_owned(),
        })
    }

    /// Place of the chosen column.
    fn column(&self) -> usize {
        self.state.column.min(self.table.columns.len().saturating_sub(1))
    }

    fn wanted(&self) -> usize {
        if self.order.is_empty() {
            1 + self.empty_words().len()
        } else {
            2 + self.order.len() + self.details.len().min(self.most_details)
        }
    }

    fn draw(&self, area: Rect, buf: &mut Buffer) -> TableFacts {
        let details = &self.details;
        let theme = self.ctx.theme;
        let mut facts =
            TableFacts { area, rows: self.order.len(), columns: self.table.columns.len(), ..TableFacts::default() };
        if area.is_empty() {
            return facts;
        }
        let (title, body) = split(area, 1);
        if self.order.is_empty() {
            self.title(title, buf, 0..0);
            let lines = self.empty_words();
            draw_lines(buf, body, &lines, theme);
            return facts;
        }
        // One line says more as a row than as a heading.
        let (heading, rows) = split(body, usize::from(body.height > 1));
        // Where both do not fit, half is for the rows, or less if there are fewer.
        let height = usize::from(rows.height);
        let detail_lines = details.len().min(height.saturating_sub(self.order.len().min(height.div_ceil(2))));
        let (rows, below) = split(rows, usize::from(rows.height) - detail_lines);
        facts.visible = usize::from(rows.height);
        let chosen = self.state.row.min(self.order.len() - 1);
        let first = first_row(chosen, facts.visible, self.order.len());
        facts.first = first;
        let seen = first..(first + facts.visible).min(self.order.len());
        self.title(title, buf, seen.clone());
        let columns = fit_columns(self.table.columns, usize::from(area.width));
        if !heading.is_empty() {
            self.heading(heading, buf, &columns);
        }
        for ((place, row), y) in self.order.iter().enumerate().skip(first).zip(rows.top()..rows.bottom()) {
            let line = Rect { y, height: 1, ..rows };
            self.row(*row, line, buf, &columns);
            if self.focused && place == chosen {
                buf.set_style(line, theme.chosen());
            }
        }
        let mut lines: Vec<Line<'_>> = details.iter().map(|d| Line::from(format!("  {d}"))).collect();
        if let Some(last) = detail_lines.checked_sub(1).filter(|_| detail_lines < details.len()) {
            lines.truncate(last);
            let hidden = details.len() - last;
            let hint = format!("  {} {hidden} more lines: {}", theme.glyphs.ellipsis, label_of(Action::Zoom));
            lines.push(Line::styled(hint, theme.style(Tone::Dim)));
        }
        draw_lines(buf, below, &lines, theme);
        facts
    }

    fn empty_words(&self) -> Vec<Line<'static>> {
        let filtered = !self.table.rows.is_empty();
        let (words, tone) = if filtered {
            ("no row passes the filter", Tone::Dim)
        } else {
            (self.table.empty.as_str(), self.table.empty_tone)
        };
        let style = self.ctx.theme.style(tone);
        wrap(words, self.room).into_iter().map(|l| Line::styled(format!("  {l}"), style)).collect()
    }

    /// `▶ Cgroups 3-12 of 345  by usage ▼  note ─────`.
    fn title(&self, area: Rect, buf: &mut Buffer, seen: std::ops::Range<usize>) {
        let theme = self.ctx.theme;
        let glyphs = theme.glyphs;
        let total = self.order.len();
        let count = match (total, self.table.rows.len()) {
            (0, 0) => String::new(),
            _ if !seen.is_empty() && seen.len() < total => format!(" {}-{} of {total}", seen.start + 1, seen.end),
            (n, all) if n < all => format!(" {n} of {all}"),
            (n, _) => format!(" {n}"),
        };
        let mark = if self.focused { format!("{} ", glyphs.focus) } else { format!("{} ", glyphs.rule) };
        let tone = if self.focused { Tone::Focus } else { Tone::Title };
        let mut spans = vec![
            Span::styled(mark, theme.style(if self.focused { Tone::Title } else { Tone::Dim })),
            Span::styled(self.table.title, theme.style(tone)),
            Span::styled(count, theme.style(Tone::Dim)),
        ];
        if let Some(note) = &self.table.note {
            spans.push(Span::styled(format!("  {note}"), theme.style(Tone::Dim)));
        }
        let line = Line::from(spans);
        let used = u16::try_from(line.width() + 1).unwrap_or(u16::MAX).min(area.width);
        let rule = glyphs.rule.repeat(usize::from(area.width - used));
        buf.set_stringn(area.x + used, area.y, rule, usize::from(area.width - used), theme.style(Tone::Dim));
        draw_lines(buf, area, &[line], theme);
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
pub(super) fn first_row(chosen: usize, visible: usize, rows: usize) -> usize {
    chosen.saturating_sub(visible / 2).min(rows.saturating_sub(visible))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_with_the_keys_gets_the_most() {
        assert_eq!(heights(&[6, 100, 100, 2, 2], 1, 21), [4, 10, 4, 2, 1]);
        assert_eq!(heights(&[6, 100], 1, 40), [6, 34], "what others do not need it takes");
        assert_eq!(heights(&[5, 5], 0, 40), [5, 5]);
        assert_eq!(heights(&[50, 50, 50], 2, 3), [0, 0, 3]);
        assert_eq!(heights(&[], 0, 10), Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn no_line_is_given_twice(wanted in proptest::collection::vec(2usize..60, 0..6), focus in 0usize..6, total in 0usize..80) {
            let given = heights(&wanted, focus, total);
            prop_assert!(given.iter().sum::<usize>() <= total);
            prop_assert!(given.iter().zip(&wanted).all(|(g, w)| g <= w));
        }

        #[test]
        fn the_chosen_row_is_visible(rows in 1usize..200, chosen in 0usize..200, visible in 1usize..60) {
            let chosen = chosen.min(rows - 1);
            let first = first_row(chosen, visible, rows);
            prop_assert!(first <= chosen && chosen < first + visible);
        }
    }
}
