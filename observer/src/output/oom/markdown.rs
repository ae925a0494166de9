//! An explanation for a ticket.

use super::{details, origin, when};
use crate::{diagnose::oom::Explanation, snapshot::oom_report::OomReport};

/// The explanation of one report, as Markdown with tables.
pub fn markdown(explanation: &Explanation, report: &OomReport) -> String {
    let mut out = format!(
        "## {}\n\n{}; {}\n\n",
        escape(&explanation.headline),
        escape(&when(&report.origin.begin)),
        escape(&origin(report))
    );
    for sentence in &explanation.summary {
        out += &format!("- {}\n", escape(sentence));
    }
    if !explanation.advice.is_empty() {
        out += "\n### What to do\n\n";
        for advice in &explanation.advice {
            out +=
                &format!("- {} *Because: {}.*\n", escape(&advice.text), escape(advice.because.trim_end_matches('.')));
        }
    }
    for part in details::parts(explanation, report) {
        out += &format!("\n### {}\n\n", part.title);
        let titles: Vec<_> = part.columns.iter().map(|(title, _)| *title).collect();
        let rules: Vec<_> = part.columns.iter().map(|(_, right)| if *right { "---:" } else { "---" }).collect();
        out += &format!("| {} |\n| {} |\n", titles.join(" | "), rules.join(" | "));
        for row in &part.rows {
            let cells: Vec<_> = row.iter().map(|cell| escape(cell)).collect();
            out += &format!("| {} |\n", cells.join(" | "));
        }
    }
    if !explanation.unknown.is_empty() {
        out += "\n### Not known\n\n";
        for what in &explanation.unknown {
            out += &format!("- {}\n", escape(what));
        }
    }
    out
}

/// Names may have any character: none of them becomes a mark, a link or a tag.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut code = false;
    for c in text.chars() {
        match c {
            // Commands in the words of observer itself.
            '`' => code = !code,
            '\\' | '*' | '[' | ']' | '<' | '>' | '|' | '#' | '!' | '~' if !code => out.push('\\'),
            '_' if !code => out.push('\\'),
            '|' => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    out
}
