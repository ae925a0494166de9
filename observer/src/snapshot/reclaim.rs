//! Reclaim done by the tasks that need memory: direct reclaim and memcg reclaim.
//! Source: tracepoints `vmscan:mm_vmscan_direct_reclaim_{begin,end}`, `vmscan:mm_vmscan_memcg_reclaim_{begin,end}`.

use serde::{Deserialize, Serialize};

use super::{CgroupId, Log2Histogram, Name};

/// Whose limit made a task reclaim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReclaimKind {
    /// The host ran low: direct reclaim.
    Direct,
    /// A memory cgroup met its limit.
    Memcg,
}

/// Reclaims since the probes were attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reclaim {
    /// Ended reclaims by the cgroup of the task that stalled, with the latency histogram.
    pub by_cgroup: Vec<CgroupReclaim>,
    /// Ended reclaims by the process that stalled.
    pub by_process: Vec<ProcessReclaim>,
    /// Reclaims that have begun and not ended.
    pub in_flight: Vec<InFlight>,
}

/// Ended reclaims of one kind in one cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupReclaim {
    /// Memory cgroup of the tasks that stalled.
    pub cgroup: Option<CgroupId>,
    /// Whose limit.
    pub kind: ReclaimKind,
    /// What was counted.
    pub totals: ReclaimTotals,
    /// Nanoseconds from begin to end.
    pub latency_ns: Log2Histogram,
}

/// Ended reclaims of one kind by one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReclaim {
    /// Process id, the kernel's tgid.
    pub pid: u32,
    /// Name of the task that last stalled.
    pub comm: Name,
    /// Its memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Whose limit.
    pub kind: ReclaimKind,
    /// What was counted.
    pub totals: ReclaimTotals,
}

/// Sums over ended reclaims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReclaimTotals {
    /// Reclaims that ended.
    pub count: u64,
    /// Time from begin to end, summed, in nanoseconds.
    pub total_ns: u64,
    /// Bytes that were reclaimed.
    pub reclaimed_bytes: u64,
}

/// A reclaim that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Thread id.
    pub tid: u32,
    /// Process id, the kernel's tgid.
    pub pid: u32,
    /// Name of the task.
    pub comm: Name,
    /// Its memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Whose limit.
    pub kind: ReclaimKind,
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub begin_ns: u64,
    /// Order of the request that stalls.
    pub order: u32,
}
