//! Text for people: colors, tables and paragraphs that fit the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What the place that is printed to can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Columns; `None` where lines may have any length, such as a pipe.
    pub width: Option<usize>,
    /// True if it understands ANSI colors.
    pub color: bool,
}

/// How a word stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// A heading.
    Heading,
    /// Something is good.
    Good,
    /// Work is slowed down.
    Warning,
    /// Work stands still or is lost.
    Critical,
    /// What only some need to read.
    Faint,
}

impl Style {
    /// The text, painted if colors are understood.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Heading => "1",
            Paint::Good => "32",
            Paint::Warning => "33",
            Paint::Critical => "1;31",
            Paint::Faint => "2",
        };
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Appends a paragraph that begins with `first`, broken at spaces to fit, each further line indented by `hang` columns.
    pub fn paragraph(self, out: &mut String, first: &str, hang: usize, text: &str) {
        let Some(width) = self.width else {
            out.push_str(&format!("{first}{text}\n"));
            return;
        };
        let room = |taken: usize| width.saturating_sub(taken).max(20);
        let lines = wrap(text, room(columns(first)), room(hang));
        out.push_str(first);
        out.push_str(&lines.join(&format!("\n{}", " ".repeat(hang))));
        out.push('\n');
    }
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Columns that a text takes which may hold the escape codes of [`Style::paint`].
fn columns(text: &str) -> usize {
    let mut parts = text.split('\x1b');
    let plain = parts.next().map_or(0, width);
    plain + parts.map(|part| width(part.split_once('m').map_or(part, |(_, rest)| rest))).sum::<usize>()
}

/// Breaks a text at spaces into lines, the first of at most `first` columns, the others of `room`; a longer word stands on
/// a line by itself, uncut, so that it can be copied. A number stays with its unit.
fn wrap(text: &str, first: usize, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces(text) {
        let room = if lines.len() == 1 { first } else { room };
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&piece),
            Some(line) if width(line) + 1 + width(&piece) <= room => {
                line.push(' ');
                line.push_str(&piece);
            }
            _ => lines.push(piece),
        }
    }
    lines
}

/// The words of a text, a number with the word behind it.
fn pieces(text: &str) -> Vec<String> {
    let number =
        |word: &str| word.contains(|c: char| c.is_ascii_digit()) && !word.contains(|c: char| c.is_alphabetic());
    let mut pieces: Vec<String> = Vec::new();
    let mut waits = false;
    for word in text.split_whitespace() {
        let unit = waits && word.starts_with(|c: char| c.is_alphabetic() || c == '%');
        match pieces.last_mut() {
            Some(piece) if unit => {
                piece.push(' ');
                piece.push_str(word);
            }
            _ => pieces.push(word.to_owned()),
        }
        // Not after a comma or a bracket: what follows is no unit.
        waits = number(word) && word.ends_with(|c: char| c.is_ascii_digit());
    }
    pieces
}

/// Which part of a text is left out where it does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The end, as of a process name.
    End,
    /// The start, as of a path, whose last part says most.
    Start,
}

const ELLIPSIS: &str = "..";

/// The text in at most `room` columns.
pub fn cut(text: &str, room: usize, side: Cut) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let keep = room.saturating_sub(ELLIPSIS.len());
    let mut used = 0;
    let mut fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= keep
    };
    match side {
        Cut::End => text.chars().take_while(|c| fits(c)).chain(ELLIPSIS.chars()).collect(),
        Cut::Start => {
            let tail: Vec<char> = text.chars().rev().take_while(|c| fits(c)).collect();
            ELLIPSIS.chars().chain(tail.into_iter().rev()).collect()
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    right: bool,
    /// How it shrinks where the line is too long; `None` if it does not.
    shrinks: Option<Cut>,
}

impl Column {
    /// A column of words.
    pub const fn left(title: &'static str) -> Self {
        Self { title, right: false, shrinks: None }
    }

    /// A column of numbers.
    pub const fn right(title: &'static str) -> Self {
        Self { title, right: true, shrinks: None }
    }

    /// A column of words that may be cut where the line is too long.
    pub const fn cut(title: &'static str, side: Cut) -> Self {
        Self { title, right: false, shrinks: Some(side) }
    }
}

/// Rows of aligned columns.
#[derive(Debug)]
pub struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<String>>,
}

/// Columns between two columns.
const GAP: usize = 2;
/// A column that shrinks keeps so many columns.
const SHRUNK: usize = 8;

impl Table {
    /// A table without rows.
    pub fn new(columns: &'static [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row: as many cells as there are columns.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len(), "a cell for each column");
        self.rows.push(cells.into());
    }

    /// True if it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Appends the table, indented.
    pub fn render(&self, out: &mut String, style: Style, indent: usize) {
        let widths = self.widths(style.width.map(|w| w.saturating_sub(indent)));
        let titles = self.columns.iter().map(|c| c.title);
        let header = self.line(titles, &widths);
        out.push_str(&format!("{}{}\n", " ".repeat(indent), style.paint(Paint::Faint, &header)));
        for row in &self.rows {
            let line = self.line(row.iter().map(String::as_str), &widths);
            out.push_str(&format!("{}{line}\n", " ".repeat(indent)));
        }
    }

    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
        let parts: Vec<String> = cells
            .zip(self.columns)
            .zip(widths)
            .map(|((cell, column), room)| {
                let text = column.shrinks.map_or_else(|| cell.to_owned(), |side| cut(cell, *room, side));
                let space = " ".repeat(room.saturating_sub(width(&text)));
                if column.right { format!("{space}{text}") } else { format!("{text}{space}") }
            })
            .collect();
        parts.join(&" ".repeat(GAP)).trim_end().to_owned()
    }

    /// Width of each column: what its cells need; where the line is too long, the widest that may shrink gives way.
    fn widths(&self, room: Option<usize>) -> Vec<usize> {
        let needs = |i: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|r| r.get(i)).map(|c| width(c));
            cells.chain([width(column.title)]).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(|(i, c)| needs(i, c)).collect();
        let Some(room) = room else { return widths };
        let gaps = GAP * self.columns.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > room {
            let shrinkable = widths.iter_mut().zip(self.columns).filter(|(w, c)| c.shrinks.is_some() && **w > SHRUNK);
            let Some((widest, _)) = shrinkable.max_by_key(|(w, _)| **w) else { break };
            *widest -= 1;
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[Column::right("pid"), Column::left("name"), Column::cut("cgroup", Cut::Start)];

    fn table() -> Table {
        let mut table = Table::new(COLUMNS);
        table.row(["1".into(), "init".into(), "/".into()]);
        table.row(["4711".into(), "\u{65e5}\u{672c}".into(), "/a/very/long/path/of/a/service".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_also_under_wide_characters() {
        let mut out = String::new();
        table().render(&mut out, Style::default(), 1);
        assert_eq!(
            out,
            "  pid  name  cgroup\n    1  init  /\n 4711  \u{65e5}\u{672c}  /a/very/long/path/of/a/service\n"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_paths_at_their_start() {
        let mut out = String::new();
        table().render(&mut out, Style { width: Some(30), color: false }, 0);
        assert!(out.lines().all(|l| width(l) <= 30), "{out}");
        assert!(out.contains("..ath/of/a/service\n"), "{out}");
    }

    #[test]
    fn paragraphs_hang() {
        let mut out = String::new();
        let style = Style { width: Some(30), color: false };
        style.paragraph(&mut out, "  - ", 4, "Raise the limit of the cgroup or lower what it keeps.");
        assert_eq!(out, "  - Raise the limit of the\n    cgroup or lower what it\n    keeps.\n");
        let mut out = String::new();
        let painted = Style { width: Some(30), color: true };
        let first = format!("  {} ", painted.paint(Paint::Critical, "CRITICAL"));
        painted.paragraph(&mut out, &first, 2, "one two three four five");
        assert_eq!(out, "  \x1b[1;31mCRITICAL\x1b[0m one two three four\n  five\n");
    }

    #[test]
    fn a_number_stays_with_its_unit() {
        let lines = |text: &str| {
            let mut out = String::new();
            Style { width: Some(20), color: false }.paragraph(&mut out, "", 0, text);
            out
        };
        assert_eq!(lines("all tasks waited 12.5 % of it"), "all tasks waited\n12.5 % of it\n");
        assert_eq!(lines("read again at (2, 300 MiB/s)"), "read again at (2,\n300 MiB/s)\n");
        assert_eq!(lines("so many: 1 2 3 4 5 6 7 8 9"), "so many: 1 2 3 4 5 6\n7 8 9\n");
    }

    #[test]
    fn only_a_terminal_gets_colors() {
        assert_eq!(Style::default().paint(Paint::Critical, "x"), "x");
        assert_eq!(Style { width: None, color: true }.paint(Paint::Critical, "x"), "\x1b[1;31mx\x1b[0m");
    }
}
