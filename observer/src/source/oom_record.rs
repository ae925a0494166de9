//! Reading back what the flight recorder stored: one file a kill.
//!
//! A file is a segment of a recording (see [`crate::recording::format`]) with the [`OomRecord`] in a frame of its own, so that
//! whatever replays recordings also replays the minutes before a kill.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    recording::{Reader, RecordingError},
    snapshot::{Snapshot, Stamp, oom_record::OomRecord},
};

/// End of the name of a stored record.
pub const EXTENSION: &str = ".oom.obsrec";

/// A stored kill.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its file.
    pub path: PathBuf,
    /// What is known of the kill.
    pub record: OomRecord,
    /// The snapshots before it, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// True if the record was completed and nothing of the file is lost. False: observer or the host ended before, or the
    /// file was cut off.
    pub complete: bool,
    /// What is wrong with the file.
    pub damage: Vec<String>,
}

/// A file that cannot be read as the record of a kill.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// It is no recording, or cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// It is a recording of something else, or ends before the record.
    #[error("{} holds no record of an OOM kill", .0.display())]
    NoRecord(PathBuf),
}

/// Reads one file.
pub fn read(path: &Path) -> Result<Stored, StoredError> {
    let mut reader = Reader::open(path)?;
    let (mut snapshots, mut damage) = (Vec::new(), Vec::new());
    for item in reader.by_ref() {
        match item {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(error) => damage.push(error.to_string()),
        }
    }
    let complete = reader.is_complete() && damage.is_empty();
    let record = reader.oom_record().cloned().ok_or_else(|| StoredError::NoRecord(path.to_owned()))?;
    Ok(Stored { path: path.to_owned(), record, snapshots, complete, damage })
}

/// The records of a folder, oldest first, by their names. Other files are passed over.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(key) = name.to_str().and_then(FileName::parse) {
            found.push((key, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Name of a stored record. It is made of numbers alone: a name that a process chose is in no file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// When observer saw the kill: milliseconds since the Unix epoch.
    pub realtime_ms: u64,
    /// Number of the kill since observer began to look.
    pub sequence: u64,
    /// Process id of the victim; 0 if unknown.
    pub pid: u32,
}

impl FileName {
    /// The name of a kill's file.
    pub fn new(seen: &Stamp, sequence: u64, pid: Option<u32>) -> Self {
        Self { realtime_ms: seen.realtime_ns / 1_000_000, sequence, pid: pid.unwrap_or_default() }
    }

    /// Takes a name apart; `None` if it is not one of these.
    pub fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.strip_suffix(EXTENSION)?.split('-');
        let found = Self {
            realtime_ms: numbers.next()?.parse().ok()?,
            sequence: numbers.next()?.parse().ok()?,
            pid: numbers.next()?.parse().ok()?,
        };
        // Written in one way only: no `+`, no missing zeros, nothing behind.
        (found.to_string() == name).then_some(found)
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:013}-{:06}-{}{EXTENSION}", self.realtime_ms, self.sequence, self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers_and_nothing_else() {
        let name = FileName { realtime_ms: 1_763_734_263_004, sequence: 7, pid: 1234 };
        assert_eq!(name.to_string(), "1763734263004-000007-1234.oom.obsrec");
        assert_eq!(FileName::parse(&name.to_string()), Some(name));
        for other in [
            "1763734263004-7-1234.oom.obsrec",
            "1763734263004-000007-+1234.oom.obsrec",
            "1763734263004-000007-1234-5.oom.obsrec",
            ".1763734263004-000007-1234.oom.obsrec.new",
            "segment-000001.obsrec",
        ] {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_lists_its_records_by_age() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["1763734263004-000010-9.oom.obsrec", "1763734263004-000009-10.oom.obsrec", "notes.txt"];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = list(folder.path()).unwrap();
        assert_eq!(found, [folder.path().join(names[1]), folder.path().join(names[0])]);
        assert!(matches!(read(&found[0]), Err(StoredError::Recording(RecordingError::NotARecording { .. }))));
    }
}
