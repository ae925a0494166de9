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
    /// Histogram of nanoseconds; 32 bits a bucket, because there are many processes.
    pub latency: [u32; BUCKETS],
}

/// Who looked at pages: a task, in direct or memcg reclaim.
pub const TASK: u32 = 0;
/// Who looked at pages: kswapd.
pub const KSWAPD: u32 = 1;

/// Whose pages were looked at, and by whom.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScanKey {
    /// Memory cgroup of the task that looked; 0 if unknown.
    pub cgroup: u64,
    /// NUMA node of the pages.
    pub node: u32,
    /// [`TASK`] or [`KSWAPD`].
    pub by: u16,
    /// 1 for pages of files, 0 for anonymous ones.
    pub file: u16,
}

/// Pages that were looked at on inactive lists.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Pages that were looked at.
    pub scanned: u64,
    /// Pages that were reclaimed.
    pub reclaimed: u64,
}

/// Why who waited inside of reclaim.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThrottleKey {
    /// Memory cgroup of the task that waited; 0 if unknown.
    pub cgroup: u64,
    /// The kernel's `enum vmscan_throttle_state`.
    pub reason: u32,
    /// Padding.
    pub zero: u32,
}

/// Waits inside of reclaim.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Waits.
    pub count: u64,
    /// Microseconds, summed.
    pub total_us: u64,
}

plain!(
    InFlight = 48,
    InFlightKey = 8,
    Last = 40,
    CgroupKey = 16,
    Totals = 24,
    ByCgroup = 536,
    ProcessKey = 24,
    ByProcess = 296,
    ScanKey = 16,
    Scan = 16,
    ThrottleKey = 16,
    Throttle = 16
);
