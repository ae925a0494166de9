//! Reclaim done by the tasks that need memory.

use super::{COMM_LEN, plain};

/// Buckets of a latency histogram: bucket `i` counts `2^(i-1) <= ns < 2^i`, bucket 0 the zeros.
pub const BUCKETS: usize = 64;

/// Kind of a reclaim: the host ran low.
pub const DIRECT: u32 = 1;
/// Kind of a reclaim: a memory cgroup met its limit.
pub const MEMCG: u32 = 2;

/// A reclaim that has begun, by [`InFlightKey`].
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct InFlight {
    /// Begin in nanoseconds of `CLOCK_MONOTONIC`.
    pub begin_ns: u64,
    /// Memory cgroup of the task; 0 if unknown.
    pub cgroup: u64,
    /// Process id, the kernel's tgid.
    pub tgid: u32,
    /// Order of the request.
    pub order: u32,
    /// gfp flags of the request.
    pub gfp: u32,
    /// Padding.
    pub zero: u32,
    /// Name of the task.
    pub comm: [u8; COMM_LEN],
}

/// Task and kind.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InFlightKey {
    /// Thread id.
    pub tid: u32,
    /// [`DIRECT`] or [`MEMCG`].
    pub kind: u32,
}

/// The last reclaim of a task, by thread id: what an OOM kill is explained with.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Last {
    /// Begin in nanoseconds of `CLOCK_MONOTONIC`.
    pub begin_ns: u64,
    /// Nanoseconds that it took; 0 while it has not ended.
    pub duration_ns: u64,
    /// Pages that it reclaimed.
    pub pages: u64,
    /// [`DIRECT`] or [`MEMCG`]; 0 for none.
    pub kind: u32,
    /// Order of the request.
    pub order: u32,
    /// gfp flags of the request.
    pub gfp: u32,
    /// 1 if it has ended.
    pub ended: u32,
}

/// Cgroup and kind.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CgroupKey {
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// [`DIRECT`] or [`MEMCG`].
    pub kind: u32,
    /// Padding.
    pub zero: u32,
}

/// Sums over ended reclaims.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    /// Reclaims that ended.
    pub count: u64,
    /// Nanoseconds from begin to end.
    pub total_ns: u64,
    /// Pages that were reclaimed.
    pub pages: u64,
}

/// What was counted for a cgroup.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ByCgroup {
    /// Sums.
    pub totals: Totals,
    /// Histogram of nanoseconds.
    pub latency: [u64; BUCKETS],
}

/// Process, cgroup and kind.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessKey {
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// Start of the process in nanoseconds of `CLOCK_BOOTTIME`.
    pub start_ns: u64,
    /// Process id, the kernel's tgid.
    pub tgid: u32,
    /// [`DIRECT`] or [`MEMCG`].
    pub kind: u32,
}

/// What was counted for a process.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ByProcess {
    /// Sums.
    pub totals: Totals,
    /// Name of the task that last stalled.
    pub comm: [u8; COMM_LEN],
}

plain!(
    InFlight = 48,
    InFlightKey = 8,
    Last = 40,
    CgroupKey = 16,
    Totals = 24,
    ByCgroup = 536,
    ProcessKey = 24,
    ByProcess = 40
);
