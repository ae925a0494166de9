//! Use of RAM and swap. Source: /proc/meminfo.

use crate::snapshot::fields::kernel_fields;

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
        /// Address space that vmalloc may use.
        "VmallocTotal" => vmalloc_total (one),
        /// Per-CPU allocations.
        "Percpu" => percpu (one),
        /// Memory that failed.
        "HardwareCorrupted" => hardware_corrupted (one),
        /// Transparent huge pages, anonymous.
        "AnonHugePages" => anon_huge_pages (one),
        /// Transparent huge pages of tmpfs.
        "ShmemHugePages" => shmem_huge_pages (one),
        /// Transparent huge pages of files.
        "FileHugePages" => file_huge_pages (one),
        /// Given back to the hypervisor by the balloon driver.
        "Balloon" => balloon (one),
        /// Memory that the firmware has not yet handed over (confidential guests).
        "Unaccepted" => unaccepted (one),
        /// Area of the contiguous memory allocator.
        "CmaTotal" => cma_total (one),
        /// The part of it that is free, and open to movable pages only.
        "CmaFree" => cma_free (one),
        /// All hugetlb pages, of every size.
        "Hugetlb" => hugetlb (one),
    }
}
