//! How fast each use of memory grows.

use serde::Serialize;

use crate::{model::interval::Interval, snapshot::memory::Meminfo};

/// Growth in bytes a second, negative while it shrinks. Source: /proc/meminfo, two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Growth {
    /// Of what is available.
    pub available: Option<f64>,
    /// Of free memory.
    pub free: Option<f64>,
    /// Of anonymous memory.
    pub anon: Option<f64>,
    /// Of the page cache with tmpfs.
    pub cached: Option<f64>,
    /// Of tmpfs and shared memory.
    pub shmem: Option<f64>,
    /// Of slab, all.
    pub slab: Option<f64>,
    /// Of slab that nothing can take.
    pub slab_unreclaimable: Option<f64>,
    /// Of page tables.
    pub page_tables: Option<f64>,
    /// Of kernel stacks.
    pub kernel_stack: Option<f64>,
    /// Of vmalloc.
    pub vmalloc: Option<f64>,
    /// Of swap in use.
    pub swap_used: Option<f64>,
    /// Of dirty page cache.
    pub dirty: Option<f64>,
    /// Of what no counter explains. `None` too where a counter is missing.
    pub unexplained: Option<f64>,
}

impl Growth {
    pub(super) fn new(now: Option<&Meminfo>, before: Option<&Meminfo>, interval: Option<Interval>) -> Self {
        let Some(((now, before), interval)) = now.zip(before).zip(interval) else { return Self::default() };
        let of = |field: fn(&Meminfo) -> Option<u64>| per_second(interval, field(now), field(before));
        Self {
            available: of(|m| m.available),
            free: of(|m| m.free),
            anon: of(|m| m.anon_pages),
            cached: of(|m| m.cached),
            shmem: of(|m| m.shmem),
            slab: of(|m| m.slab),
            slab_unreclaimable: of(|m| m.slab_unreclaimable),
            page_tables: of(|m| m.page_tables),
            kernel_stack: of(|m| m.kernel_stack),
            vmalloc: of(|m| m.vmalloc_used),
            swap_used: of(|m| m.swap_total?.checked_sub(m.swap_free?)),
            dirty: of(|m| m.dirty),
            unexplained: None,
        }
    }
}

/// The interval between two readings that carry their own moment. `None` if it is the same reading.
pub(crate) fn between(now_ns: u64, before_ns: u64) -> Option<Interval> {
    let ns = now_ns.checked_sub(before_ns).filter(|ns| *ns > 0)?;
    Some(Interval { seconds: ns as f64 / 1e9 })
}

/// Growth of a level per second; a level may shrink.
pub(crate) fn per_second(interval: Interval, now: Option<u64>, before: Option<u64>) -> Option<f64> {
    Some((now? as f64 - before? as f64) / interval.seconds)
}
