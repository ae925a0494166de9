//! Writing a recording.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::recording::RecordingError;
use crate::recording::format::{self, End, Kind, Meta};
use crate::snapshot::Snapshot;

/// Where a recording ends, and where its segments do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Snapshots at most.
    pub snapshots: Option<u64>,
    /// Bytes of all segments together at most.
    pub bytes: Option<u64>,
    /// Time from the first snapshot to the last at most, by their stamps.
    pub duration: Option<Duration>,
    /// Bytes after which a new segment begins.
    pub segment_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { snapshots: None, bytes: None, duration: None, segment_bytes: 64 << 20 }
    }
}

/// Whether there is room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The snapshot is written, and more may come.
    Continues,
    /// This limit is reached: further snapshots are not written.
    Full(Limit),
}

/// A limit of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::snapshots`].
    Snapshots,
    /// [`Limits::bytes`].
    Bytes,
    /// [`Limits::duration`].
    Duration,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Snapshots.
    pub snapshots: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Segments.
    pub segments: u32,
}

/// Writes snapshots into a folder. Each frame is one write, and what a failed one left behind is cut off again, so that a
/// segment always ends with a whole frame.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    meta: Meta,
    limits: Limits,
    segment: Segment,
    /// All segments, this one included.
    written: Summary,
    /// `CLOCK_MONOTONIC` of the first snapshot.
    first_ns: Option<u64>,
    full: Option<Limit>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    path: PathBuf,
    /// Bytes of whole frames, and the header.
    len: u64,
    next_index: u32,
}

impl Writer {
    /// Begins a recording in a folder that is new or empty, without limits.
    pub fn create(folder: &Path, meta: &Meta) -> Result<Self, RecordingError> {
        Self::with_limits(folder, meta, Limits::default())
    }

    /// Begins a recording that ends by itself.
    pub fn with_limits(folder: &Path, meta: &Meta, limits: Limits) -> Result<Self, RecordingError> {
        match fs::create_dir(folder) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => refuse_unless_empty(folder)?,
            Err(e) => return Err(RecordingError::io("create folder", folder, e)),
        }
        let segment = Segment::create(folder, 1, meta)?;
        let written = Summary { snapshots: 0, bytes: segment.len, segments: 1 };
        let folder = folder.to_owned();
        Ok(Self { folder, meta: meta.clone(), limits, segment, written, first_ns: None, full: None })
    }

    /// Writes one snapshot, unless a limit forbids it. After an error the recording is as it was before.
    pub fn append(&mut self, snapshot: &Snapshot) -> Result<Progress, RecordingError> {
        let now = snapshot.stamp.monotonic_ns;
        let first = *self.first_ns.get_or_insert(now);
        let too_late = |max: Duration| u128::from(now.saturating_sub(first)) > max.as_nanos();
        if self.limits.duration.is_some_and(too_late) {
            self.full = Some(Limit::Duration);
        }
        if let Some(limit) = self.full {
            return Ok(Progress::Full(limit));
        }
        if self.segment.len >= self.limits.segment_bytes {
            self.begin_segment()?;
        }
        let frame = format::encode_frame(self.segment.next_index, Kind::Snapshot, snapshot)?;
        if self.limits.bytes.is_some_and(|max| self.written.bytes.saturating_add(frame.len() as u64) > max) {
            self.full = Some(Limit::Bytes);
            return Ok(Progress::Full(Limit::Bytes));
        }
        self.segment.write(&frame)?;
        self.written.bytes += frame.len() as u64;
        self.written.snapshots += 1;
        if self.limits.snapshots.is_some_and(|max| self.written.snapshots >= max) {
            self.full = Some(Limit::Snapshots);
        }
        Ok(self.full.map_or(Progress::Continues, Progress::Full))
    }

    /// Ends the recording: says that it is whole, and waits until it is on the disk.
    pub fn finish(mut self) -> Result<Summary, RecordingError> {
        let end = End { snapshots: self.written.snapshots };
        let frame = format::encode_frame(self.segment.next_index, Kind::End, &end)?;
        self.segment.write(&frame)?;
        self.written.bytes += frame.len() as u64;
        self.segment.sync()?;
        sync_folder(&self.folder)?;
        Ok(self.written)
    }

    /// What was written so far.
    pub fn written(&self) -> Summary {
        self.written
    }

    fn begin_segment(&mut self) -> Result<(), RecordingError> {
        let number = self.written.segments.saturating_add(1);
        let segment = Segment::create(&self.folder, number, &self.meta)?;
        self.segment.sync()?;
        self.written.segments = number;
        self.written.bytes += segment.len;
        self.segment = segment;
        Ok(())
    }
}

impl Segment {
    /// A segment appears under its name only with its header and description in it. A name that is taken is refused.
    fn create(folder: &Path, number: u32, meta: &Meta) -> Result<Self, RecordingError> {
        let path = folder.join(format::segment_name(number));
        let unfinished = folder.join(format!(".{}.new", format::segment_name(number)));
        let mut begin = format::header();
        begin.extend(format::encode_frame(0, Kind::Meta, meta)?);
        // The unfinished file is also a lock: whoever made it is the only one to look for the finished one and make it.
        let made = OpenOptions::new().append(true).create_new(true).open(&unfinished);
        let file = made.map_err(|e| RecordingError::io("create", &unfinished, e))?;
        let finish = || {
            if path.try_exists()? {
                return Err(ErrorKind::AlreadyExists.into());
            }
            (&file).write_all(&begin)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        if let Err(e) = finish() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&unfinished);
            return Err(RecordingError::io("create", &path, e));
        }
        sync_folder(folder)?;
        Ok(Self { file, path, len: begin.len() as u64, next_index: 1 })
    }

    fn write(&mut self, frame: &[u8]) -> Result<(), RecordingError> {
        if let Err(e) = self.file.write_all(frame) {
            // The disk may be full: what is cut off here makes room for nothing, but the file ends with a whole frame.
            let cut = self.file.set_len(self.len);
            cut.map_err(|e| RecordingError::io("cut off the end of", &self.path, e))?;
            return Err(RecordingError::io("write to", &self.path, e));
        }
        self.len += frame.len() as u64;
        self.next_index = self.next_index.saturating_add(1);
        Ok(())
    }

    fn sync(&self) -> Result<(), RecordingError> {
        self.file.sync_all().map_err(|e| RecordingError::io("sync", &self.path, e))
    }
}

fn refuse_unless_empty(folder: &Path) -> Result<(), RecordingError> {
    let mut entries = fs::read_dir(folder).map_err(|e| RecordingError::io("list", folder, e))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(RecordingError::NotEmpty { path: folder.to_owned() }),
    }
}

fn sync_folder(folder: &Path) -> Result<(), RecordingError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| RecordingError::io("sync", folder, e))
}
