//! Fragmentation of free memory by zone.

use serde::Serialize;

use crate::{
    model::interval::ratio,
    snapshot::{
        Name,
        memory::{Buddy, PageTypes},
    },
};

/// Fragmentation of one zone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fragmentation {
    /// NUMA node.
    pub node: u32,
    /// Zone of the node.
    pub zone: Name,
    /// Free bytes in blocks of each order; the index is the order.
    pub free_bytes: Vec<u64>,
    /// The same by migrate type; empty where /proc/pagetypeinfo was not read.
    pub by_type: Vec<(Name, Vec<u64>)>,
    /// Unusable free-space index of each order, 0 to 1: the share of free memory that lies in blocks too small for a
    /// request of that order (mm/vmstat.c `unusable_free_index`). Nothing free is 1.
    pub unusable_index: Vec<f64>,
    /// Largest free block in bytes; 0 if nothing is free.
    pub largest_bytes: u64,
}

pub(super) fn by_zone(buddy: &[Buddy], types: Option<&PageTypes>, page_size: u64) -> Vec<Fragmentation> {
    buddy.iter().map(|zone| Fragmentation::new(zone, types, page_size)).collect()
}

impl Fragmentation {
    fn new(zone: &Buddy, types: Option<&PageTypes>, page_size: u64) -> Self {
        let free_bytes = in_bytes(&zone.free_blocks, page_size);
        let unusable_index = unusable_index(&free_bytes);
        let own = types.iter().flat_map(|t| &t.list).filter(|t| (t.node, &t.zone) == (zone.node, &zone.zone));
        Self {
            node: zone.node,
            zone: zone.zone.clone(),
            by_type: own.map(|t| (t.migrate_type.clone(), in_bytes(&t.free_blocks, page_size))).collect(),
            largest_bytes: zone.free_blocks.iter().rposition(|n| *n > 0).map_or(0, |order| page_size << order),
            free_bytes,
            unusable_index,
        }
    }
}

/// The unusable free-space index of each order, from the free bytes in blocks of each order.
pub fn unusable_index(free_bytes: &[u64]) -> Vec<f64> {
    let total = free_bytes.iter().sum();
    let mut too_small = 0;
    let each = free_bytes.iter().map(|bytes| {
        let index = ratio(too_small, total).unwrap_or(1.0);
        too_small += bytes;
        index
    });
    each.collect()
}

/// Bytes in blocks of each order.
fn in_bytes(blocks: &[u64], page_size: u64) -> Vec<u64> {
    blocks.iter().enumerate().map(|(order, n)| n.saturating_mul(page_size << order)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(free_blocks: Vec<u64>) -> Fragmentation {
        Fragmentation::new(&Buddy { free_blocks, ..Buddy::default() }, None, 4096)
    }

    #[test]
    fn the_index_is_what_is_in_smaller_blocks() {
        let f = zone(vec![4, 0, 1]);
        assert_eq!(f.free_bytes, [4 * 4096, 0, 4 * 4096]);
        assert_eq!(f.unusable_index, [0.0, 0.5, 0.5]);
        assert_eq!(f.largest_bytes, 4 * 4096);
    }

    #[test]
    fn with_nothing_free_no_request_is_met() {
        let f = zone(vec![0, 0]);
        assert_eq!((f.unusable_index.as_slice(), f.largest_bytes), (&[1.0, 1.0][..], 0));
    }

    proptest! {
        #[test]
        fn the_index_grows_with_the_order(blocks in proptest::collection::vec(0u64..1000, 1..12)) {
            let index = zone(blocks).unusable_index;
            prop_assert!(index.is_sorted() && index.iter().all(|i| (0.0..=1.0).contains(i)));
        }
    }
}
