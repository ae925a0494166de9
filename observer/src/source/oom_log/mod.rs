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
use prefix::Line;
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
/// Lines of others before the kill, one after the other, until it is not expected any more.
const MOST_FOREIGN: u32 = 4096;
/// Bytes of lines that are held of all open reports. A row of the table of tasks has about 100: this is 300,000 tasks.
const MOST_HELD: usize = 32 << 20;

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
    /// Bytes of its lines.
    held: usize,
    /// True if the kill has come.
    ended: bool,
    /// Lines since the last of it that had nothing to do with it.
    foreign: u32,
}

impl Open {
    /// True if no more of it is to be waited for.
    fn is_over(&self) -> bool {
        let most = if self.ended { PATIENCE_LINES } else { MOST_FOREIGN };
        self.foreign >= most || self.builder.silent_ns() > PATIENCE_NS
    }

    /// The report; `cut` says why it ends here, if the kill has not come.
    fn finish(self, cut: Cut) -> OomReport {
        self.builder.finish((!self.ended).then_some(cut))
    }
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
        let first = text::find(line, b"#012").and_then(|at| line.get(..at));
        if first.is_some_and(|first| is_list(line, &prefix::take(first).words)) {
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
        if !line.of_kernel {
            return;
        }
        // A record of several lines, as /dev/kmsg and the journal's JSON give it.
        let first = line.words.split(|b| *b == b'\n').next().unwrap_or_default();
        if first.len() == line.words.len() || !is_list(&line.words, first) {
            if !line.words.trim_ascii().is_empty() {
                self.words(number, &line);
            }
            return;
        }
        for words in line.words.split(|b| *b == b'\n').filter(|words| !words.trim_ascii().is_empty()) {
            self.words(number, &Line { words: words.into(), ..line.clone() });
        }
    }

    fn words(&mut self, number: u64, line: &Line<'_>) {
        // A line that continues a record has no prefix: it belongs to whoever spoke last.
        let has_prefix = line.stamp != Default::default() || line.host.is_some();
        let found = if has_prefix {
            self.open.iter().rposition(|o| *o.builder.host() == line.host)
        } else {
            self.open.len().checked_sub(1)
        };
        if let Some(mut open) = found.and_then(|at| self.open.remove(at)) {
            let took = open.builder.take(line);
            open.ended |= took == Took::End;
            match took {
                Took::Yes | Took::End => (open.foreign, open.held) = (0, open.held + line.words.len()),
                Took::No => open.foreign += 1,
                Took::Begin => {
                    self.done.push_back(open.finish(Cut::Overtaken));
                    return self.begin(number, line);
                }
            }
            let held = open.held + self.open.iter().map(|o| o.held).sum::<usize>();
            if open.is_over() || held > MOST_HELD {
                self.done.push_back(open.finish(Cut::Drowned));
            } else {
                self.open.push_back(open);
            }
        } else {
            self.begin(number, line);
        }
    }

    /// Begins a report if the line begins one.
    fn begin(&mut self, number: u64, line: &Line<'_>) {
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
            self.done.push_back(oldest.finish(Cut::Overtaken));
        }
        self.open.push_back(Open { builder, held: line.words.len(), ended, foreign: 0 });
    }

    /// Ends those whose kill has come, as when no line comes for a while in a live log.
    pub fn settle(&mut self) {
        let (ended, open): (VecDeque<_>, _) = self.open.drain(..).partition(|o| o.ended);
        self.open = open;
        self.done.extend(ended.into_iter().map(|o| o.finish(Cut::End)));
    }

    /// Ends all: the log is over.
    pub fn finish(&mut self) {
        self.done.extend(self.open.drain(..).map(|open| open.finish(Cut::End)));
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

/// True if the kernel's words are the line of a kill.
pub(super) fn is_kill(words: &[u8]) -> bool {
    // The words are rare, and looked for in every line of a log: the cheaper question comes first.
    text::find(words, b"illed process ").is_some() && kill::kill(words).is_some()
}

/// True if the kernel says that a victim was ending already, and was not killed.
pub(super) fn is_skipped_kill(words: &[u8]) -> bool {
    text::find(words, b"already exiting. Skip killing").is_some()
}

/// True if a record is that of a cgroup's statistics, the only one of several lines; a newline elsewhere is one of a name.
fn is_list(record: &[u8], first: &[u8]) -> bool {
    let first = first.trim_ascii();
    (memcg::stats(first).is_some() || memcg::stat(first).is_some())
        && text::find(record, b" invoked oom-killer: ").is_none()
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
