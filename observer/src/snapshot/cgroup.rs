//! Memory cgroups.

use serde::{Deserialize, Serialize};

use super::{Name, fields::kernel_fields, pressure::Resource};

/// Id of a memory cgroup: the inode of its folder in the hierarchy that carries the memory controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CgroupId(pub u64);

/// How the host mounts the memory controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hierarchy {
    /// The memory controller is in a version 1 hierarchy, and no cgroup2 is mounted.
    #[default]
    V1,
    /// The memory controller is in the unified hierarchy.
    V2,
    /// Both are mounted; the memory controller is in version 1.
    Hybrid,
}

/// The memory cgroups of the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroups {
    /// Which hierarchy was read.
    pub hierarchy: Hierarchy,
    /// Every cgroup, parents before children.
    pub list: Vec<Cgroup>,
    /// Cgroups that vanished between being listed and being read.
    pub vanished: u64,
    /// Cgroups beyond the limit of one snapshot, which were not read.
    pub not_read: u64,
}

impl Cgroups {
    /// The cgroup with this id.
    pub fn by_id(&self, id: CgroupId) -> Option<&Cgroup> {
        self.list.iter().find(|c| c.id == id)
    }
}

/// One memory cgroup.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroup {
    /// Its id.
    pub id: CgroupId,
    /// Path from the root of its hierarchy; the root is `/`.
    pub path: Name,
    /// Memory charged to it and its children. Source: `memory.usage_in_bytes` (v1), `memory.current` (v2).
    pub usage: Option<u64>,
    /// Hard limit; `None` also where there is none, see [`Self::unlimited`]. Source: `memory.limit_in_bytes`, `memory.max`.
    pub limit: Option<u64>,
    /// True if the kernel says that there is no hard limit.
    pub unlimited: bool,
    /// Throttling limit. Source: `memory.high` (v2).
    pub high: Option<u64>,
    /// Swap charged to it. Source: `total_swap` of memory.stat (v1), `memory.swap.current` (v2).
    pub swap: Option<u64>,
    /// What the memory is. Source: memory.stat, `total_*` lines on v1 (children included).
    pub stat: Option<CgroupStat>,
    /// Times the hard limit was met. Source: `memory.failcnt` (v1), `memory.events` max (v2).
    pub limit_hits: Option<u64>,
    /// Times the throttling limit was met. Source: `memory.events` high (v2).
    pub high_hits: Option<u64>,
    /// Processes killed by the OOM killer. Source: `memory.oom_control` oom_kill (v1), `memory.events` (v2).
    pub oom_kills: Option<u64>,
    /// Stalls for memory of its tasks. Source: `memory.pressure` (v2).
    pub pressure: Option<Resource>,
}

kernel_fields! {
    /// memory.stat under its version 2 names, in bytes; counts where said.
    pub struct CgroupStat {
        /// Anonymous memory (`total_rss` on v1).
        "anon" => anon (one),
        /// Page cache with tmpfs (`total_cache` on v1).
        "file" => file (one),
        /// tmpfs and shared memory.
        "shmem" => shmem (one),
        /// File pages mapped by processes.
        "file_mapped" => file_mapped (one),
        /// Page cache waiting to be written.
        "file_dirty" => file_dirty (one),
        /// Page cache being written.
        "file_writeback" => file_writeback (one),
        /// Anonymous, not recently used.
        "inactive_anon" => inactive_anon (one),
        /// Anonymous, recently used.
        "active_anon" => active_anon (one),
        /// File, not recently used: what reclaim takes first.
        "inactive_file" => inactive_file (one),
        /// File, recently used.
        "active_file" => active_file (one),
        /// What reclaim may not take.
        "unevictable" => unevictable (one),
        /// Slab that can be reclaimed (v2).
        "slab_reclaimable" => slab_reclaimable (one),
        /// Slab that cannot (v2).
        "slab_unreclaimable" => slab_unreclaimable (one),
        /// Kernel stacks (v2).
        "kernel_stack" => kernel_stack (one),
        /// Page tables (v2).
        "pagetables" => page_tables (one),
        /// Socket buffers (v2).
        "sock" => sock (one),
        /// Faults since the cgroup was made, a count.
        "pgfault" => pgfault (one),
        /// Faults that read from a device, a count.
        "pgmajfault" => pgmajfault (one),
        /// Anonymous bytes that came back soon after reclaim took them.
        "workingset_refault_anon" => workingset_refault_anon_bytes (page),
        /// File bytes that came back soon after reclaim took them.
        "workingset_refault_file" => workingset_refault_file_bytes (page),
        /// Bytes looked at by reclaim (v2).
        "pgscan" => pgscan_bytes (page),
        /// Bytes that reclaim took (v2).
        "pgsteal" => pgsteal_bytes (page),
    }
}
