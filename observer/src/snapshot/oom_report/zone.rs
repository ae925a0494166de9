//! Zones, nodes and huge pages at the time of the kill.

use serde::{Deserialize, Serialize};

use super::{Counter, counter};
use crate::snapshot::Name;

/// A zone of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Zone {
    /// NUMA node.
    pub node: u32,
    /// Name, such as `DMA32`.
    pub name: Name,
    /// Everything on its line: `free`, `boost`, `min`, `low`, `high`, `reserved_highatomic`, `free_cma`, `managed`, ...
    pub values: Vec<Counter>,
    /// `all_unreclaimable?` of kernels before 4.8.
    pub all_unreclaimable: Option<bool>,
    /// Bytes that requests for a higher zone leave alone here, by the zone they were made for.
    pub lowmem_reserve: Vec<u64>,
    /// Free blocks by size.
    pub free_blocks: Vec<FreeBlocks>,
    /// Sum of the free blocks, as the kernel printed it.
    pub free_blocks_total: Option<u64>,
}

impl Zone {
    /// A value of its line, in bytes.
    pub fn value(&self, name: &str) -> Option<u64> {
        counter(&self.values, name)
    }
}

/// Free blocks of one size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeBlocks {
    /// Bytes of a block.
    pub bytes: u64,
    /// How many.
    pub count: u64,
    /// Migrate types of which there is at least one: U unmovable, M movable, E reclaimable, H highatomic, C CMA, I isolated.
    pub types: Name,
}

/// Counters of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeState {
    /// NUMA node.
    pub node: u32,
    /// Everything on its line, in bytes.
    pub values: Vec<Counter>,
    /// True if reclaim had given up on it.
    pub all_unreclaimable: Option<bool>,
}

/// A pool of huge pages on a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HugePages {
    /// NUMA node.
    pub node: u32,
    /// Bytes of one.
    pub size: u64,
    /// How many.
    pub total: u64,
    /// Of them nobody uses.
    pub free: u64,
    /// Of them made beyond the pool.
    pub surplus: u64,
}
