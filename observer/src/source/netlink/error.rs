//! What can go wrong between observer and the kernel's netlink.

use std::io;

use netlink_packet_core::ErrorBuffer;

/// Why a question had no answer.
#[derive(Debug, thiserror::Error)]
#[error("{family}: {problem}")]
pub struct NetlinkError {
    /// Which part of the kernel was asked.
    pub family: &'static str,
    /// What went wrong.
    pub problem: Problem,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A system call failed.
    #[error("cannot {call} {what}: {cause}")]
    Call {
        /// What was tried.
        call: &'static str,
        /// With what.
        what: &'static str,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// The kernel refused the request.
    #[error("the kernel refused {request}: {cause}")]
    Refused {
        /// What was asked for.
        request: &'static str,
        /// Its reason.
        cause: io::Error,
    },
    /// A list never stood still.
    #[error("{request}: the list changed during each of {attempts} readings")]
    Changed {
        /// What was asked for.
        request: &'static str,
        /// How often it was read.
        attempts: u32,
    },
    /// An answer is not what it should be.
    #[error("{0}")]
    Garbled(String),
}

impl NetlinkError {
    /// The kernel's error number, if it refused.
    pub fn refused(&self) -> Option<i32> {
        match &self.problem {
            Problem::Refused { cause, .. } => cause.raw_os_error(),
            _ => None,
        }
    }
}

/// Reads `struct nlmsgerr`.
pub(super) fn refusal(request: &'static str, payload: &[u8]) -> Problem {
    let code = ErrorBuffer::new_checked(payload).ok().and_then(|e| e.code());
    let cause = code.map_or_else(
        || io::Error::other("an error without a number"),
        |code| io::Error::from_raw_os_error(code.get().saturating_neg()),
    );
    Problem::Refused { request, cause }
}
