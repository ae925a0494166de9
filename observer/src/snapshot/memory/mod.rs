//! Memory of the whole host.

mod hugepages;
mod meminfo;
mod node;
mod shmem;
mod slab;
mod swap;
mod vmstat;
mod zone;

pub use hugepages::HugePages;
pub use meminfo::Meminfo;
pub use node::{Node, NodeMeminfo, NumaStat};
pub use shmem::{Shmem, SysvShm, Tmpfs};
pub use slab::{SlabCache, Slabs};
pub use swap::{Swap, SwapDevice, Zram};
pub use vmstat::Vmstat;
pub use zone::{Buddy, PageType, PageTypes, Zone};

use serde::{Deserialize, Serialize};

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
    /// Free blocks by migrate type and order. Source: /proc/pagetypeinfo.
    pub page_types: Option<PageTypes>,
    /// NUMA nodes. Source: /sys/devices/system/node.
    pub nodes: Option<Vec<Node>>,
    /// Slab by cache. Source: /proc/slabinfo.
    pub slabs: Option<Slabs>,
    /// Swap devices, zram and zswap.
    pub swap: Option<Swap>,
    /// tmpfs by mount, and shared memory outside of mounts.
    pub shmem: Option<Shmem>,
    /// Pools of huge pages by size. Source: /sys/kernel/mm/hugepages.
    pub hugepages: Option<Vec<HugePages>>,
}
