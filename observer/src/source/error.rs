//! What can go wrong while reading the kernel.

use std::io;

use crate::snapshot::Name;

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A system call on a file failed.
    #[error("cannot {call} {path}: {cause}")]
    Io {
        /// What was tried, such as `read`.
        call: &'static str,
        /// The file.
        path: Name,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// A file does not look as it should.
    #[error("{path}, {problem}")]
    Malformed {
        /// The file.
        path: Name,
        /// What is wrong with it, and where.
        problem: Malformed,
    },
    /// Netlink refused or garbled an answer.
    #[error(transparent)]
    Netlink(#[from] super::netlink::NetlinkError),
    /// The host has no memory controller that could be read.
    #[error("{0}")]
    NoMemoryController(String),
}

impl SourceError {
    /// Turns the error of a file operation into a `SourceError`.
    pub fn io(call: &'static str, path: impl AsRef<[u8]>, cause: impl Into<io::Error>) -> Self {
        Self::Io { call, path: Name::from_bytes(path.as_ref()), cause: cause.into() }
    }

    /// Names the file in which a parser found a problem.
    pub fn malformed(path: impl AsRef<[u8]>, problem: Malformed) -> Self {
        Self::Malformed { path: Name::from_bytes(path.as_ref()), problem }
    }

    /// The reason as it stands in the coverage.
    pub fn reason(&self) -> Name {
        Name::from(self.to_string())
    }
}

/// A line that is not what the kernel is known to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Malformed {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Malformed {
    /// A problem on a line, counted from 1.
    pub fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }

    /// Something other than a number where one was due.
    pub fn no_number(line: usize, field: &str, text: &[u8]) -> Self {
        Self::new(line, format!("{field} is {:?}, not a number", Name::from_bytes(text).as_str()))
    }
}
