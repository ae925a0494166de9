//! The thresholds that hold, as a file that says the same.

use std::fmt::Write as _;

use crate::diagnose::{Thresholds, thresholds::Threshold};

/// Columns of a comment.
const WIDTH: usize = 100;

/// Every threshold with its meaning, its default and what may be set; reading the text gives the same thresholds.
pub fn text(thresholds: &Thresholds) -> String {
    let mut out = String::new();
    let from = match &thresholds.file {
        Some(file) => format!("The thresholds of observer as they are in effect here, from {file}."),
        None => "The thresholds of observer: its defaults, as no configuration file was read.".to_owned(),
    };
    comment(&mut out, &from);
    comment(&mut out, "A file needs to name only what it changes.");
    for table in Thresholds::TABLES {
        let name = table.first().map_or("", |t| t.table);
        let _ = writeln!(out, "\n[{name}]");
        table.iter().for_each(|threshold| entry(&mut out, threshold, thresholds));
    }
    out
}

fn entry(out: &mut String, threshold: &Threshold, thresholds: &Thresholds) {
    let Threshold { key, about, default, range, .. } = threshold;
    let (least, most) = (range.start(), range.end());
    comment(out, &format!("{about} From {least} to {most}; default {default}."));
    let _ = writeln!(out, "{key} = {}", (threshold.get)(thresholds));
}

/// Appends a comment, in lines.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "{line}");
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    #[test]
    fn what_is_shown_reads_as_what_holds() {
        let changed = parse("[flow]\nidle_share = 0.25\nleast_seconds = 3\n", Path::new("/etc/a b\n.toml")).unwrap();
        for thresholds in [Thresholds::default(), changed] {
            let text = text(&thresholds);
            let again = parse(&text, Path::new("y")).unwrap();
            assert_eq!(again.changed().collect::<Vec<_>>(), thresholds.changed().collect::<Vec<_>>(), "{text}");
            assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
            assert!(text.contains("\n# Share of the time without data to send from which"), "{text}");
        }
    }
}
