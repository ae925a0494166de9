//! Slab caches over an interval.

use std::collections::HashMap;

use serde::Serialize;

use super::growth::{between, per_second};
use crate::{
    model::interval::{ratio, sort_descending},
    snapshot::{self, memory::Slabs},
};

/// One slab cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlabCache {
    /// The cache as it stands.
    #[serde(flatten)]
    pub now: snapshot::memory::SlabCache,
    /// Growth in bytes a second, negative while it shrinks. `None` too if the cache was not read anew.
    pub growth: Option<f64>,
    /// Objects in use of those that there is room for, 0 to 1: what is missing is fragmentation of the slabs.
    pub active_ratio: Option<f64>,
}

pub(super) fn rank(now: &Slabs, before: Option<&Slabs>) -> Vec<SlabCache> {
    let interval = before.and_then(|b| between(now.read_ns, b.read_ns));
    let old: HashMap<_, _> = before.map(|b| b.list.iter().map(|c| (&c.name, c.bytes)).collect()).unwrap_or_default();
    let mut rows: Vec<_> = now
        .list
        .iter()
        .map(|c| SlabCache {
            // A cache without slabs is not listed: it is new, or has grown from nothing.
            growth: interval.and_then(|i| per_second(i, Some(c.bytes), Some(old.get(&c.name).copied().unwrap_or(0)))),
            active_ratio: ratio(c.active_objects, c.objects),
            now: c.clone(),
        })
        .collect();
    sort_descending(&mut rows, |c| c.now.bytes as f64);
    rows
}
