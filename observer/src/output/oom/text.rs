//! An explanation for a terminal: what a person needs first, then the details.

use super::{details, origin, when};
use crate::{
    diagnose::oom::{Advice, Explanation},
    output::text::{Paint, Style, width as columns_of},
    snapshot::oom_report::OomReport,
};

/// Pieces of advice that stand before the details, where they fit on a screen; one always does.
const FIRST_ADVICE: usize = 3;
/// Lines of a screen.
const SCREEN: usize = 24;

/// A line of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it stands out; `None` for what does not.
    pub paint: Option<Paint>,
    /// The line.
    pub text: String,
}

/// The explanation of one report.
pub fn text(explanation: &Explanation, report: &OomReport, style: Style) -> String {
    let line = |line: Line| match line.paint {
        Some(paint) => style.paint(paint, &line.text) + "\n",
        None => line.text + "\n",
    };
    lines(explanation, report, style.width).into_iter().map(line).collect()
}

/// The same as lines of at most so many columns, `None` for any length: words and numbers that are longer are not cut.
pub fn lines(explanation: &Explanation, report: &OomReport, width: Option<usize>) -> Vec<Line> {
    let mut page = Page { lines: Vec::new(), style: Style { width, color: false } };
    page.paragraph(Some(Paint::Heading), "", 0, &explanation.headline);
    page.paragraph(Some(Paint::Faint), "  ", 2, &format!("{}; {}", when(&report.origin.begin), origin(report)));
    page.line(None, String::new());
    for sentence in &explanation.summary {
        page.paragraph(None, "  - ", 4, sentence);
    }
    let begun = page.lines.len();
    let mut rest = explanation.advice.as_slice();
    for count in (1..=explanation.advice.len().min(FIRST_ADVICE)).rev() {
        let (first, others) = explanation.advice.split_at(count);
        page.lines.truncate(begun);
        page.advice("WHAT TO DO", first);
        rest = others;
        if page.lines.len() <= SCREEN {
            break;
        }
    }
    for part in details::parts(explanation, report) {
        page.table(&part);
    }
    page.advice("FURTHER", rest);
    if !explanation.unknown.is_empty() {
        page.heading("NOT KNOWN");
        for what in &explanation.unknown {
            page.paragraph(None, "  - ", 4, what);
        }
    }
    page.lines
}

/// Lines as they are added.
struct Page {
    lines: Vec<Line>,
    style: Style,
}

impl Page {
    fn line(&mut self, paint: Option<Paint>, text: String) {
        self.lines.push(Line { paint, text });
    }

    fn heading(&mut self, title: &str) {
        self.line(None, String::new());
        self.line(Some(Paint::Heading), title.to_owned());
    }

    fn paragraph(&mut self, paint: Option<Paint>, first: &str, hang: usize, text: &str) {
        let mut out = String::new();
        self.style.paragraph(&mut out, first, hang, text);
        out.lines().for_each(|line| self.line(paint, line.to_owned()));
    }

    fn advice(&mut self, title: &str, list: &[Advice]) {
        if list.is_empty() {
            return;
        }
        self.heading(title);
        for advice in list {
            let text = format!("{} (Because: {}.)", advice.text, advice.because.trim_end_matches('.'));
            self.paragraph(None, "  - ", 4, &text);
        }
    }

    /// Columns aligned; the last one, if it is of words, is broken to fit.
    fn table(&mut self, part: &details::Part) {
        self.heading(&part.title.to_uppercase());
        let last = part.columns.len().saturating_sub(1);
        let widths: Vec<usize> = (0..last)
            .map(|i| {
                let cells = part.rows.iter().filter_map(|row| row.get(i)).map(|cell| columns_of(cell));
                cells.chain(part.columns.get(i).map(|(title, _)| columns_of(title))).max().unwrap_or(0)
            })
            .collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::from("  ");
            for ((cell, room), (_, right)) in cells.zip(&widths).zip(part.columns) {
                let space = " ".repeat(room.saturating_sub(columns_of(cell)));
                text += &if *right { format!("{space}{cell}  ") } else { format!("{cell}{space}  ") };
            }
            text
        };
        if part.columns.iter().any(|(title, _)| !title.is_empty()) {
            let head = line(&mut part.columns.iter().map(|(title, _)| *title));
            let title = part.columns.last().map_or("", |(title, _)| *title);
            self.line(Some(Paint::Faint), format!("{head}{title}").trim_end().to_owned());
        }
        for row in &part.rows {
            let head = line(&mut row.iter().map(String::as_str));
            let hang = columns_of(&head);
            self.paragraph(None, &head, hang, row.last().map_or("", String::as_str));
        }
    }
}
