//! OOM kills: one event each, through the ring buffer.

use super::{COMM_LEN, plain, reclaim::Last};

/// A task in an event.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// Process id, the kernel's tgid; 0 if unknown.
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name; empty if unknown.
    pub comm: [u8; COMM_LEN],
}

/// Functions of the call chain that an event holds.
pub const FRAMES: usize = 32;

/// The last round of reclaim that the allocator thought of for the trigger's process.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// When: nanoseconds of `CLOCK_MONOTONIC`; 0 if there was none.
    pub last_ns: u64,
    /// Pages that the zone had free or could reclaim.
    pub available: u64,
    /// Pages of its min watermark.
    pub min: u64,
    /// Order of the request.
    pub order: u32,
    /// Rounds without progress.
    pub loops: u32,
    /// 1 if that would not have been enough.
    pub refused: u32,
    /// Zero.
    pub pad: u32,
}

/// A victim was marked.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// Number of this kill since the probe was attached, from 1.
    pub sequence: u64,
    /// The task whose request led to the kill.
    pub trigger: Task,
    /// The task that was killed.
    pub victim: Task,
    /// The trigger's last reclaim; its kind is 0 if none was seen.
    pub reclaim: Last,
    /// The last round of reclaim before that.
    pub retry: Retry,
    /// Bytes of `stack` that are filled; negative where the kernel gave no call chain.
    pub stack_bytes: i64,
    /// The trigger's call chain in the kernel, innermost first.
    pub stack: [u64; FRAMES],
}

plain!(Task = 32, Retry = 40, Event = 424);
