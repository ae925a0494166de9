//! Finds reports in any amount of log, in constant memory.

use std::io::{self, Read};

use aho_corasick::AhoCorasick;

use super::Parser;
use crate::snapshot::{Name, oom_report::OomReport};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;
/// Bytes of a line that are looked at: no line of the kernel is longer than its record, 1 to 8 KiB.
const LONGEST_LINE: usize = 64 << 10;

/// Words with which a report, or what is left of one, can begin.
const BEGINS: [&str; 5] = [
    "invoked oom-killer:",
    "oom-kill:constraint=",
    "ut of memory: Kill",
    "illed process ",
    "ut of memory and no killable",
];

/// The log cannot be read any further.
#[derive(Debug, thiserror::Error)]
#[error("{log}: cannot be read after line {line}")]
pub struct ScanError {
    /// The log.
    pub log: Name,
    /// Lines that were read.
    pub line: u64,
    /// What the system said.
    pub source: io::Error,
}

/// Reports of a log, one after the other. Memory: one chunk, one line, and the reports that are open.
#[derive(Debug)]
pub struct Scanner<R> {
    log: R,
    source: Name,
    parser: Parser,
    begins: AhoCorasick,
    buffer: Vec<u8>,
    /// Where in the buffer the next line begins.
    at: usize,
    /// Lines before that.
    lines: u64,
    /// True while the rest of a line that is too long is thrown away.
    skipping: bool,
    over: bool,
}

impl<R: Read> Scanner<R> {
    /// Scans a log; `source` is its name in the reports.
    pub fn new(log: R, source: Name) -> Result<Self, aho_corasick::BuildError> {
        Ok(Self {
            log,
            parser: Parser::new(source.clone()),
            source,
            begins: AhoCorasick::new(BEGINS)?,
            buffer: Vec::with_capacity(CHUNK + LONGEST_LINE),
            at: 0,
            lines: 0,
            skipping: false,
            over: false,
        })
    }

    /// Lines that were read until now.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Reads until a report is whole or the log is over.
    fn advance(&mut self) -> io::Result<Option<OomReport>> {
        loop {
            if let Some(report) = self.parser.next_report() {
                return Ok(Some(report));
            }
            if self.over {
                return Ok(None);
            }
            self.whole_lines();
            if self.parser.next_is_ready() {
                continue;
            }
            if !self.fill()? {
                self.over = true;
                let rest = std::mem::take(&mut self.buffer);
                let last = rest.get(self.at..).filter(|line| !line.is_empty() && !self.skipping);
                if let Some(line) = last {
                    self.lines += 1;
                    self.parser.line(self.lines, line);
                }
                self.parser.finish();
            }
        }
    }

    /// Takes the lines that are whole in the buffer, until a report is.
    fn whole_lines(&mut self) {
        let Some(end) = memchr::memrchr(b'\n', &self.buffer).map(|at| at + 1) else { return };
        while self.at < end && !self.parser.next_is_ready() {
            let Some(rest) = self.buffer.get(self.at..end) else { return };
            if self.skipping {
                let line_end = memchr::memchr(b'\n', rest).unwrap_or(rest.len() - 1);
                self.at += line_end + 1;
                self.lines += 1;
                self.skipping = false;
                continue;
            }
            if self.parser.is_idle() {
                let found = self.begins.find(rest).map(|m| m.start());
                let before = found.unwrap_or(rest.len());
                let skip = memchr::memrchr(b'\n', rest.get(..before).unwrap_or_default()).map_or(0, |at| at + 1);
                self.lines += memchr::memchr_iter(b'\n', rest.get(..skip).unwrap_or_default()).count() as u64;
                self.at += skip;
                if found.is_none() {
                    return;
                }
            }
            let Some(rest) = self.buffer.get(self.at..end) else { return };
            let line_end = memchr::memchr(b'\n', rest).unwrap_or(rest.len() - 1);
            let line = rest.get(..line_end.min(LONGEST_LINE)).unwrap_or_default();
            self.lines += 1;
            self.parser.line(self.lines, line);
            self.at += line_end + 1;
        }
    }

    /// Reads more; false at the end of the log.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.at);
        self.at = 0;
        if self.buffer.len() > LONGEST_LINE {
            // No line of the kernel: what was read of it is enough to know that.
            if !self.skipping {
                let line = self.buffer.get(..LONGEST_LINE).unwrap_or_default();
                self.parser.line(self.lines + 1, line);
            }
            self.skipping = true;
            self.buffer.clear();
        }
        let kept = self.buffer.len();
        self.buffer.resize(kept + CHUNK, 0);
        let read = loop {
            match self.log.read(self.buffer.get_mut(kept..).unwrap_or_default()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(kept + *read.as_ref().unwrap_or(&0));
        read.map(|n| n > 0)
    }
}

impl<R: Read> Iterator for Scanner<R> {
    type Item = Result<OomReport, ScanError>;

    /// The next report. After an error come the reports that were open, and then no more.
    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(report) => report.map(Ok),
            Err(source) => {
                self.over = true;
                self.parser.finish();
                Some(Err(ScanError { log: self.source.clone(), line: self.lines, source }))
            }
        }
    }
}
