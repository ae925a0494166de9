//! Compaction, which moves pages to make large free blocks, and the fallbacks of the page allocator that undo its work.
//! Source: tracepoints `compaction:mm_compaction_{begin,end}`, `kmem:mm_page_alloc_extfrag`.

use serde::{Deserialize, Serialize};

use super::{CgroupId, Log2Histogram, Name};

/// Who compacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compactor {
    /// A task that needs a block: direct compaction.
    Direct,
    /// kcompactd, in the background.
    Kcompactd,
}

/// Compaction since the probes were attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compaction {
    /// Ended compactions of a zone, by the cgroup of the task.
    pub by_cgroup: Vec<CgroupCompaction>,
}

/// Ended compactions of one cgroup's tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupCompaction {
    /// Memory cgroup of the tasks; kcompactd's own is the root.
    pub cgroup: Option<CgroupId>,
    /// Who compacted.
    pub by: Compactor,
    /// How many ended, by result.
    pub results: Vec<CompactResult>,
    /// Nanoseconds from begin to end, summed.
    pub total_ns: u64,
    /// Nanoseconds from begin to end.
    pub latency_ns: Log2Histogram,
}

/// Compactions that ended in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactResult {
    /// The kernel's word, of `enum compact_result` in BTF without its prefix, in small letters: `success`, `complete`,
    /// `partial_skipped`, `contended`.
    pub result: Name,
    /// How many.
    pub count: u64,
}

/// Fallbacks since the probe was attached: a request found no block of its migrate type and took one of another, which
/// mixes types in a page block. Source: `kmem:mm_page_alloc_extfrag`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extfrag {
    /// By process, order and types.
    pub rows: Vec<Fallback>,
    /// Events that found no place in the kernel's map, and those of processes that ended and made room.
    pub other: u64,
}

impl Extfrag {
    /// All fallbacks since the probe was attached.
    pub fn total(&self) -> u64 {
        self.other + self.rows.iter().map(|row| row.count).sum::<u64>()
    }
}

/// Fallbacks of one kind by one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fallback {
    /// Memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Process id, the kernel's tgid.
    pub pid: u32,
    /// Name of the task that last fell back.
    pub comm: Name,
    /// Order of the request.
    pub order: u32,
    /// Migrate type of the request: the kernel's word in small letters, of `enum migratetype` in BTF: `unmovable`.
    pub wanted: Name,
    /// Migrate type of the block that was taken.
    pub taken: Name,
    /// Fallbacks.
    pub count: u64,
}
