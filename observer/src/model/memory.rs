//! Memory of the host over an interval.

use serde::Serialize;

use super::interval::{Interval, rate, ratio};
use crate::snapshot::{
    self,
    memory::{Buddy, Meminfo, Vmstat, Zone},
};

/// Memory of the host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Memory {
    /// /proc/meminfo as it stands.
    pub meminfo: Option<Meminfo>,
    /// What new work may take, as a share of RAM, 0 to 1.
    pub available_ratio: Option<f64>,
    /// Swap in use as a share of swap, 0 to 1. `None` without swap.
    pub swap_used_ratio: Option<f64>,
    /// Page cache that reclaim may drop or write back: of files and of block devices, without tmpfs.
    pub reclaimable_cache: Option<u64>,
    /// Events of the memory manager.
    pub vm: VmRates,
    /// Zones as they stand.
    pub zones: Option<Vec<Zone>>,
    /// Free blocks as they stand.
    pub buddy: Option<Vec<Buddy>>,
}

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
    /// OOM kills in the interval.
    pub oom_kills: Option<u64>,
}

impl Memory {
    pub(super) fn new(
        now: &snapshot::memory::Memory,
        before: Option<&snapshot::memory::Memory>,
        interval: Option<Interval>,
    ) -> Self {
        let info = now.meminfo.as_ref();
        let available = info.and_then(|m| m.available.zip(m.total));
        let swap = info.and_then(|m| m.swap_free.zip(m.swap_total));
        Self {
            meminfo: now.meminfo.clone(),
            available_ratio: available.and_then(|(available, total)| ratio(available, total)),
            swap_used_ratio: swap.and_then(|(free, total)| ratio(total.saturating_sub(free), total)),
            reclaimable_cache: info
                .and_then(|m| m.cached.zip(m.shmem).map(|(cached, shmem)| (cached.saturating_sub(shmem), m.buffers)))
                .map(|(files, buffers)| files + buffers.unwrap_or(0)),
            vm: VmRates::new(now.vmstat.as_ref(), before.and_then(|b| b.vmstat.as_ref()), interval),
            zones: now.zones.clone(),
            buddy: now.buddy.clone(),
        }
    }
}

impl VmRates {
    fn new(now: Option<&Vmstat>, before: Option<&Vmstat>, interval: Option<Interval>) -> Self {
        let Some((now, before)) = now.zip(before) else { return Self::default() };
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
            oom_kills: grown(|v| v.oom_kill),
        }
    }
}
