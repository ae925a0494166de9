//! Retries of the page allocator, the last steps before an OOM kill.
//! Source: tracepoints `oom:reclaim_retry_zone`, `oom:compact_retry`.

use serde::{Deserialize, Serialize};

use super::{CgroupId, Name};

/// What the allocator considered to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryKind {
    /// Another round of reclaim.
    Reclaim,
    /// Another round of compaction.
    Compact,
}

/// Retries since the probes were attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retries {
    /// By process and kind.
    pub rows: Vec<Retry>,
    /// Events that found no place in the kernel's map, and those of processes that ended and made room.
    pub other: u64,
}

impl Retries {
    /// All retries since the probes were attached.
    pub fn total(&self) -> u64 {
        self.other + self.rows.iter().map(|row| row.count).sum::<u64>()
    }
}

/// Retries of one kind by one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Process id, the kernel's tgid.
    pub pid: u32,
    /// Name of the task that last considered it.
    pub comm: Name,
    /// What was considered.
    pub kind: RetryKind,
    /// Times it was considered; for reclaim once a zone.
    pub count: u64,
    /// Times the answer was no: `wmark_check` false for reclaim, `ret` false for compaction.
    pub refused: u64,
    /// Order of the last request.
    pub last_order: u32,
    /// Rounds without progress at the last one (`no_progress_loops`), or retries of compaction.
    pub last_loops: u32,
    /// Bytes that the zone had free or could reclaim at the last one; reclaim only.
    pub last_available_bytes: Option<u64>,
    /// The min watermark that it was held against, in bytes; reclaim only.
    pub last_min_bytes: Option<u64>,
}
