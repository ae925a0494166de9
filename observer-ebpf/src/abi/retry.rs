//! Retries of the page allocator, the last steps before an OOM kill.

use super::{COMM_LEN, plain};

/// What was considered: another round of reclaim.
pub const RECLAIM: u32 = 1;
/// What was considered: another round of compaction.
pub const COMPACT: u32 = 2;

/// Who considered what.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// Start of the process in nanoseconds of `CLOCK_BOOTTIME`.
    pub start_ns: u64,
    /// Process id, the kernel's tgid.
    pub tgid: u32,
    /// [`RECLAIM`] or [`COMPACT`].
    pub kind: u32,
}

/// What was counted.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// Times.
    pub count: u64,
    /// Times the answer was no.
    pub refused: u64,
    /// When the last one was: nanoseconds of `CLOCK_MONOTONIC`.
    pub last_ns: u64,
    /// Pages free or to be reclaimed at the last one; reclaim only.
    pub available: u64,
    /// Pages of the min watermark at the last one; reclaim only.
    pub min: u64,
    /// Order of the last request.
    pub order: u32,
    /// Rounds without progress, or retries, at the last one.
    pub loops: u32,
    /// 1 if the answer of the last one was no.
    pub last_refused: u32,
    /// Zero.
    pub pad: u32,
    /// Name of the task that last considered it.
    pub comm: [u8; COMM_LEN],
}

plain!(Key = 24, Value = 72);
