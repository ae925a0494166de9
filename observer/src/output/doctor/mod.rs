//! What the facts about a host mean for observer: what works, what does not, and the command that mends it.

mod judge;

use serde::Serialize;

use super::text::{Paint, Style};
use crate::{
    snapshot::coverage::{Probe, ProbeState},
    source::doctor::Facts,
};

pub use judge::checks;

/// How much observer sees on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every probe is attached and every source is read.
    Full,
    /// Something is missing.
    Degraded,
    /// No probe is attached and no source is read.
    Nothing,
}

impl Status {
    /// How much a host shows.
    pub fn of(facts: &Facts) -> Self {
        let coverage = &facts.coverage;
        let attached = coverage.probes.iter().any(|p| !matches!(p.state, ProbeState::Absent { .. }));
        let read = coverage.sources.iter().any(|s| s.missing.is_none());
        match (attached || read, coverage.is_full() && !coverage.probes.is_empty()) {
            (false, _) => Self::Nothing,
            (true, false) => Self::Degraded,
            (true, true) => Self::Full,
        }
    }

    /// The exit code of `observer doctor`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Degraded => 1,
            Self::Nothing => 2,
        }
    }
}

/// What a fact means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it should be.
    Ok,
    /// It could add something, and nothing lacks without it.
    Optional,
    /// Something is not seen for want of it.
    Missing,
}

/// A fact with what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Heading that it belongs under.
    pub group: Group,
    /// What was looked at.
    pub name: String,
    /// What it means.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// The command that mends it, where there is one.
    pub mend: Option<String>,
}

/// Headings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The kernel, its settings and files.
    Host,
    /// What this process may do.
    Rights,
    /// BPF program types.
    ProgramTypes,
    /// Observer's own probes.
    Probes,
    /// Files and sockets that are read.
    Sources,
}

const GROUPS: &[(Group, &str)] = &[
    (Group::Host, "HOST"),
    (Group::Rights, "RIGHTS"),
    (Group::ProgramTypes, "BPF PROGRAM TYPES, each loaded and attached to try it"),
    (Group::Probes, "PROBES"),
    (Group::Sources, "SOURCES"),
];

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    observer_version: &'static str,
    status: Status,
    exit_code: u8,
    checks: &'a [Check],
    facts: &'a Facts,
}

/// The facts and what they mean as one JSON document, on one line, or indented for a person.
pub fn json(facts: &Facts, indented: bool) -> serde_json::Result<String> {
    let status = Status::of(facts);
    let document = Document {
        version: super::json::VERSION,
        observer_version: env!("CARGO_PKG_VERSION"),
        status,
        exit_code: status.exit_code(),
        checks: &checks(facts),
        facts,
    };
    if indented { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }
}

/// The facts and what they mean, for a person.
pub fn text(facts: &Facts, style: Style) -> String {
    let checks = checks(facts);
    let mut out = String::new();
    for (group, title) in GROUPS {
        let rows: Vec<&Check> = checks.iter().filter(|c| c.group == *group).collect();
        if rows.is_empty() {
            continue;
        }
        out.push_str(&format!("{}\n", style.paint(Paint::Heading, title)));
        let name_width = rows.iter().map(|c| super::text::width(&c.name)).max().unwrap_or(0);
        for check in rows {
            let (word, paint) = match check.verdict {
                Verdict::Ok => ("ok", Paint::Good),
                Verdict::Optional => ("-", Paint::Faint),
                Verdict::Missing => ("NO", Paint::Warning),
            };
            let first = format!("  {} {:<name_width$}  ", style.paint(paint, &format!("{word:<2}")), check.name);
            style.paragraph(&mut out, &first, name_width + 7, &check.found);
        }
        out.push('\n');
    }
    mends(&mut out, style, &checks);
    let (text, paint) = match Status::of(facts) {
        Status::Full => ("Full: observer sees everything it looks for.", Paint::Good),
        Status::Degraded => ("Degraded: observer works, and does not see what is marked NO.", Paint::Warning),
        Status::Nothing => ("Nothing works: no probe is attached and nothing could be read.", Paint::Critical),
    };
    out.push_str(&format!("{}\n", style.paint(paint, text)));
    out
}

/// What one command mends is named up to here: the marks above name all of it.
const NAMED: usize = 8;

/// Each command once, with what it mends: what is missing first, then what would only add something.
fn mends(out: &mut String, style: Style, checks: &[Check]) {
    let mut seen: Vec<&str> = Vec::new();
    for (verdict, title) in [(Verdict::Missing, "TO MEND IT"), (Verdict::Optional, "TO SEE MORE THAN IS NEEDED")] {
        let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
        for check in checks.iter().filter(|c| c.verdict == verdict) {
            let Some(command) = check.mend.as_deref().filter(|c| !seen.contains(c)) else { continue };
            match commands.iter_mut().find(|(c, _)| *c == command) {
                Some((_, names)) => names.push(&check.name),
                None => commands.push((command, vec![&check.name])),
            }
        }
        if commands.is_empty() {
            continue;
        }
        out.push_str(&format!("{}\n", style.paint(Paint::Heading, title)));
        for (command, names) in commands {
            let more = names.len().saturating_sub(NAMED);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            let named: Vec<&str> = names.into_iter().take(NAMED).collect();
            style.paragraph(out, "  ", 2, &format!("{}{rest}:", named.join(", ")));
            // A command is one line, whatever the width: it is there to be copied.
            out.push_str(&format!("    {command}\n"));
            seen.push(command);
        }
        out.push('\n');
    }
}

/// What a probe's state is, in words.
fn probe_found(probe: &Probe) -> String {
    let mut text = match &probe.state {
        ProbeState::Attached => probe.attach.clone(),
        ProbeState::Fallback { with, reason } => format!("{with} in place of {}: {reason}", probe.attach),
        ProbeState::Absent { reason, replaced_by, .. } => {
            let instead = replaced_by.as_ref().map_or(String::new(), |r| format!("; in its place: {r}"));
            format!("{}: {reason}{instead}", probe.attach)
        }
    };
    if !probe.fields_missing.is_empty() {
        text.push_str(&format!("; lacks {}", probe.fields_missing.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests;
