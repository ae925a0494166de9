//! Finds reports in any amount of log, in constant memory.

use std::io::{self, Read};

use aho_corasick::{AhoCorasick, MatchKind};

use super::Parser;
use crate::snapshot::{Name, oom_report::OomReport};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;
/// Bytes of a line that are looked at: no line of the kernel is longer than its record, 1 to 8 KiB.
const LONGEST_LINE: usize = 64 << 10;

/// Words with which a report, or what is left of one, can begin.
const BEGINS: [&str; 6] = [
    "invoked oom-killer:",
    "oom-kill:constraint=",
    "ut of memory: Kill",
    "illed process ",
    "ut of memory and no killable",
    " is already exiting. Skip killing",
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
    /// Room for one chunk and what is left of the one before.
    buffer: Box<[u8]>,
    /// Bytes of the buffer that were read.
    filled: usize,
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
            // Only leftmost matches are searched for with SIMD.
            begins: AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(BEGINS)?,
            buffer: vec![0; CHUNK + LONGEST_LINE].into_boxed_slice(),
            filled: 0,
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
                let last = self.buffer.get(self.at..self.filled).unwrap_or_default();
                if self.skipping {
                    self.lines += 1;
                } else if !last.is_empty() {
                    self.lines += 1;
                    self.parser.line(self.lines, last);
                }
                self.parser.finish();
            }
        }
    }

    /// Takes the lines that are whole in the buffer, until a report is.
    fn whole_lines(&mut self) {
        let unread = self.buffer.get(self.at..self.filled).unwrap_or_default();
        let Some(end) = memchr::memrchr(b'\n', unread).map(|at| self.at + at + 1) else { return };
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
        self.buffer.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        self.at = 0;
        if self.filled > LONGEST_LINE {
            // No line of the kernel: what was read of it is enough to know that.
            if !self.skipping {
                let line = self.buffer.get(..LONGEST_LINE).unwrap_or_default();
                self.parser.line(self.lines + 1, line);
            }
            self.skipping = true;
            self.filled = 0;
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let read = loop {
            match self.log.read(room) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.filled += read;
        Ok(read > 0)
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
