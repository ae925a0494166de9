//! Shrinkers: how reclaim makes the kernel's own caches give memory back.
//! Source: tracepoints `vmscan:mm_shrink_slab_{start,end}`.

use serde::{Deserialize, Serialize};

use super::{Log2Histogram, Name};

/// Calls of one shrinker since the probes were attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shrinker {
    /// Its function, by /proc/kallsyms: `super_cache_scan`; `unknown function` for all whose name is not known.
    pub function: Name,
    /// Calls that ended.
    pub count: u64,
    /// Nanoseconds from begin to end, summed.
    pub total_ns: u64,
    /// Nanoseconds of the longest call.
    pub max_ns: u64,
    /// Objects that were freed.
    pub freed: u64,
    /// Nanoseconds from begin to end.
    pub latency_ns: Log2Histogram,
}
