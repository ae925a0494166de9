//! Reading a recording back, snapshot by snapshot.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use crate::recording::error::Lost;
use crate::recording::format::{self, End, Frame, HeaderProblem, Kind, Meta};
use crate::recording::{RecordingError, VERSION};
use crate::snapshot::{Coverage, Name, Snapshot, oom_record::OomRecord};

/// Largest segment that is read: a whole one is held in memory, and observer begins a new one long before.
const MAX_SEGMENT: u64 = 1 << 30;

/// Reads a recording in order.
///
/// A damage gives one `Err` that says what was lost, and then the snapshots behind it. It is up to the caller whether to
/// go on.
#[derive(Debug)]
pub struct Reader {
    meta: Meta,
    /// Segments that are not open yet.
    segments: VecDeque<Result<PathBuf, RecordingError>>,
    current: Option<Segment>,
    given: u64,
    end: Option<End>,
    oom_record: Option<Box<OomRecord>>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    at: usize,
    /// Index that the next frame should have.
    index: u32,
}

impl Reader {
    /// Opens the recording in a folder, or a single segment of one.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let is_folder = fs::metadata(path).map_err(|e| RecordingError::io("open", path, e))?.is_dir();
        let mut segments = if is_folder { list(path)? } else { VecDeque::from([Ok(path.to_owned())]) };
        let first = segments.pop_front().ok_or_else(|| RecordingError::NotFound { path: path.to_owned() })??;
        let mut current = Segment::open(first)?;
        let meta = current.read_meta()?;
        Ok(Self { meta, segments, current: Some(current), given: 0, end: None, oom_record: None })
    }

    /// What the recording says about itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// True if the end was reached, and the recording was ended in order and lacks nothing. False before that, and if
    /// whoever recorded was stopped short.
    pub fn is_complete(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.snapshots == self.given)
    }

    /// The kill that this is the record of, as far as it was read until now: the last frame of it holds. `None` for any other
    /// recording.
    pub fn oom_record(&self) -> Option<&OomRecord> {
        self.oom_record.as_deref()
    }

    fn next_segment(&mut self) -> Option<Result<(), RecordingError>> {
        let opened = self.segments.pop_front()?.and_then(Segment::open);
        Some(opened.map(|segment| self.current = Some(segment)))
    }
}

impl Iterator for Reader {
    type Item = Result<Snapshot, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(segment) = &mut self.current else {
                match self.next_segment()? {
                    Ok(()) => continue,
                    Err(e) => return Some(Err(e)),
                }
            };
            match segment.next_content() {
                Some(Ok(Content::Snapshot(snapshot))) => {
                    self.given += 1;
                    return Some(Ok(*snapshot));
                }
                Some(Ok(Content::End(end))) => self.end = Some(end),
                Some(Ok(Content::OomRecord(record))) => self.oom_record = Some(record),
                Some(Ok(Content::Other)) => {}
                Some(Err(e)) => return Some(Err(e)),
                None => self.current = None,
            }
        }
    }
}

/// The segments of a folder by number, with an error in the place of each that is missing.
fn list(folder: &Path) -> Result<VecDeque<Result<PathBuf, RecordingError>>, RecordingError> {
    let failed = |e| RecordingError::io("list", folder, e);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        numbers.extend(entry.map_err(failed)?.file_name().to_str().and_then(format::segment_number));
    }
    numbers.sort_unstable();
    let mut out = VecDeque::with_capacity(numbers.len());
    let mut before: Option<u32> = None;
    for number in numbers {
        if let Some(missing) = before.and_then(|b| b.checked_add(1)).filter(|n| *n != number) {
            out.push_back(Err(RecordingError::SegmentMissing { path: folder.join(format::segment_name(missing)) }));
        }
        out.push_back(Ok(folder.join(format::segment_name(number))));
        before = Some(number);
    }
    Ok(out)
}

enum Content {
    Snapshot(Box<Snapshot>),
    End(End),
    OomRecord(Box<OomRecord>),
    Other,
}

impl Segment {
    fn open(path: PathBuf) -> Result<Self, RecordingError> {
        let size = fs::metadata(&path).map_err(|e| RecordingError::io("open", &path, e))?.len();
        if size > MAX_SEGMENT {
            let what = format!("it has {size} bytes, a segment has at most {MAX_SEGMENT}");
            return Err(RecordingError::NotARecording { path, what });
        }
        let bytes = fs::read(&path).map_err(|e| RecordingError::io("read", &path, e))?;
        match format::check_header(&bytes) {
            Ok(()) => Ok(Self { path, bytes, at: format::HEADER, index: 0 }),
            Err(HeaderProblem::Not(what)) => Err(RecordingError::NotARecording { path, what }),
            Err(HeaderProblem::Newer(found)) => Err(RecordingError::Newer { path, found, known: VERSION }),
        }
    }

    /// The description in the first frame. If that is damaged the recording is still read, without a description.
    fn read_meta(&mut self) -> Result<Meta, RecordingError> {
        match self.frame() {
            Ok(frame) if frame.kind == Kind::Meta => frame.decode().map_err(|what| self.damaged(what, 1)),
            _ => Ok(Meta::default()),
        }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn frame(&self) -> Result<Frame<'_>, &'static str> {
        format::frame_at(self.rest())
    }

    /// The next frame, or what is wrong instead of it. `None` at the end.
    fn next_content(&mut self) -> Option<Result<Content, RecordingError>> {
        if self.rest().is_empty() {
            return None;
        }
        let what = match self.frame() {
            Ok(frame) if frame.index == self.index => {
                let (content, size) = (content(&frame), frame.size());
                let result = content.map_err(|what| self.damaged(what, 1));
                self.at += size;
                self.index = self.index.saturating_add(1);
                return Some(result);
            }
            Ok(_) => "frames are missing",
            Err(what) => what,
        };
        Some(Err(self.skip_damage(what)))
    }

    /// Goes on to the next frame that is whole and newer than what was read.
    fn skip_damage(&mut self, what: &str) -> RecordingError {
        let mut next = self.at;
        loop {
            let rest = self.bytes.get(next..).unwrap_or_default();
            match format::frame_at(rest) {
                Ok(frame) if frame.index > self.index || (frame.index == self.index && next > self.at) => {
                    let lost = Lost::Exactly(u64::from(frame.index - self.index));
                    let error = self.damage(what, lost);
                    (self.at, self.index) = (next, frame.index);
                    return error;
                }
                _ => match format::next_frame(rest) {
                    Some(distance) => next += distance,
                    None => break,
                },
            }
        }
        let error = self.damage(what, Lost::AtLeast(1));
        self.at = self.bytes.len();
        error
    }

    fn damaged(&self, what: impl Into<String>, lost: u64) -> RecordingError {
        self.damage(&what.into(), Lost::Exactly(lost))
    }

    fn damage(&self, what: &str, lost: Lost) -> RecordingError {
        let offset = self.at as u64;
        RecordingError::Damaged { path: self.path.clone(), offset, what: what.to_owned(), lost }
    }
}

fn content(frame: &Frame<'_>) -> Result<Content, String> {
    match frame.kind {
        Kind::Snapshot => {
            let mut snapshot: Snapshot = frame.decode()?;
            make_printable(&mut snapshot.coverage);
            Ok(Content::Snapshot(Box::new(snapshot)))
        }
        Kind::End => frame.decode().map(Content::End),
        Kind::OomRecord => {
            let mut record: OomRecord = frame.decode()?;
            make_printable(&mut record.coverage);
            Ok(Content::OomRecord(Box::new(record)))
        }
        Kind::Meta | Kind::Unknown(_) => Ok(Content::Other),
    }
}

/// Whoever made the file may have put anything where observer puts its own words; a [`Name`] sees to itself.
fn make_printable(coverage: &mut Coverage) {
    let printable = |text: &mut String| *text = Name::from(std::mem::take(text)).into();
    for probe in &mut coverage.probes {
        printable(&mut probe.name);
        printable(&mut probe.attach);
        printable(&mut probe.feeds);
        probe.fields_missing.iter_mut().for_each(printable);
        match &mut probe.state {
            crate::snapshot::coverage::ProbeState::Attached => {}
            crate::snapshot::coverage::ProbeState::Fallback { with, .. } => printable(with),
            crate::snapshot::coverage::ProbeState::Absent { replaced_by, remedy, .. } => {
                replaced_by.iter_mut().chain(remedy).for_each(printable);
            }
        }
    }
    coverage.sources.iter_mut().for_each(|s| printable(&mut s.name));
    coverage.losses.iter_mut().for_each(|l| printable(&mut l.what));
}
