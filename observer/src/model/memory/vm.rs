//! Events of the memory manager a second.

use serde::Serialize;

use crate::{
    model::interval::{Interval, rate, ratio},
    snapshot::memory::Vmstat,
};

/// Events a second. Source: /proc/vmstat.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VmRates {
    /// Bytes a second that kswapd looked at.
    pub scan_kswapd: Option<f64>,
    /// Bytes a second that kswapd reclaimed.
    pub steal_kswapd: Option<f64>,
    /// What kswapd reclaimed of what it looked at, 0 to 1. `None` if it looked at nothing.
    pub kswapd_efficiency: Option<f64>,
    /// Bytes a second that tasks looked at in direct reclaim.
    pub scan_direct: Option<f64>,
    /// Bytes a second that tasks reclaimed themselves.
    pub steal_direct: Option<f64>,
    /// Direct reclaims a second.
    pub allocstall: Option<f64>,
    /// Faults a second.
    pub faults: Option<f64>,
    /// Faults a second that read from a device.
    pub major_faults: Option<f64>,
    /// Bytes a second from swap.
    pub swap_in: Option<f64>,
    /// Bytes a second to swap.
    pub swap_out: Option<f64>,
    /// Anonymous bytes a second that came back soon after reclaim took them.
    pub refault_anon: Option<f64>,
    /// File bytes a second that came back soon after reclaim took them.
    pub refault_file: Option<f64>,
    /// Direct compactions a second.
    pub compact_stall: Option<f64>,
    /// Direct compactions a second that made no block.
    pub compact_fail: Option<f64>,
    /// Slab objects a second that shrinkers looked at.
    pub slabs_scanned: Option<f64>,
    /// Bytes a second that reclaim wrote out itself.
    pub reclaim_writes: Option<f64>,
    /// Bytes a second that were dirtied.
    pub dirtied: Option<f64>,
    /// Bytes a second that were written back.
    pub written: Option<f64>,
    /// Anonymous bytes a second that reclaim took.
    pub steal_anon: Option<f64>,
    /// File bytes a second that reclaim took.
    pub steal_file: Option<f64>,
    /// Refaulted file bytes a second that were part of the working set.
    pub restore_file: Option<f64>,
    /// Refaulted anonymous bytes a second that were part of the working set.
    pub restore_anon: Option<f64>,
    /// Bytes that may be dirty before writers wait, now.
    pub dirty_threshold: Option<u64>,
    /// Bytes that may be dirty before the flusher threads start, now.
    pub dirty_background_threshold: Option<u64>,
    /// OOM kills in the interval.
    pub oom_kills: Option<u64>,
}

impl VmRates {
    pub(super) fn new(now: Option<&Vmstat>, before: Option<&Vmstat>, interval: Option<Interval>) -> Self {
        let Some(now) = now else { return Self::default() };
        let Some(before) = before else {
            return Self {
                dirty_threshold: now.nr_dirty_threshold_bytes,
                dirty_background_threshold: now.nr_dirty_background_threshold_bytes,
                ..Self::default()
            };
        };
        let of = |field: fn(&Vmstat) -> Option<u64>| rate(interval, field(now), field(before));
        let grown = |field: fn(&Vmstat) -> Option<u64>| field(now)?.checked_sub(field(before)?);
        Self {
            scan_kswapd: of(|v| v.pgscan_kswapd_bytes),
            steal_kswapd: of(|v| v.pgsteal_kswapd_bytes),
            kswapd_efficiency: grown(|v| v.pgsteal_kswapd_bytes)
                .zip(grown(|v| v.pgscan_kswapd_bytes))
                .and_then(|(steal, scan)| ratio(steal, scan)),
            scan_direct: of(|v| v.pgscan_direct_bytes),
            steal_direct: of(|v| v.pgsteal_direct_bytes),
            allocstall: of(Vmstat::allocstall),
            faults: of(|v| v.pgfault),
            major_faults: of(|v| v.pgmajfault),
            swap_in: of(|v| v.pswpin_bytes),
            swap_out: of(|v| v.pswpout_bytes),
            refault_anon: of(|v| v.workingset_refault_anon_bytes),
            refault_file: of(|v| v.workingset_refault_file_bytes),
            compact_stall: of(|v| v.compact_stall),
            compact_fail: of(|v| v.compact_fail),
            slabs_scanned: of(|v| v.slabs_scanned),
            reclaim_writes: of(|v| v.nr_vmscan_write_bytes),
            dirtied: of(|v| v.nr_dirtied_bytes),
            written: of(|v| v.nr_written_bytes),
            steal_anon: of(|v| v.pgsteal_anon_bytes),
            steal_file: of(|v| v.pgsteal_file_bytes),
            restore_file: of(|v| v.workingset_restore_file_bytes),
            restore_anon: of(|v| v.workingset_restore_anon_bytes),
            dirty_threshold: now.nr_dirty_threshold_bytes,
            dirty_background_threshold: now.nr_dirty_background_threshold_bytes,
            oom_kills: grown(|v| v.oom_kill),
        }
    }
}
