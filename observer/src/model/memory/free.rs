//! Free memory by zone: what an allocation may take, and what is trapped.

use serde::Serialize;

use crate::snapshot::{Name, memory::Zone};

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
    /// Free memory kept for atomic requests of a high order. `None` if it is not known: it is then in [`Self::usable`].
    pub trapped_highatomic: Option<u64>,
    /// Free memory of a low zone that requests meant for the highest zone must leave (`lowmem_reserve`).
    pub trapped_reserve: u64,
    /// Free memory under the min watermark, its boost included, which only privileged requests may take.
    pub below_min: u64,
    /// Free memory in the lists of the CPUs, which is not part of [`Self::free`].
    pub per_cpu: Option<u64>,
}

/// Splits the free memory of every zone that has its numbers, as `__zone_watermark_ok` (mm/page_alloc.c) sees it for a
/// request of order 0 without privileges, meant for the highest zone of the host.
pub(super) fn by_zone(zones: &[Zone]) -> Vec<FreeMemory> {
    let managed = |zone: &&Zone| zone.managed.is_some_and(|bytes| bytes > 0);
    // The zones are listed from the lowest: the last one with memory is what ordinary requests are meant for.
    let highest = zones.iter().filter(managed).map(|zone| index_in_node(zones, zone)).max().unwrap_or(0);
    zones.iter().filter(managed).filter_map(|zone| split(zone, highest)).collect()
}

/// Place of a zone among those of its node, which is its place in `lowmem_reserve`.
fn index_in_node(zones: &[Zone], zone: &Zone) -> usize {
    zones.iter().filter(|z| z.node == zone.node).position(|z| z.zone == zone.zone).unwrap_or(0)
}

fn split(zone: &Zone, highest: usize) -> Option<FreeMemory> {
    let (free, min) = (zone.free?, zone.min?);
    let mut left = free;
    let mut take = |wanted: u64| {
        let taken = wanted.min(left);
        left -= taken;
        taken
    };
    let trapped_cma = take(zone.free_cma.unwrap_or(0));
    let trapped_highatomic = zone.free_highatomic.map(&mut take);
    let below_min = take(min);
    let trapped_reserve = take(zone.lowmem_reserve.get(highest).copied().unwrap_or(0));
    Some(FreeMemory {
        node: zone.node,
        zone: zone.zone.clone(),
        free,
        usable: left,
        trapped_cma,
        trapped_highatomic,
        trapped_reserve,
        below_min,
        per_cpu: zone.per_cpu,
    })
}

impl FreeMemory {
    /// All that is trapped, whatever traps it.
    pub fn trapped(&self) -> u64 {
        self.trapped_cma + self.trapped_highatomic.unwrap_or(0) + self.trapped_reserve
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str, free: u64, min: u64, cma: u64, highatomic: u64, reserve: &[u64]) -> Zone {
        Zone {
            zone: Name::from(name),
            free: Some(free),
            min: Some(min),
            managed: Some(free + 1),
            free_cma: Some(cma),
            free_highatomic: Some(highatomic),
            lowmem_reserve: reserve.to_vec(),
            ..Zone::default()
        }
    }

    #[test]
    fn a_low_zone_keeps_its_reserve_from_requests_for_the_highest() {
        let empty = Zone { managed: Some(0), ..zone("Movable", 0, 0, 0, 0, &[]) };
        let zones =
            [zone("DMA32", 1000, 100, 0, 0, &[0, 300, 900]), zone("Normal", 500, 50, 200, 25, &[0, 0, 0]), empty];
        let [low, high] = by_zone(&zones).try_into().unwrap();
        assert_eq!((low.usable, low.trapped_reserve, low.below_min), (600, 300, 100));
        assert_eq!((high.usable, high.trapped_cma, high.trapped_highatomic, high.below_min), (225, 200, Some(25), 50));
        assert_eq!(high.trapped(), 225);
        let unknown = Zone { free_highatomic: None, ..zone("Normal", 500, 50, 200, 25, &[]) };
        let part = by_zone(&[unknown]).pop().unwrap();
        assert_eq!((part.usable, part.trapped_highatomic), (250, None), "what is not known is not 0");
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole(free in 0u64..1000, min in 0u64..1000, cma in 0u64..1000, ha in 0u64..1000, r in 0u64..1000) {
            let zones = [zone("Normal", free, min, cma, ha, &[r])];
            let part = &by_zone(&zones)[0];
            prop_assert_eq!(part.usable + part.trapped() + part.below_min, free);
        }
    }
}
