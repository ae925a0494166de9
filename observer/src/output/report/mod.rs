//! The report as text, for a person on call: what is wrong, the facts behind it, and what was not seen.

mod buffers;
mod coverage;
mod drops;
mod findings;
mod first_byte;
mod listeners;
mod memory;
mod namespaces;
mod oom;
mod tcp;
mod traffic;
mod tunnels;

use super::text::{Paint, Style};
use crate::{
    diagnose::Diagnosis,
    model::Model,
    snapshot::{Log2Histogram, Name, Stamp},
    units,
};

/// A part of the report that can be asked for by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Section {
    /// Host, zones, cgroups, who allocates, who stalls, kswapd
    Memory,
    /// OOM kills: trigger, victim, cgroups
    Oom,
    /// Life cycle, connections and what limits them, interfaces
    Tcp,
    /// Tunnel interfaces
    Tunnels,
}

impl Section {
    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Oom => "oom",
            Self::Tcp => "tcp",
            Self::Tunnels => "tunnels",
        }
    }
}

/// What is printed.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The interval.
    pub model: &'a Model,
    /// What is wrong in it.
    pub diagnosis: &'a Diagnosis,
    /// The part that was asked for, with all its rows; `None`: all parts, each cut to its top rows.
    pub section: Option<Section>,
}

/// What a section is written with.
#[derive(Debug, Clone, Copy)]
struct Page<'a> {
    model: &'a Model,
    diagnosis: &'a Diagnosis,
    style: Style,
    /// True if this section was asked for by itself.
    detailed: bool,
}

impl Page<'_> {
    /// Rows of a table.
    fn rows(&self) -> usize {
        if self.detailed { 20 } else { 5 }
    }

    /// What to call a network namespace, where one is known.
    fn netns(&self, inode: Option<u64>) -> String {
        inode.map_or_else(|| "-".to_owned(), |inode| self.model.netns_titles.of(inode))
    }

    /// Says how many rows were left out.
    fn left_out(&self, out: &mut String, total: usize, section: Section) {
        let more = total.saturating_sub(self.rows());
        if more > 0 {
            let how = if self.detailed {
                "all of them: --json".to_owned()
            } else {
                format!("more: observer report {}", section.name())
            };
            let line = format!("  {more} more not shown ({how})");
            out.push_str(&format!("{}\n", self.style.paint(Paint::Faint, &line)));
        }
    }

    /// Says that a part fed by probes was not seen, and why.
    fn not_seen(&self, out: &mut String, what: &str, feeds: &str) {
        let reason = self.model.coverage.probe_reason(feeds);
        self.not_seen_because(out, what, reason);
    }

    /// Says that a part that is read from a file or another source was not seen, and why.
    fn not_read(&self, out: &mut String, what: &str, source: &str) {
        self.not_seen_because(out, what, self.model.coverage.source_reason(source));
    }

    /// Says that a part was not seen, and why.
    fn not_seen_because(&self, out: &mut String, what: &str, reason: Option<&Name>) {
        let reason = reason.map_or("no probe or source that tells it was read", Name::as_str);
        self.style.paragraph(out, &format!("  {what}: "), 4, &format!("not seen: {reason}"));
    }

    /// Appends `label` and a sentence, the sentences aligned.
    fn fact(&self, out: &mut String, label: &str, text: &str) {
        self.style.paragraph(out, &format!("  {label:<LABEL$} "), LABEL + 3, text);
    }

    fn title(&self, out: &mut String, title: &str) {
        out.push_str(&format!("\n{}\n", self.style.paint(Paint::Heading, title)));
    }

    /// Begins a subject of a section.
    fn subject(&self, out: &mut String, title: &str) {
        out.push('\n');
        self.subtitle(out, title);
    }

    fn subtitle(&self, out: &mut String, title: &str) {
        out.push_str(&format!("  {}\n", self.style.paint(Paint::Heading, title)));
    }
}

/// Appends a section.
type Write = fn(&mut String, &Page<'_>);

/// Columns of a fact's label.
const LABEL: usize = 9;

/// The whole report.
pub fn text(report: &Report<'_>, style: Style) -> String {
    let Report { model, diagnosis, section } = *report;
    let page = Page { model, diagnosis, style, detailed: section.is_some() };
    let mut out = String::new();
    header(&mut out, &page);
    findings::write(&mut out, &page, diagnosis);
    let sections: [(Section, Write); 4] = [
        (Section::Memory, memory::write),
        (Section::Oom, oom::write),
        (Section::Tcp, tcp::write),
        (Section::Tunnels, tunnels::write),
    ];
    for (one, write) in sections {
        if section.is_none_or(|asked| asked == one) {
            write(&mut out, &page);
        }
    }
    coverage::write(&mut out, &page);
    out
}

fn header(out: &mut String, page: &Page<'_>) {
    let host = &page.model.host;
    let cpus = host.cpus.map_or(String::new(), |n| format!(", {n} CPU{}", if n == 1 { "" } else { "s" }));
    let span = page.model.interval.map_or_else(
        || "one moment: there is no earlier snapshot, so no rates".to_owned(),
        |i| format!("over {}", units::seconds(i.seconds)),
    );
    let line = format!(
        "{}, Linux {} {}{cpus}, {}, {span}",
        host.hostname,
        host.kernel_release,
        host.machine,
        utc(page.model.stamp)
    );
    page.style.paragraph(out, "", 0, &line);
}

/// A moment in UTC, for people: `2026-11-21T05:20:11Z`.
pub fn utc(stamp: Stamp) -> String {
    let second = i64::try_from(stamp.realtime_ns / 1_000_000_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(second).map_or_else(|_| units::UNKNOWN.to_owned(), |t| t.to_string())
}

/// Bytes that may be unknown.
fn bytes(value: Option<u64>) -> String {
    units::or_unknown(value.map(|v| v as f64), units::bytes)
}

/// A rate in bytes a second that may be unknown.
fn bytes_rate(value: Option<f64>) -> String {
    units::or_unknown(value, units::bytes_per_second)
}

/// Events a second that may be unknown.
fn events(value: Option<f64>) -> String {
    units::or_unknown(value, units::per_second)
}

/// Events a second; how many, where there is no interval.
fn events_or_count(per_second: Option<f64>, count: u64) -> String {
    per_second.map_or_else(|| units::count(count as f64), units::per_second)
}

/// A ratio that may be unknown.
fn share(value: Option<f64>) -> String {
    units::or_unknown(value, units::percent)
}

/// A time in seconds that may be unknown.
fn time(value: Option<f64>) -> String {
    units::or_unknown(value, units::seconds)
}

/// The time under which a share of a histogram's values lies, 0 to 1.
fn time_under(latency_ns: &Log2Histogram, quantile: f64) -> String {
    time(latency_ns.quantile_bound(quantile).map(|ns| ns / 1e9))
}

/// A name that may be unknown.
fn name(value: Option<&Name>) -> String {
    value.map_or_else(|| units::UNKNOWN.to_owned(), ToString::to_string)
}

/// `1 kill`, `2 kills`.
fn plural(n: u64, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}
