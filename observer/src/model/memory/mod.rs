//! Memory of the host over an interval.

mod breakdown;
mod fragmentation;
mod free;
mod growth;
mod kernel;
mod node;
mod shmem;
mod vm;

pub use breakdown::{Breakdown, Part};
pub use fragmentation::{Fragmentation, unusable_index};
pub use free::FreeMemory;
pub use growth::Growth;
pub use kernel::SlabCache;
pub use node::Node;
pub use shmem::{Shmem, Tmpfs};
pub use vm::VmRates;

use serde::Serialize;

use super::interval::{Interval, ratio};
use crate::snapshot::{
    self,
    memory::{Buddy, HugePages, Meminfo, PageTypes, Swap, Zone},
};

/// Memory of the host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Memory {
    /// /proc/meminfo as it stands.
    pub meminfo: Option<Meminfo>,
    /// What new work may take, as a share of RAM, 0 to 1.
    pub available_ratio: Option<f64>,
    /// Swap in use as a share of swap, 0 to 1. `None` without swap.
    pub swap_used_ratio: Option<f64>,
    /// Page cache that reclaim may drop or write back: of files and of block devices, without tmpfs.
    pub reclaimable_cache: Option<u64>,
    /// Where RAM is, and what no counter explains.
    pub breakdown: Option<Breakdown>,
    /// How fast each use grows.
    pub growth: Growth,
    /// Events of the memory manager.
    pub vm: VmRates,
    /// Zones as they stand.
    pub zones: Option<Vec<Zone>>,
    /// Free blocks as they stand.
    pub buddy: Option<Vec<Buddy>>,
    /// Free blocks by migrate type as they stand.
    pub page_types: Option<PageTypes>,
    /// Free memory by zone: what an allocation may take, and what is trapped.
    pub free: Option<Vec<FreeMemory>>,
    /// Fragmentation by zone.
    pub fragmentation: Option<Vec<Fragmentation>>,
    /// NUMA nodes.
    pub nodes: Option<Vec<Node>>,
    /// Slab caches, largest first.
    pub slabs: Option<Vec<SlabCache>>,
    /// Swap devices and zram as they stand.
    pub swap: Option<Swap>,
    /// tmpfs and shared memory.
    pub shmem: Option<Shmem>,
    /// Pools of huge pages as they stand.
    pub hugepages: Option<Vec<HugePages>>,
}

impl Memory {
    pub(super) fn new(
        now: &snapshot::memory::Memory,
        before: Option<&snapshot::memory::Memory>,
        interval: Option<Interval>,
        page_size: Option<u64>,
    ) -> Self {
        let info = now.meminfo.as_ref();
        let available = info.and_then(|m| m.available.zip(m.total));
        let swap = info.and_then(|m| m.swap_free.zip(m.swap_total));
        let breakdown = Breakdown::new(now);
        Self {
            meminfo: now.meminfo.clone(),
            available_ratio: available.and_then(|(available, total)| ratio(available, total)),
            swap_used_ratio: swap.and_then(|(free, total)| ratio(total.saturating_sub(free), total)),
            reclaimable_cache: info
                .and_then(|m| m.cached.zip(m.shmem).map(|(cached, shmem)| (cached.saturating_sub(shmem), m.buffers)))
                .map(|(files, buffers)| files + buffers.unwrap_or(0)),
            growth: Growth {
                unexplained: breakdown
                    .as_ref()
                    .zip(before.and_then(Breakdown::new))
                    .zip(interval)
                    .and_then(|((now, before), interval)| now.growth_since(&before, interval)),
                ..Growth::new(info, before.and_then(|b| b.meminfo.as_ref()), interval)
            },
            breakdown,
            vm: VmRates::new(now.vmstat.as_ref(), before.and_then(|b| b.vmstat.as_ref()), interval),
            zones: now.zones.clone(),
            buddy: now.buddy.clone(),
            page_types: now.page_types.clone(),
            free: now.zones.as_ref().map(|zones| free::by_zone(zones)),
            fragmentation: now
                .buddy
                .as_ref()
                .zip(page_size)
                .map(|(b, page_size)| fragmentation::by_zone(b, now.page_types.as_ref(), page_size)),
            nodes: now.nodes.as_ref().map(|n| node::rank(n, before.and_then(|b| b.nodes.as_ref()), interval)),
            slabs: now.slabs.as_ref().map(|s| kernel::rank(s, before.and_then(|b| b.slabs.as_ref()))),
            swap: now.swap.clone(),
            shmem: now.shmem.as_ref().map(|s| Shmem::new(s, before.and_then(|b| b.shmem.as_ref()), info)),
            hugepages: now.hugepages.clone(),
        }
    }
}
