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
    /// Ended reclaims of cgroups that are gone and made room in the kernel's map, by kind.
    pub vanished: Vec<CgroupReclaim>,
    /// Ended reclaims by the process that stalled.
    pub by_process: Vec<ProcessReclaim>,
    /// Reclaims that have begun and not ended.
    pub in_flight: Vec<InFlight>,
    /// Pages that were looked at and taken, by who looked. Source: `vmscan:mm_vmscan_lru_shrink_inactive`.
    pub scans: Option<Vec<Scan>>,
    /// Waits inside of reclaim. Source: `vmscan:mm_vmscan_throttled`.
    pub throttles: Option<Vec<Throttle>>,
}

/// Whose reclaim looked at pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scanner {
    /// kswapd of the node.
    Kswapd,
    /// A task, in direct or memcg reclaim.
    Task,
}

/// Pages that were looked at on inactive lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// NUMA node of the pages.
    pub node: u32,
    /// Who looked.
    pub by: Scanner,
    /// Memory cgroup of the task that looked.
    pub cgroup: Option<CgroupId>,
    /// True for pages of files, false for anonymous ones and tmpfs.
    pub file: bool,
    /// Bytes that were looked at.
    pub scanned_bytes: u64,
    /// Bytes that were reclaimed.
    pub reclaimed_bytes: u64,
}

/// Waits of one kind in one cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Memory cgroup of the tasks that waited.
    pub cgroup: Option<CgroupId>,
    /// The kernel's word, of `enum vmscan_throttle_state` in BTF without its prefix, in small letters: `writeback`,
    /// `isolated`, `noprogress`, `congested`.
    pub reason: Name,
    /// Waits.
    pub count: u64,
    /// Nanoseconds, summed.
    pub total_ns: u64,
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
    /// Nanoseconds from begin to end.
    #[serde(default)]
    pub latency_ns: Log2Histogram,
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

impl ReclaimTotals {
    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.total_ns += other.total_ns;
        self.reclaimed_bytes += other.reclaimed_bytes;
    }
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
