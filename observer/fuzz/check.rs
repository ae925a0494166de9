//! What holds for any bytes that are read as a log: checked by the fuzz target, and by a test for each file of the corpus.

use std::io::{self, Read};

use observer::{
    diagnose::oom::explain,
    output::{
        oom::{self, Document},
        text::Style,
    },
    snapshot::oom_report::OomReport,
    source::oom_log::Scanner,
};

/// Gives a log in pieces, whose sizes are taken from its own bytes.
struct Pieces<'a> {
    rest: &'a [u8],
    seed: u32,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A step of a linear congruential generator.
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = 1 + (self.seed >> 16) as usize % 200;
        let size = size.min(self.rest.len()).min(buffer.len());
        let (piece, rest) = self.rest.split_at(size);
        buffer[..size].copy_from_slice(piece);
        self.rest = rest;
        Ok(size)
    }
}

fn scan(log: impl Read) -> Vec<OomReport> {
    let scanner = Scanner::new(log, "log".into()).expect("the texts that begin a report can be searched for");
    scanner.map(|report| report.expect("memory can be read")).collect()
}

/// Reads a log, explains what is in it, and writes it in every form.
pub(crate) fn log(bytes: &[u8]) {
    let found = scan(bytes);
    let seed = bytes.iter().fold(bytes.len() as u32, |seed, b| seed.wrapping_mul(31).wrapping_add(u32::from(*b)));
    assert_eq!(found, scan(Pieces { rest: bytes, seed }), "the sizes of the pieces that are read change nothing");
    for report in &found {
        shown(report, bytes.len());
        let text = serde_json::to_vec(report).expect("a report can be written");
        let back: OomReport = serde_json::from_slice(&text).expect("what was written can be read");
        assert_eq!(*report, back, "a stored report is what was read");
    }
    // What lies on a disk may have been changed there: no number of a report is trusted.
    if bytes.starts_with(b"{")
        && let Ok(report) = serde_json::from_slice::<OomReport>(bytes)
    {
        shown(&report, bytes.len());
    }
}

/// Writes a report in every form; `input` is how many bytes it was made from.
fn shown(report: &OomReport, input: usize) {
    let explanation = explain(report);
    for width in [None, Some(80)] {
        clean(&oom::text(&explanation, report, Style { width, color: false }));
    }
    clean(&oom::markdown(&explanation, report));
    let line = oom::list(&explanation, report);
    clean(&line);
    assert_eq!(line.matches('\n').count(), 1, "{line:?}");
    let document = Document { version: oom::VERSION, explanation: &explanation, report };
    let json = serde_json::to_string(&document).expect("a document can be written");
    clean(&json);
    assert!(!json.contains('\n'));
    // A name may stand in several places, and a byte of it becomes four that can be read.
    assert!(json.len() <= 64 * input + (64 << 10), "{} bytes of {input}", json.len());
}

/// Nothing that moves a cursor, changes a colour or turns the direction of what follows.
fn clean(text: &str) {
    let harmful =
        |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.contains(harmful), "{text:?}");
}
