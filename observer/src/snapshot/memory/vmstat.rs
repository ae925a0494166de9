//! Events of the memory manager. Source: /proc/vmstat.

use crate::snapshot::fields::kernel_fields;

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
        /// Wakes of kcompactd.
        "compact_daemon_wake" => compact_daemon_wake (one),
        /// Bytes of pages that compaction isolated for migration.
        "compact_isolated" => compact_isolated_bytes (page),
        /// Bytes that khugepaged looked at in reclaim.
        "pgscan_khugepaged" => pgscan_khugepaged_bytes (page),
        /// Bytes that khugepaged reclaimed.
        "pgsteal_khugepaged" => pgsteal_khugepaged_bytes (page),
        /// Anonymous bytes that reclaim looked at.
        "pgscan_anon" => pgscan_anon_bytes (page),
        /// File bytes that reclaim looked at.
        "pgscan_file" => pgscan_file_bytes (page),
        /// Anonymous bytes that reclaim took.
        "pgsteal_anon" => pgsteal_anon_bytes (page),
        /// File bytes that reclaim took.
        "pgsteal_file" => pgsteal_file_bytes (page),
        /// Times direct reclaim was throttled because the reserves ran out (`throttle_direct_reclaim`).
        "pgscan_direct_throttle" => pgscan_direct_throttle (one),
        /// Slab objects that shrinkers looked at.
        "slabs_scanned" => slabs_scanned (one),
        /// Page cache that went because kswapd dropped its inode, in bytes.
        "kswapd_inodesteal" => kswapd_inodesteal_bytes (page),
        /// Page cache that went because a task dropped its inode, in bytes.
        "pginodesteal" => pginodesteal_bytes (page),
        /// Bytes that reclaim wrote out itself, to swap or a file.
        "nr_vmscan_write" => nr_vmscan_write_bytes (page),
        /// Bytes that reclaim met under writeback at the end of the list.
        "nr_vmscan_immediate_reclaim" => nr_vmscan_immediate_reclaim_bytes (page),
        /// Bytes dirtied.
        "nr_dirtied" => nr_dirtied_bytes (page),
        /// Bytes written back.
        "nr_written" => nr_written_bytes (page),
        /// Bytes written back while reclaim was throttled on writeback.
        "nr_throttled_written" => nr_throttled_written_bytes (page),
        /// Bytes that may be dirty before writers are throttled: a level, not a counter.
        "nr_dirty_threshold" => nr_dirty_threshold_bytes (page),
        /// Bytes that may be dirty before the flusher threads start: a level, not a counter.
        "nr_dirty_background_threshold" => nr_dirty_background_threshold_bytes (page),
        /// Bytes of the pool of compressed pages of zram and zswap (zsmalloc): a level, not a counter.
        "nr_zspages" => nr_zspages_bytes (page),
        /// Bytes of kernel memory outside of slab that can be reclaimed: a level, not a counter.
        "nr_kernel_misc_reclaimable" => nr_kernel_misc_reclaimable_bytes (page),
        /// Bytes of IOMMU page tables: a level, not a counter.
        "nr_iommu_pages" => nr_iommu_pages_bytes (page),
        /// Bytes off the LRU lists, under reclaim or migration, anonymous: a level, not a counter.
        "nr_isolated_anon" => nr_isolated_anon_bytes (page),
        /// As [`Self::nr_isolated_anon_bytes`], of files.
        "nr_isolated_file" => nr_isolated_file_bytes (page),
        /// Pinned pages, in bytes, ever.
        "nr_foll_pin_acquired" => nr_foll_pin_acquired_bytes (page),
        /// Pinned pages that were released, in bytes, ever.
        "nr_foll_pin_released" => nr_foll_pin_released_bytes (page),
        /// Pages moved by compaction, NUMA balancing or hotplug.
        "pgmigrate_success" => pgmigrate_success (one),
        /// Pages that could not be moved.
        "pgmigrate_fail" => pgmigrate_fail (one),
        /// Anonymous huge pages given at a fault.
        "thp_fault_alloc" => thp_fault_alloc (one),
        /// Faults that wanted a huge page and got small ones.
        "thp_fault_fallback" => thp_fault_fallback (one),
        /// Reads ahead from swap.
        "swap_ra" => swap_ra (one),
        /// Reads ahead from swap that were of use.
        "swap_ra_hit" => swap_ra_hit (one),
        /// Pages that came back from zswap, in bytes.
        "zswpin" => zswpin_bytes (page),
        /// Pages that went into zswap, in bytes.
        "zswpout" => zswpout_bytes (page),
        /// Pages that zswap wrote to the swap device, in bytes.
        "zswpwb" => zswpwb_bytes (page),
        /// Refaulted anonymous bytes that were part of the working set.
        "workingset_restore_anon" => workingset_restore_anon_bytes (page),
        /// Refaulted file bytes that were part of the working set.
        "workingset_restore_file" => workingset_restore_file_bytes (page),
        /// Times somebody wrote to /proc/sys/vm/drop_caches to drop the page cache.
        "drop_pagecache" => drop_pagecache (one),
        /// Times somebody wrote to /proc/sys/vm/drop_caches to drop slab.
        "drop_slab" => drop_slab (one),
        /// Pages allocated on the node that was meant.
        "numa_hit" => numa_hit (one),
        /// Pages allocated on this node though another was meant.
        "numa_miss" => numa_miss (one),
        /// Pages meant for this node and allocated on another.
        "numa_foreign" => numa_foreign (one),
        /// Pages moved between nodes by NUMA balancing.
        "numa_pages_migrated" => numa_pages_migrated (one),
        /// Node-local reclaims that found enough.
        "zone_reclaim_success" => zone_reclaim_success (one),
        /// Node-local reclaims that did not.
        "zone_reclaim_failed" => zone_reclaim_failed (one),
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
