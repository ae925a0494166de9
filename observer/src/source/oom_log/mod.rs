//! The kernel's OOM reports in a log: found, taken out of whatever the logger put around them, and typed.
//!
//! [`Scanner`] reads any amount of log in constant memory; [`Parser`] takes single lines, as they come from `/dev/kmsg`.
//! Formats of Linux 2.6 to 6.18. What is not known is kept in the report, and never ends it.

mod builder;
pub mod input;
mod kill;
mod memcg;
mod prefix;
mod request;
mod scan;
mod show_mem;
mod tasks;
mod text;

use std::collections::VecDeque;

use builder::{Builder, Took};
pub use scan::{ScanError, Scanner};

use crate::snapshot::{
    Name,
    oom_report::{Cut, OomReport, Origin},
};

/// Hosts whose reports may be open at the same time in one log.
const MOST_OPEN: usize = 64;
/// Lines of others after the kill, until nothing more is expected: what the reaper says comes a little later.
const PATIENCE_LINES: u32 = 64;
/// The same in nanoseconds of the kernel's clock.
const PATIENCE_NS: u64 = 30_000_000_000;
/// Lines of one report, after which it is no report any more.
const MOST_LINES: u32 = 1_000_000;

/// Takes lines one by one and gives reports when they are whole.
#[derive(Debug, Default)]
pub struct Parser {
    source: Name,
    /// One for each host, the one that had a line last at the end.
    open: VecDeque<Open>,
    done: VecDeque<OomReport>,
}

#[derive(Debug)]
struct Open {
    builder: Builder,
    lines: u32,
    /// Lines since the kill that had nothing to do with it; `None` before the kill.
    idle: Option<u32>,
}

impl Parser {
    /// A parser for a log of that name.
    pub fn new(source: Name) -> Self {
        Self { source, ..Self::default() }
    }

    /// True if no report has begun that has not ended.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a line without its end; `number` counts from 1, 0 where lines have no numbers.
    pub fn line(&mut self, number: u64, line: &[u8]) {
        // syslog daemons write a record of several lines as one.
        if text::find(line, b"#012").is_some() {
            let mut rest = line;
            while let Some(at) = text::find(rest, b"#012") {
                self.single(number, rest.get(..at).unwrap_or_default());
                rest = rest.get(at + 4..).unwrap_or_default();
            }
            self.single(number, rest);
        } else {
            self.single(number, line);
        }
    }

    fn single(&mut self, number: u64, line: &[u8]) {
        let line = prefix::take(line);
        if !line.of_kernel || line.words.trim_ascii().is_empty() {
            return;
        }
        // A line that continues a record has no prefix: it belongs to whoever spoke last.
        let has_prefix = line.stamp != Default::default() || line.host.is_some();
        let found = if has_prefix {
            self.open.iter().rposition(|o| *o.builder.host() == line.host)
        } else {
            self.open.len().checked_sub(1)
        };
        if let Some(mut open) = found.and_then(|at| self.open.remove(at)) {
            let took = open.builder.take(&line);
            open.lines += 1;
            match took {
                Took::Yes => open.idle = open.idle.map(|_| 0),
                Took::End => open.idle = Some(0),
                Took::No => open.idle = open.idle.map(|n| n + 1),
                Took::Begin => {
                    let cut = open.idle.is_none().then_some(Cut::Overtaken);
                    self.done.push_back(open.builder.finish(cut));
                    return self.begin(number, &line);
                }
            }
            let late = open.idle.is_some_and(|n| n >= PATIENCE_LINES || open.builder.silent_ns() > PATIENCE_NS);
            if late || open.lines >= MOST_LINES {
                let cut = open.idle.is_none().then_some(Cut::Drowned);
                self.done.push_back(open.builder.finish(cut));
            } else {
                self.open.push_back(open);
            }
        } else {
            self.begin(number, &line);
        }
    }

    /// Begins a report if the line begins one.
    fn begin(&mut self, number: u64, line: &prefix::Line<'_>) {
        let origin = Origin {
            source: self.source.clone(),
            line: number,
            host: line.host.clone(),
            begin: line.stamp.clone(),
            end: line.stamp.clone(),
        };
        let Some((builder, ended)) = Builder::begin(origin, line) else { return };
        if self.open.len() == MOST_OPEN
            && let Some(oldest) = self.open.pop_front()
        {
            let cut = oldest.idle.is_none().then_some(Cut::Overtaken);
            self.done.push_back(oldest.builder.finish(cut));
        }
        self.open.push_back(Open { builder, lines: 1, idle: ended.then_some(0) });
    }

    /// Ends those whose kill has come, as when no line comes for a while in a live log.
    pub fn settle(&mut self) {
        let (ended, open): (VecDeque<_>, _) = self.open.drain(..).partition(|o| o.idle.is_some());
        self.open = open;
        self.done.extend(ended.into_iter().map(|o| o.builder.finish(None)));
    }

    /// Ends all: the log is over.
    pub fn finish(&mut self) {
        for open in self.open.drain(..) {
            let cut = open.idle.is_none().then_some(Cut::End);
            self.done.push_back(open.builder.finish(cut));
        }
    }

    /// True if [`Self::next_report`] has one.
    pub(super) fn next_is_ready(&self) -> bool {
        !self.done.is_empty()
    }

    /// The next report that is whole, or as whole as it will be.
    pub fn next_report(&mut self) -> Option<OomReport> {
        self.done.pop_front()
    }
}

/// All reports of a text.
pub fn reports(source: Name, text: &[u8]) -> Vec<OomReport> {
    let mut parser = Parser::new(source);
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        parser.line(at as u64 + 1, line);
    }
    parser.finish();
    std::iter::from_fn(|| parser.next_report()).collect()
}
