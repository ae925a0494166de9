//! How large the maps are, from one memory budget.

use observer_ebpf::abi::page_alloc;

/// Bytes that the kernel adds to each element of a preallocated hash: `struct htab_elem` and its share of buckets.
const HASH_OVERHEAD: usize = 80;

/// Elements of every map whose size is chosen at load time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Processes that page allocations are counted for.
    pub(super) alloc_processes: u32,
}

impl Sizes {
    /// Shares a budget in bytes.
    pub(super) fn within(budget: usize) -> Self {
        let element = size_of::<page_alloc::Key>() + size_of::<page_alloc::Value>() + HASH_OVERHEAD;
        Self { alloc_processes: share(budget / 2, element, 256, 262_144) }
    }

    /// Name and number of elements of each map.
    pub(super) fn entries(&self) -> [(&'static str, u32); 1] {
        [("obs_alloc_procs", self.alloc_processes)]
    }
}

fn share(bytes: usize, element: usize, least: u32, most: u32) -> u32 {
    u32::try_from(bytes / element).unwrap_or(u32::MAX).clamp(least, most)
}
