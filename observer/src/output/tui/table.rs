//! Tables: columns that give way on narrow screens, rows that can be sorted and filtered.

use std::cmp::Ordering;

use super::{filter::Filter, strip::Strip, text::Cut, theme::Tone};
use crate::units;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Heading.
    pub(super) title: &'static str,
    /// What stands in it, with its unit, and where it comes from: the line at the bottom of the pane.
    pub(super) about: &'static str,
    /// Columns of the terminal that it needs at least.
    pub(super) width: usize,
    /// True for numbers, which stand right.
    pub(super) right: bool,
    /// Which end of a long text is left out.
    pub(super) cut: Cut,
    /// True if it takes what room is left.
    pub(super) grows: bool,
    /// Which columns give way first where there is no room: the highest rank. Rank 0 stays.
    pub(super) rank: u8,
    /// Part of the snapshot and sources that it comes from, where that is not where the table comes from.
    pub(super) from: Option<Origin>,
}

/// Where numbers come from: part of the snapshot that probes feed, and sources.
pub(super) type Origin = (&'static str, &'static [&'static str]);

impl Column {
    /// A column of texts that takes the room that is left.
    pub(super) const fn text(title: &'static str, width: usize, about: &'static str) -> Self {
        Self { title, about, width, right: false, cut: Cut::End, grows: true, rank: 0, from: None }
    }

    /// A column of short words of known width.
    pub(super) const fn word(title: &'static str, width: usize, about: &'static str) -> Self {
        Self { title, about, width, right: false, cut: Cut::End, grows: false, rank: 0, from: None }
    }

    /// A column of numbers.
    pub(super) const fn number(title: &'static str, width: usize, about: &'static str) -> Self {
        Self { title, about, width, right: true, cut: Cut::End, grows: false, rank: 0, from: None }
    }

    /// The same column that leaves out another end.
    pub(super) const fn cut(self, cut: Cut) -> Self {
        Self { cut, ..self }
    }

    /// The same column, from elsewhere than its table.
    pub(super) const fn from(self, part: &'static str, sources: &'static [&'static str]) -> Self {
        Self { from: Some((part, sources)), ..self }
    }

    /// The same column with another rank.
    pub(super) const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }
}

/// What a cell is sorted and compared by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// Its text.
    Text,
    /// A number, `None` where it is not known.
    Number(Option<f64>),
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    /// What is shown.
    pub(super) text: String,
    /// What it means.
    pub(super) tone: Tone,
    /// What it is sorted by.
    pub(super) value: Value,
}

impl Cell {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain, value: Value::Text }
    }

    /// A text, or the sign for what is not known.
    pub(super) fn text_or_unknown(text: Option<impl Into<String>>) -> Self {
        match text {
            Some(text) => Self::text(text),
            None => Self { text: units::UNKNOWN.to_owned(), tone: Tone::Dim, value: Value::Text },
        }
    }

    /// A number that may not be known. A zero is there but does not catch the eye.
    pub(super) fn number(value: Option<f64>, show: impl Fn(f64) -> String) -> Self {
        let tone = if value.is_none_or(|v| v == 0.0) { Tone::Dim } else { Tone::Plain };
        Self { text: units::or_unknown(value, show), tone, value: Value::Number(value) }
    }

    /// The same cell with a tone.
    pub(super) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// The same cell, `Warn` from one value on and `Bad` from another.
    pub(super) fn warn_from(self, warn: f64, bad: f64) -> Self {
        match self.value {
            Value::Number(Some(n)) if n >= bad => self.tone(Tone::Bad),
            Value::Number(Some(n)) if n >= warn => self.tone(Tone::Warn),
            _ => self,
        }
    }
}

/// A row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    /// One cell a column.
    pub(super) cells: Vec<Cell>,
}

/// Tells all about the row of that index.
pub(super) type Details<'a> = Box<dyn Fn(usize) -> Vec<Strip> + 'a>;

/// A table.
pub(super) struct Table<'a> {
    /// What its rows are.
    pub(super) title: &'static str,
    /// Columns from left to right.
    pub(super) columns: &'static [Column],
    /// Rows in the order of the model.
    pub(super) rows: Vec<Row>,
    /// What is to be said beside the title, such as how many rows the snapshot left out.
    pub(super) note: Strip,
    /// What to say when there is no row: nothing happened, or it could not be seen and why.
    pub(super) empty: Strip,
    /// All about one row.
    pub(super) details: Option<Details<'a>>,
    /// True if the details of the chosen row are always shown.
    pub(super) always_details: bool,
    /// Part of the snapshot and sources that its numbers come from, for the reason of one that is missing.
    pub(super) from: Origin,
}

impl<'a> Table<'a> {
    /// A table without rows yet.
    pub(super) fn new(title: &'static str, columns: &'static [Column]) -> Self {
        Self {
            title,
            columns,
            rows: Vec::new(),
            note: Strip::default(),
            empty: Strip::default(),
            details: None,
            always_details: false,
            from: ("", &[]),
        }
    }

    /// The same table with rows.
    pub(super) fn rows(self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        Self { rows: rows.into_iter().map(|cells| Row { cells }).collect(), ..self }
    }

    /// The same table with words for when it has no row.
    pub(super) fn empty(self, empty: impl Into<Strip>) -> Self {
        Self { empty: empty.into(), ..self }
    }

    /// The same table with where its numbers come from: part of the snapshot, sources.
    pub(super) fn from(self, part: &'static str, sources: &'static [&'static str]) -> Self {
        Self { from: (part, sources), ..self }
    }

    /// The same table with a note.
    pub(super) fn note(self, note: impl Into<Strip>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// The same table with details of its rows.
    pub(super) fn details(self, details: impl Fn(usize) -> Vec<Strip> + 'a) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }

    /// Indexes of the rows to be shown, filtered and sorted. Equal rows keep the model's order, what is not known
    /// comes last either way.
    pub(super) fn order(&self, state: &TableState, filter: &Filter) -> Vec<usize> {
        let mut shown: Vec<usize> = self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| filter.is_empty() || filter.keeps(self.columns, row))
            .map(|(i, _)| i)
            .collect();
        match state.sort.filter(|c| *c < self.columns.len()) {
            Some(column) => shown.sort_by(|a, b| self.compare(*a, *b, column, state.inverted)),
            None if state.inverted => shown.reverse(),
            None => {}
        }
        shown
    }

    fn compare(&self, a: usize, b: usize, column: usize, inverted: bool) -> Ordering {
        let cell = |row: usize| self.rows.get(row).and_then(|r| r.cells.get(column));
        let Some((a, b)) = cell(a).zip(cell(b)) else { return Ordering::Equal };
        let turn = |o: Ordering| if inverted { o.reverse() } else { o };
        match (a.value, b.value) {
            (Value::Number(Some(a)), Value::Number(Some(b))) => turn(b.total_cmp(&a)),
            (Value::Number(Some(_)), Value::Number(None)) => Ordering::Less,
            (Value::Number(None), Value::Number(Some(_))) => Ordering::Greater,
            (Value::Number(None), Value::Number(None)) => Ordering::Equal,
            _ => turn(a.text.cmp(&b.text)),
        }
    }
}

/// What the user has chosen in a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TableState {
    /// Column that it is sorted by; `None` for the order of the model.
    pub(super) sort: Option<usize>,
    /// True if the order is turned round.
    pub(super) inverted: bool,
    /// Place of the chosen row among those shown.
    pub(super) row: usize,
    /// What the line at the bottom tells of: a column, or beyond the last of them a number beside the columns.
    pub(super) column: usize,
}

/// Which columns are shown in `room` columns of the terminal, and how wide. A blank stands between two.
pub(super) fn fit_columns(columns: &[Column], room: usize) -> Vec<(usize, usize)> {
    let mut shown: Vec<(usize, usize)> = columns.iter().enumerate().map(|(i, c)| (i, c.width)).collect();
    let needed = |shown: &[(usize, usize)]| shown.iter().map(|(_, w)| w + 1).sum::<usize>().saturating_sub(1);
    while needed(&shown) > room {
        let rank = |i: usize| columns.get(i).map_or(0, |c| c.rank);
        // Of equal ranks the one more to the right gives way.
        let Some(at) = (0..shown.len())
            .filter(|at| shown.get(*at).is_some_and(|(i, _)| rank(*i) > 0))
            .max_by_key(|at| (shown.get(*at).map_or(0, |(i, _)| rank(*i)), *at))
        else {
            break;
        };
        shown.remove(at);
    }
    let left = room.saturating_sub(needed(&shown));
    let growing: Vec<usize> = (0..shown.len())
        .filter(|at| shown.get(*at).and_then(|(i, _)| columns.get(*i)).is_some_and(|c| c.grows))
        .collect();
    for (n, at) in growing.iter().enumerate() {
        if let Some((_, width)) = shown.get_mut(*at) {
            *width += left / growing.len() + usize::from(n < left % growing.len());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("name", 6, "of the test"),
        Column::number("usage", 5, "of the test"),
        Column::number("limit", 5, "of the test").rank(1),
        Column::number("swap", 5, "of the test").rank(2),
    ];

    fn table() -> Table<'static> {
        let row = |name: &str, usage: Option<f64>| vec![Cell::text(name), Cell::number(usage, |n| n.to_string())];
        Table::new("things", COLUMNS).rows([row("b", Some(1.0)), row("a", None), row("c", Some(9.0))])
    }

    fn names(state: TableState, filter: &str) -> String {
        let table = table();
        let filter = Filter { text: filter.to_owned() };
        table.order(&state, &filter).iter().map(|i| table.rows[*i].cells[0].text.as_str()).collect()
    }

    #[test]
    fn columns_give_way_by_rank() {
        assert_eq!(fit_columns(COLUMNS, 30), [(0, 12), (1, 5), (2, 5), (3, 5)]);
        assert_eq!(fit_columns(COLUMNS, 18), [(0, 6), (1, 5), (2, 5)]);
        assert_eq!(fit_columns(COLUMNS, 13), [(0, 7), (1, 5)]);
        assert_eq!(fit_columns(COLUMNS, 3), [(0, 6), (1, 5)], "rank 0 stays and is cut by the edge");
    }

    #[test]
    fn unknown_is_last_either_way() {
        let by_usage = TableState { sort: Some(1), ..TableState::default() };
        assert_eq!(names(by_usage, ""), "cba");
        assert_eq!(names(TableState { inverted: true, ..by_usage }, ""), "bca");
        assert_eq!(names(TableState { sort: Some(0), ..by_usage }, ""), "abc");
        assert_eq!(names(TableState::default(), ""), "bac");
        assert_eq!(names(TableState::default(), "usage > 2"), "c");
        assert_eq!(names(TableState { sort: Some(99), ..by_usage }, ""), "bac");
    }
}
