//! Slab by cache.

use serde::{Deserialize, Serialize};

use crate::snapshot::Name;

/// Slab caches that hold memory. Source: /proc/slabinfo, readable by root only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slabs {
    /// When it was read, in nanoseconds of `CLOCK_MONOTONIC`: where reading is slow it is not read for every snapshot.
    pub read_ns: u64,
    /// Caches, largest first. A cache merged with others of its size carries the name of the first.
    pub list: Vec<SlabCache>,
}

/// One cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlabCache {
    /// Its name, such as `dentry`.
    pub name: Name,
    /// Bytes of its slabs: slabs x pages a slab.
    pub bytes: u64,
    /// Bytes of one object, padding included.
    pub object_bytes: u64,
    /// Objects in use. SLUB counts those in the lists of the CPUs as in use.
    pub active_objects: u64,
    /// Objects that there is room for.
    pub objects: u64,
}
