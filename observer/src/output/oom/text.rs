//! An explanation for a terminal: what a person needs first, then the details.

use super::{details, origin, when};
use crate::{
    diagnose::oom::Explanation,
    output::text::{Paint, Style, width},
    snapshot::oom_report::OomReport,
};

/// Pieces of advice that stand before the details.
const FIRST_ADVICE: usize = 3;

/// The explanation of one report.
pub fn text(explanation: &Explanation, report: &OomReport, style: Style) -> String {
    let mut out = String::new();
    style.paragraph(&mut out, "", 0, &style.paint(Paint::Heading, &explanation.headline));
    style.paragraph(
        &mut out,
        "  ",
        2,
        &style.paint(Paint::Faint, &format!("{}; {}", when(&report.origin.begin), origin(report))),
    );
    out.push('\n');
    for sentence in &explanation.summary {
        style.paragraph(&mut out, "  - ", 4, sentence);
    }
    let (first, rest) = explanation.advice.split_at(explanation.advice.len().min(FIRST_ADVICE));
    if !first.is_empty() {
        out.push_str(&format!("\n{}\n", style.paint(Paint::Heading, "WHAT TO DO")));
        advice(&mut out, first, style);
    }
    for part in details::parts(explanation, report) {
        out.push_str(&format!("\n{}\n", style.paint(Paint::Heading, &part.title.to_uppercase())));
        table(&mut out, &part, style);
    }
    if !rest.is_empty() {
        out.push_str(&format!("\n{}\n", style.paint(Paint::Heading, "FURTHER")));
        advice(&mut out, rest, style);
    }
    if !explanation.unknown.is_empty() {
        out.push_str(&format!("\n{}\n", style.paint(Paint::Heading, "NOT KNOWN")));
        for what in &explanation.unknown {
            style.paragraph(&mut out, "  - ", 4, what);
        }
    }
    out
}

fn advice(out: &mut String, list: &[crate::diagnose::oom::Advice], style: Style) {
    for advice in list {
        style.paragraph(
            out,
            "  - ",
            4,
            &format!("{} (Because: {}.)", advice.text, advice.because.trim_end_matches('.')),
        );
    }
}

/// Columns aligned; the last one, if it is of words, is broken to fit.
fn table(out: &mut String, part: &details::Part, style: Style) {
    let last = part.columns.len().saturating_sub(1);
    let widths: Vec<usize> = (0..last)
        .map(|i| {
            let cells = part.rows.iter().filter_map(|row| row.get(i)).map(|cell| width(cell));
            cells.chain(part.columns.get(i).map(|(title, _)| width(title))).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::from("  ");
        for ((cell, room), (_, right)) in cells.zip(&widths).zip(part.columns) {
            let space = " ".repeat(room.saturating_sub(width(cell)));
            text += &if *right { format!("{space}{cell}  ") } else { format!("{cell}{space}  ") };
        }
        text
    };
    if part.columns.iter().any(|(title, _)| !title.is_empty()) {
        let head = line(&mut part.columns.iter().map(|(title, _)| *title));
        let title = part.columns.last().map_or("", |(title, _)| *title);
        out.push_str(&style.paint(Paint::Faint, format!("{head}{title}").trim_end()));
        out.push('\n');
    }
    for row in &part.rows {
        let head = line(&mut row.iter().map(String::as_str));
        let hang = width(&head);
        style.paragraph(out, &head, hang, row.last().map_or("", String::as_str));
    }
}
