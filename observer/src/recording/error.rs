//! What can be wrong with a recording.

use std::io;
use std::path::{Path, PathBuf};

/// Why a recording could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A system call failed.
    #[error("cannot {call} {}: {cause}", path.display())]
    Io {
        /// What was tried, such as `write to`.
        call: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// The folder to record into holds something already.
    #[error("{} is not empty; a recording takes a new or an empty folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// There is no recording in the folder.
    #[error("{} holds no recording (no file segment-*.{})", path.display(), super::format::EXTENSION)]
    NotFound {
        /// The folder.
        path: PathBuf,
    },
    /// A file is no segment of a recording.
    #[error("{} is not a recording of observer: {what}", path.display())]
    NotARecording {
        /// The file.
        path: PathBuf,
        /// What is wrong with its first bytes.
        what: String,
    },
    /// A file was written by a later observer.
    #[error("{} has format version {found}, this observer reads up to {known}: use a newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The last version that is known here.
        known: u16,
    },
    /// Part of a file is damaged. What comes before it, and where frames begin again also what comes after it, is read.
    #[error("{} is damaged at byte {offset}: {what}; {lost} lost", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong.
        what: String,
        /// What it cost.
        lost: Lost,
    },
    /// A file of the recording is not there.
    #[error("{} is missing, which lies between the first and the last segment", path.display())]
    SegmentMissing {
        /// The file.
        path: PathBuf,
    },
    /// A snapshot could not be encoded.
    #[error("cannot encode a snapshot: {0}")]
    Encode(String),
}

impl RecordingError {
    pub(crate) fn io(call: &'static str, path: &Path, cause: impl Into<io::Error>) -> Self {
        Self::Io { call, path: path.to_owned(), cause: cause.into() }
    }
}

/// How many frames a damage cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Known from the numbers of the frames around it.
    Exactly(u64),
    /// The end of the file is gone, and nothing says how many were there.
    AtLeast(u64),
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (prefix, n) = match self {
            Self::Exactly(n) => ("", n),
            Self::AtLeast(n) => ("at least ", n),
        };
        write!(f, "{prefix}{n} {}", if *n == 1 { "frame" } else { "frames" })
    }
}
