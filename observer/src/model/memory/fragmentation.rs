//! Fragmentation of free memory by zone.

use serde::Serialize;

use crate::snapshot::{
    Name,
    memory::{Buddy, PageTypes},
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

pub(super) fn by_zone(_buddy: &[Buddy], _types: Option<&PageTypes>, _page_size: u64) -> Option<Vec<Fragmentation>> {
    None
}
