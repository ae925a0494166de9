//! The flight recorder: keeps the snapshots of the last minutes in memory, and stores them with all that is known of a kill
//! when one comes.
//!
//! A file is written at once, with what is known at that moment, and completed when the kernel's log has told the rest.
//! What fails is told in the coverage, and is never an end.

mod kept;
mod store;

use std::{collections::VecDeque, path::PathBuf};

pub use store::Bounds;

use kept::Kept;
use store::Store;

use crate::{
    recording::{
        Meta, RecordingError,
        format::{self, Encoder, End, Kind},
    },
    snapshot::{
        Coverage, Host, Name, Snapshot, Stamp,
        coverage::Source,
        oom::OomKill,
        oom_record::{OomRecord, Reported},
        oom_watch::{OomCounts, OomStored},
    },
    source::oom_record::FileName,
};

/// Nanoseconds between two kept snapshots at least: what is taken more often would reach back less far.
const PACE_NS: u64 = 2_000_000_000;
/// Records that wait to be completed at most; the oldest stays as it is when one more comes.
const MOST_OPEN: usize = 1024;
/// Snapshots that a record has in any case, although an earlier one has them too: a rate needs two.
const LEAST: usize = 2;

/// Where and how much is stored.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder.
    pub folder: PathBuf,
    /// How much it may hold.
    pub bounds: Bounds,
}

/// Stores kills.
#[derive(Debug)]
pub struct FlightRecorder {
    options: Options,
    /// `None` until the folder could be opened: it is tried again with each kill.
    store: Option<Store>,
    kept: Kept,
    encoder: Encoder,
    /// What a file begins with.
    begin: Vec<u8>,
    /// The begin of a file, or what is added to one, as it is put together.
    file: Vec<u8>,
    /// What stands before each snapshot of a file.
    heads: Vec<[u8; format::FRAME_HEAD]>,
    host: Host,
    coverage: Coverage,
    before: Option<OomCounts>,
    open: VecDeque<Open>,
    /// The last record that was stored, and the newest of its snapshots.
    last: Option<(FileName, u64)>,
    /// Kills that the log alone has told.
    unnumbered: u64,
    trouble: Option<Name>,
    failures: u64,
    /// Kills of which a record was begun.
    stored: u64,
}

/// A record that is not complete.
#[derive(Debug)]
struct Open {
    name: FileName,
    record: OomRecord,
    frames: u32,
    /// True when the log has told, or will not tell.
    told: bool,
}

impl FlightRecorder {
    /// Begins. A folder that cannot be used is told by the coverage, and tried again later.
    pub fn new(options: Options) -> Result<Self, RecordingError> {
        let meta = Meta { observer: env!("CARGO_PKG_VERSION").to_owned(), interval_ns: None, masked: false };
        let mut begin = format::header();
        begin.extend(format::encode_frame(0, Kind::Meta, &meta)?);
        let mut recorder = Self {
            options,
            store: None,
            kept: Kept::new(kept::BUDGET),
            encoder: Encoder::new()?,
            begin,
            file: Vec::new(),
            heads: Vec::with_capacity(kept::MOST),
            host: Host::default(),
            coverage: Coverage::default(),
            before: None,
            open: VecDeque::with_capacity(MOST_OPEN),
            last: None,
            unnumbered: 0,
            trouble: None,
            failures: 0,
            stored: 0,
        };
        let outcome = recorder.rehearse();
        recorder.note(outcome);
        Ok(recorder)
    }

    /// Does once what a kill needs, as far as the folder: what cannot work is known now, and the code is in RAM.
    fn rehearse(&mut self) -> Result<(), RecordingError> {
        let record = self.record(Stamp::default(), Some(OomKill::default()), Reported::Awaited);
        self.file.clear();
        push_frame(&mut self.file, 1, Kind::OomRecord, self.encoder.encode(&record)?)?;
        self.open_store()?;
        self.store.as_ref().map_or(Ok(()), |store| store.rehearse(&self.file))
    }

    /// Keeps a snapshot, completes the records of kills that are told, and adds to the snapshot's coverage what could not be
    /// stored.
    pub fn snapshot(&mut self, snapshot: &mut Snapshot) {
        let missing = self.trouble.clone();
        snapshot.coverage.sources.push(Source { name: Source::OOM_DIR.to_owned(), missing });
        if let Some(watch) = &mut snapshot.oom_watch {
            watch.stored = Some(OomStored { kills: self.stored, failures: self.failures });
        }
        let now = snapshot.stamp.monotonic_ns;
        if self.kept.newest_ns().is_none_or(|last| now.saturating_sub(last) >= PACE_NS) {
            match self.encoder.encode(snapshot) {
                Ok(payload) => self.kept.push(payload, now),
                Err(error) => self.note(Err(error)),
            }
        }
        self.host.clone_from(&snapshot.host);
        self.coverage.clone_from(&snapshot.coverage);
        let counts = snapshot.oom_watch.as_ref().map(|watch| watch.counts);
        self.complete(counts);
        self.before = counts;
    }

    /// Stores a kill that the probe has told, with all that is known at this moment.
    pub fn kill(&mut self, seen: Stamp, kill: &OomKill) {
        let name = FileName::new(&seen, kill.sequence, kill.victim.pid);
        let record = self.record(seen, Some(kill.clone()), Reported::Awaited);
        self.begin(name, record, false);
    }

    /// Adds what the log has told of a kill, or why it has not.
    pub fn told(&mut self, seen: Stamp, event: Option<OomKill>, report: Reported) {
        let sequence = event.as_ref().map(|e| e.sequence);
        let is_it = |open: &Open| sequence.is_some() && open.record.event.as_ref().map(|e| e.sequence) == sequence;
        match self.open.iter().position(is_it) {
            Some(at) => {
                let Some(mut open) = self.open.remove(at) else { return };
                open.record.report = report;
                open.told = true;
                let outcome = self.add(&mut open, false);
                self.note(outcome);
                self.open.push_back(open);
            }
            None => {
                self.unnumbered += 1;
                let record = self.record(seen, event, report);
                let name = FileName::new(&seen, sequence.unwrap_or(self.unnumbered), record.victim_pid());
                self.begin(name, record, true);
            }
        }
    }

    /// What keeps kills from being stored; `None` if nothing does.
    pub fn trouble(&self) -> Option<&Name> {
        self.trouble.as_ref()
    }

    fn record(&self, seen: Stamp, event: Option<OomKill>, report: Reported) -> OomRecord {
        OomRecord {
            seen,
            host: self.host.clone(),
            event,
            report,
            before: self.before,
            after: None,
            snapshots: 0,
            snapshots_dropped: self.kept.dropped(),
            earlier: None,
            coverage: self.coverage.clone(),
        }
    }

    /// Writes a new file.
    fn begin(&mut self, name: FileName, mut record: OomRecord, told: bool) {
        let outcome = self.write(name, &mut record);
        let frames = 2 + record.snapshots;
        if outcome.is_ok() {
            self.stored += 1;
            if self.open.len() == MOST_OPEN {
                self.open.pop_front();
            }
            self.open.push_back(Open { name, record, frames, told });
        }
        self.note(outcome);
    }

    fn write(&mut self, name: FileName, record: &mut OomRecord) -> Result<(), RecordingError> {
        // Of several kills in a row only the first has what led up to them all.
        let (earlier, since) = self.last.map_or((None, 0), |(name, newest)| (Some(name), newest));
        record.snapshots = u32::try_from(self.kept.since(since, LEAST).count()).unwrap_or(u32::MAX);
        record.earlier = earlier.map(|name| Name::from(name.to_string()));
        self.file.clear();
        self.file.extend_from_slice(&self.begin);
        push_frame(&mut self.file, 1, Kind::OomRecord, self.encoder.encode(record)?)?;
        // The snapshots are written from where they are: no memory is needed for all of them together.
        self.heads.clear();
        for (index, payload) in (2..).zip(self.kept.since(since, LEAST)) {
            self.heads.push(format::frame_head(index, Kind::Snapshot, payload)?);
        }
        self.open_store()?;
        let snapshots = self.heads.iter().zip(self.kept.since(since, LEAST));
        let pieces = snapshots.flat_map(|(head, payload)| [head.as_slice(), payload]);
        if let Some(store) = &mut self.store {
            store.write(name, std::iter::once(self.file.as_slice()).chain(pieces))?;
        }
        self.last = Some((name, self.kept.newest_ns().unwrap_or(since)));
        Ok(())
    }

    /// Adds the record once more as it is now known, and the end if it is complete.
    fn add(&mut self, open: &mut Open, end: bool) -> Result<(), RecordingError> {
        let mut index = open.frames;
        self.file.clear();
        push_frame(&mut self.file, index, Kind::OomRecord, self.encoder.encode(&open.record)?)?;
        index += 1;
        if end {
            let content = End { snapshots: u64::from(open.record.snapshots) };
            push_frame(&mut self.file, index, Kind::End, self.encoder.encode(&content)?)?;
            index += 1;
        }
        self.open_store()?;
        if let Some(store) = &mut self.store {
            store.append(open.name, &self.file)?;
        }
        open.frames = index;
        Ok(())
    }

    /// Ends the records that have been told of, with the counts that were read since.
    fn complete(&mut self, counts: Option<OomCounts>) {
        for _ in 0..self.open.len() {
            let Some(mut open) = self.open.pop_front() else { return };
            if !open.told {
                self.open.push_back(open);
                continue;
            }
            open.record.after = counts;
            let outcome = self.add(&mut open, true);
            self.note(outcome);
        }
    }

    /// Opens the folder, if that could not be done before.
    fn open_store(&mut self) -> Result<(), RecordingError> {
        if self.store.is_none() {
            self.store = Some(Store::open(&self.options.folder, self.options.bounds)?);
        }
        Ok(())
    }

    /// Says once what is wrong, and when it is right again.
    fn note(&mut self, outcome: Result<(), RecordingError>) {
        match outcome {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    tracing::warn!("OOM kills are stored again in {}", self.options.folder.display());
                }
            }
            Err(error) => {
                self.failures += 1;
                let text = Name::from(format!("{error} ({} failed so far)", self.failures));
                if self.trouble.is_none() {
                    tracing::warn!("an OOM kill cannot be stored: {text}");
                }
                self.trouble = Some(text);
            }
        }
    }
}

fn push_frame(file: &mut Vec<u8>, index: u32, kind: Kind, payload: &[u8]) -> Result<(), RecordingError> {
    file.extend_from_slice(&format::frame_head(index, kind, payload)?);
    file.extend_from_slice(payload);
    Ok(())
}

#[cfg(test)]
mod tests;
