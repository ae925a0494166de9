//! Compaction, and the fallbacks that mix migrate types.

use super::{COMM_LEN, plain, reclaim::BUCKETS};

/// Results that are told apart, by the kernel's `enum compact_result`; a power of two, so that an index is bounded by a
/// mask.
pub const RESULTS: usize = 16;

/// Who compacts: a task that needs a block.
pub const DIRECT: u32 = 0;
/// Who compacts: kcompactd, or whoever wrote to /proc/sys/vm/compact_memory.
pub const BACKGROUND: u32 = 1;

/// A compaction that has begun, by thread id.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// Begin in nanoseconds of `CLOCK_MONOTONIC`.
    pub begin_ns: u64,
    /// Memory cgroup of the task; 0 if unknown.
    pub cgroup: u64,
}

/// Cgroup and who compacts.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Memory cgroup of the task; 0 if unknown.
    pub cgroup: u64,
    /// [`DIRECT`] or [`BACKGROUND`].
    pub by: u32,
    /// Padding.
    pub zero: u32,
}

/// Ended compactions of one zone each.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Nanoseconds, summed.
    pub total_ns: u64,
    /// Compactions by result.
    pub results: [u64; RESULTS],
    /// Histogram of nanoseconds.
    pub latency: [u64; BUCKETS],
}

/// Who fell back, and how.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FallbackKey {
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// Start of the process in nanoseconds of `CLOCK_BOOTTIME`.
    pub start_ns: u64,
    /// Process id, the kernel's tgid.
    pub tgid: u32,
    /// Order of the request.
    pub order: u16,
    /// Migrate type of the request, by the kernel's `enum migratetype`.
    pub wanted: u8,
    /// Migrate type of the block that was taken.
    pub taken: u8,
}

/// Fallbacks of one kind.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Fallback {
    /// How many.
    pub count: u64,
    /// Name of the task that last fell back.
    pub comm: [u8; COMM_LEN],
}

plain!(Begun = 16, Key = 16, Value = 648, FallbackKey = 24, Fallback = 24);
