//! Memory of the whole host.

use serde::{Deserialize, Serialize};

use super::{Name, fields::kernel_fields};

/// Host memory, each part `None` where its file could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Use of RAM and swap. Source: /proc/meminfo.
    pub meminfo: Option<Meminfo>,
    /// Events of the memory manager since boot. Source: /proc/vmstat.
    pub vmstat: Option<Vmstat>,
    /// Zones with their watermarks. Source: /proc/zoneinfo.
    pub zones: Option<Vec<Zone>>,
    /// Free blocks by order. Source: /proc/buddyinfo.
    pub buddy: Option<Vec<Buddy>>,
}

kernel_fields! {
    /// Use of RAM and swap in bytes. Source: /proc/meminfo, whose "kB" are KiB.
    pub struct Meminfo {
        /// RAM that the kernel manages.
        "MemTotal" => total (one),
        /// RAM in the buddy allocator's free lists.
        "MemFree" => free (one),
        /// The kernel's estimate of what new work may take without swapping.
        "MemAvailable" => available (one),
        /// Cache of block devices.
        "Buffers" => buffers (one),
        /// Page cache with tmpfs, without swap cache.
        "Cached" => cached (one),
        /// Pages in RAM that also stand in swap.
        "SwapCached" => swap_cached (one),
        /// Recently used, anonymous and file.
        "Active" => active (one),
        /// Not recently used, anonymous and file.
        "Inactive" => inactive (one),
        /// Anonymous and tmpfs pages recently used.
        "Active(anon)" => active_anon (one),
        /// Anonymous and tmpfs pages not recently used.
        "Inactive(anon)" => inactive_anon (one),
        /// File pages recently used.
        "Active(file)" => active_file (one),
        /// File pages not recently used: what reclaim takes first.
        "Inactive(file)" => inactive_file (one),
        /// Pages that reclaim may not take.
        "Unevictable" => unevictable (one),
        /// Pages locked by mlock.
        "Mlocked" => mlocked (one),
        /// Swap space.
        "SwapTotal" => swap_total (one),
        /// Swap space that is free.
        "SwapFree" => swap_free (one),
        /// Compressed size of zswap.
        "Zswap" => zswap (one),
        /// What zswap's contents were before compression.
        "Zswapped" => zswapped (one),
        /// Page cache waiting to be written.
        "Dirty" => dirty (one),
        /// Page cache being written.
        "Writeback" => writeback (one),
        /// Anonymous memory mapped by processes.
        "AnonPages" => anon_pages (one),
        /// File pages mapped by processes.
        "Mapped" => mapped (one),
        /// tmpfs and shared memory: in the page cache, but only swap can take it.
        "Shmem" => shmem (one),
        /// Kernel memory that can be reclaimed, slab included.
        "KReclaimable" => kernel_reclaimable (one),
        /// Slab, all.
        "Slab" => slab (one),
        /// Slab that reclaim can take.
        "SReclaimable" => slab_reclaimable (one),
        /// Slab that nothing can take.
        "SUnreclaim" => slab_unreclaimable (one),
        /// Stacks of tasks in the kernel.
        "KernelStack" => kernel_stack (one),
        /// Page tables.
        "PageTables" => page_tables (one),
        /// Page tables of virtual machines.
        "SecPageTables" => sec_page_tables (one),
        /// Bounce buffers.
        "Bounce" => bounce (one),
        /// Memory that the commit limit allows.
        "CommitLimit" => commit_limit (one),
        /// Memory that was promised.
        "Committed_AS" => committed_as (one),
        /// vmalloc in use.
        "VmallocUsed" => vmalloc_used (one),
        /// Per-CPU allocations.
        "Percpu" => percpu (one),
        /// Memory that failed.
        "HardwareCorrupted" => hardware_corrupted (one),
        /// Transparent huge pages, anonymous.
        "AnonHugePages" => anon_huge_pages (one),
        /// Transparent huge pages of tmpfs.
        "ShmemHugePages" => shmem_huge_pages (one),
        /// Area of the contiguous memory allocator.
        "CmaTotal" => cma_total (one),
        /// The part of it that is free, and open to movable pages only.
        "CmaFree" => cma_free (one),
        /// All hugetlb pages, of every size.
        "Hugetlb" => hugetlb (one),
    }
}

kernel_fields! {
    /// Events of the memory manager since boot: counts, and bytes where the kernel counts pages. Source: /proc/vmstat.
    pub struct Vmstat {
        /// OOM kills.
        "oom_kill" => oom_kill (one),
        /// Bytes that kswapd looked at.
        "pgscan_kswapd" => pgscan_kswapd_bytes (page),
        /// Bytes that tasks looked at in direct reclaim.
        "pgscan_direct" => pgscan_direct_bytes (page),
        /// Bytes that kswapd reclaimed.
        "pgsteal_kswapd" => pgsteal_kswapd_bytes (page),
        /// Bytes that tasks reclaimed in direct reclaim.
        "pgsteal_direct" => pgsteal_direct_bytes (page),
        /// Direct reclaims that began, by zone of the request.
        "allocstall_dma" => allocstall_dma (one),
        /// See [`Self::allocstall_dma`].
        "allocstall_dma32" => allocstall_dma32 (one),
        /// See [`Self::allocstall_dma`].
        "allocstall_normal" => allocstall_normal (one),
        /// See [`Self::allocstall_dma`].
        "allocstall_movable" => allocstall_movable (one),
        /// Wakes of kswapd that found the low watermark met at once.
        "kswapd_low_wmark_hit_quickly" => kswapd_low_wmark_hit_quickly (one),
        /// Wakes of kswapd that found the high watermark met at once.
        "kswapd_high_wmark_hit_quickly" => kswapd_high_wmark_hit_quickly (one),
        /// Cycles of kswapd.
        "pageoutrun" => pageoutrun (one),
        /// Faults that read from a device.
        "pgmajfault" => pgmajfault (one),
        /// Faults, all.
        "pgfault" => pgfault (one),
        /// Bytes read from swap.
        "pswpin" => pswpin_bytes (page),
        /// Bytes written to swap.
        "pswpout" => pswpout_bytes (page),
        /// Anonymous bytes that came back soon after reclaim took them.
        "workingset_refault_anon" => workingset_refault_anon_bytes (page),
        /// File bytes that came back soon after reclaim took them.
        "workingset_refault_file" => workingset_refault_file_bytes (page),
        /// Direct compactions.
        "compact_stall" => compact_stall (one),
        /// Direct compactions that failed.
        "compact_fail" => compact_fail (one),
        /// Direct compactions that made a block.
        "compact_success" => compact_success (one),
    }
}

impl Vmstat {
    /// Direct reclaims that began, over all zones. `None` if the kernel names none of them.
    pub fn allocstall(&self) -> Option<u64> {
        [self.allocstall_dma, self.allocstall_dma32, self.allocstall_normal, self.allocstall_movable]
            .into_iter()
            .flatten()
            .reduce(u64::saturating_add)
    }
}

/// A zone of a node, in bytes. Source: /proc/zoneinfo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Zone {
    /// NUMA node.
    pub node: u32,
    /// `DMA`, `DMA32`, `Normal`, `Movable`, `HighMem` or `Device`.
    pub zone: Name,
    /// Free memory, `nr_free_pages`.
    pub free: Option<u64>,
    /// Watermark under which only privileged requests are met.
    pub min: Option<u64>,
    /// Watermark under which kswapd is woken.
    pub low: Option<u64>,
    /// Watermark at which kswapd sleeps again.
    pub high: Option<u64>,
    /// Temporary rise of the watermarks against fragmentation.
    pub boost: Option<u64>,
    /// Present pages that the buddy allocator manages.
    pub managed: Option<u64>,
    /// Free memory in CMA areas, open to movable pages only.
    pub free_cma: Option<u64>,
    /// What each lower-ranked request must leave free, by zone of the request.
    pub lowmem_reserve: Vec<u64>,
}

/// Free blocks of a zone by order. Source: /proc/buddyinfo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Buddy {
    /// NUMA node.
    pub node: u32,
    /// Zone of the node.
    pub zone: Name,
    /// Free blocks, index is the order: a block of order `o` is `2^o` pages.
    pub free_blocks: Vec<u64>,
}
