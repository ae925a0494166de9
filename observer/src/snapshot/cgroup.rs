//! Memory cgroups.

use serde::{Deserialize, Serialize};

use super::{Name, container::Container, fields::kernel_fields, pressure::Resource};

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
    /// Memory cgroups that were removed and still hold memory: zombies. Source: `cgroup.stat` of the root,
    /// `nr_dying_subsys_memory`, else `nr_dying_descendants` (v2); `num_cgroups` of /proc/cgroups less those listed (v1).
    /// `None` on version 1 where only a part of the hierarchy is seen, as in a container.
    pub dying: Option<u64>,
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
    /// Times the hard limit was met. Source: `memory.failcnt` and `memory.memsw.failcnt` (v1), `memory.events` max (v2).
    pub limit_hits: Option<u64>,
    /// Times the throttling limit was met. Source: `memory.events` high (v2).
    pub high_hits: Option<u64>,
    /// Processes killed by the OOM killer. Source: `memory.oom_control` oom_kill (v1), `memory.events` (v2).
    pub oom_kills: Option<u64>,
    /// Memory below which reclaim spares it as long as others have some, in bytes; the largest number is `max`, all of it.
    /// Source: `memory.low` (v2).
    pub low: Option<u64>,
    /// Memory below which reclaim never takes from it, as for [`Self::low`]. Source: `memory.min` (v2).
    pub min: Option<u64>,
    /// Most that it ever used. Source: `memory.max_usage_in_bytes` (v1), `memory.peak` (v2).
    pub peak: Option<u64>,
    /// Limit of its swap (v2); the lowest limit of memory and swap together along its path (v1). `None` also where there is none.
    /// Source: `hierarchical_memsw_limit` of memory.stat, `memory.swap.max`.
    pub swap_limit: Option<u64>,
    /// Kernel memory charged to it. Source: `memory.kmem.usage_in_bytes` (v1), `kernel` of memory.stat (v2).
    pub kernel: Option<u64>,
    /// Times its own hard limit was met, not that of a cgroup below. Source: `memory.events.local` max (v2),
    /// `memory.failcnt` and `memory.memsw.failcnt` (v1).
    pub own_limit_hits: Option<u64>,
    /// Times its own limit led to an OOM, not that of a cgroup below. Source: `memory.events.local` oom (v2).
    pub own_ooms: Option<u64>,
    /// Processes killed that were in it, not in a cgroup below. Source: `memory.events.local` oom_kill (v2),
    /// `memory.oom_control` oom_kill (v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_oom_kills: Option<u64>,
    /// Kills of the whole cgroup. Source: `memory.events` oom_group_kill (v2).
    pub oom_group_kills: Option<u64>,
    /// The container that it belongs to.
    pub container: Option<Container>,
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
        /// Refaulted anonymous bytes that were part of the working set (v2).
        "workingset_restore_anon" => workingset_restore_anon_bytes (page),
        /// Refaulted file bytes that were part of the working set (v2).
        "workingset_restore_file" => workingset_restore_file_bytes (page),
        /// Kernel memory of every kind (v2).
        "kernel" => kernel (one),
        /// Page tables of virtual machines (v2).
        "sec_pagetables" => sec_page_tables (one),
        /// Per-CPU allocations (v2).
        "percpu" => percpu (one),
        /// vmalloc (v2).
        "vmalloc" => vmalloc (one),
        /// Compressed size in zswap (v2).
        "zswap" => zswap (one),
        /// What zswap's contents were before compression (v2).
        "zswapped" => zswapped (one),
        /// Pages in RAM that also stand in swap.
        "swapcached" => swap_cached (one),
        /// Transparent huge pages, anonymous (`total_rss_huge` on v1).
        "anon_thp" => anon_thp (one),
        /// Bytes read from swap (v2, new kernels).
        "pswpin" => pswpin_bytes (page),
        /// Bytes written to swap (v2, new kernels).
        "pswpout" => pswpout_bytes (page),
        /// Bytes that its own and others' tasks looked at in reclaim of it (v2).
        "pgscan_direct" => pgscan_direct_bytes (page),
        /// Bytes that kswapd looked at (v2).
        "pgscan_kswapd" => pgscan_kswapd_bytes (page),
        /// Bytes that tasks took (v2).
        "pgsteal_direct" => pgsteal_direct_bytes (page),
        /// Bytes that kswapd took from it (v2).
        "pgsteal_kswapd" => pgsteal_kswapd_bytes (page),
        /// Bytes looked at by reclaim (v2).
        "pgscan" => pgscan_bytes (page),
        /// Bytes that reclaim took (v2).
        "pgsteal" => pgsteal_bytes (page),
    }
}
