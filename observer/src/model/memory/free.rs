//! Free memory by zone: what an allocation may take, and what is trapped.

use serde::Serialize;

use crate::snapshot::{
    Name,
    memory::{PageTypes, Zone},
};

/// Free memory of a zone, in bytes. `usable`, `trapped_*` and `below_min` do not overlap, and together are `free`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FreeMemory {
    /// NUMA node.
    pub node: u32,
    /// Zone of the node.
    pub zone: Name,
    /// Free memory in the buddy lists.
    pub free: u64,
    /// What an ordinary request of the kernel (order 0, unmovable, meant for the highest zone) may take before the min
    /// watermark: `__zone_watermark_ok` solved for the request.
    pub usable: u64,
    /// Free memory in CMA areas, which only movable pages may take.
    pub trapped_cma: u64,
    /// Free memory kept for atomic requests of a high order.
    pub trapped_highatomic: u64,
    /// Free memory of a low zone that requests meant for the highest zone must leave (`lowmem_reserve`).
    pub trapped_reserve: u64,
    /// Free memory under the min watermark, its boost included, which only privileged requests may take.
    pub below_min: u64,
    /// Free memory in the lists of the CPUs, which is not part of [`Self::free`].
    pub per_cpu: Option<u64>,
}

pub(super) fn by_zone(_zones: &[Zone], _types: Option<&PageTypes>) -> Vec<FreeMemory> {
    Vec::new()
}
