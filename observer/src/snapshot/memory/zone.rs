//! Zones of the page allocator: watermarks and free blocks.

use serde::{Deserialize, Serialize};

use crate::snapshot::Name;

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
    /// Address range of the zone, holes included.
    pub spanned: Option<u64>,
    /// RAM in the zone, also what the kernel took for itself at boot.
    pub present: Option<u64>,
    /// Free memory that waits in the lists of the CPUs (`pagesets`, `count`), which [`Self::free`] does not hold.
    pub per_cpu: Option<u64>,
    /// Free memory in blocks kept for atomic requests of a high order (`nr_free_highatomic`, else the type `HighAtomic` of
    /// /proc/pagetypeinfo).
    pub free_highatomic: Option<u64>,
    /// Size of the zone's CMA areas.
    pub cma: Option<u64>,
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

/// Free blocks of a zone by migrate type and order. Source: /proc/pagetypeinfo, readable by root only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageType {
    /// NUMA node.
    pub node: u32,
    /// Zone of the node.
    pub zone: Name,
    /// `Unmovable`, `Movable`, `Reclaimable`, `HighAtomic`, `CMA` or `Isolate`.
    pub migrate_type: Name,
    /// Free blocks, index is the order. The kernel stops counting at 100,000 of an order: see [`Self::at_least`].
    pub free_blocks: Vec<u64>,
    /// True if the kernel stopped counting, so that a number here may be too low.
    pub at_least: bool,
    /// Page blocks of this type, free or not; a block is [`PageTypes::block_bytes`].
    pub blocks: Option<u64>,
}

/// All of /proc/pagetypeinfo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageTypes {
    /// When it was read, in nanoseconds of `CLOCK_MONOTONIC`: where reading is slow it is not read for every snapshot.
    pub read_ns: u64,
    /// Bytes of a page block, the unit in which migrate types are set.
    pub block_bytes: Option<u64>,
    /// By node, zone and type.
    pub list: Vec<PageType>,
}
