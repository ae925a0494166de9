//! Inside of reclaim: pages that were looked at, and waits.

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::HashMap,
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    losses::Loss,
    reclaim::{KSWAPD, Scan, ScanKey, TASK, Throttle, ThrottleKey},
};

use super::{BPF_NOEXIST, losses::lost};
use crate::kernel::{arg, atomic_add, current, is_kswapd, task_cgroup};

#[map(name = "obs_rec_scans")]
static SCANS: HashMap<ScanKey, Scan> = HashMap::with_max_entries(2048, 0);

#[map(name = "obs_rec_waits")]
static THROTTLES: HashMap<ThrottleKey, Throttle> = HashMap::with_max_entries(2048, 0);

/// `vmscan:mm_vmscan_lru_shrink_inactive(nid, nr_scanned, nr_reclaimed, stat, priority, file)`, once for each batch of
/// pages taken off an inactive list.
#[btf_tracepoint(function = "mm_vmscan_lru_shrink_inactive")]
fn obs_lru_shrink(ctx: BtfTracePointContext) -> i32 {
    let ctx = ctx.as_ptr();
    // SAFETY: the user side has checked the tracepoint's arguments.
    let (node, scanned, reclaimed, file) =
        unsafe { (arg(ctx, 0) as u32, arg(ctx, 1), arg(ctx, 2), arg(ctx, 5) as u32) };
    let task = current();
    let by = if is_kswapd(task) { KSWAPD } else { TASK } as u16;
    let key = ScanKey { cgroup: task_cgroup(task), node, by, file: u16::from(file != 0) };
    if SCANS.get_ptr(key).is_none() {
        // Another CPU may be first: the look below decides.
        let _ = SCANS.insert(key, Scan { scanned: 0, reclaimed: 0 }, BPF_NOEXIST);
    }
    let Some(value) = SCANS.get_ptr_mut(key) else {
        lost(Loss::ReclaimScansFull);
        return 0;
    };
    // SAFETY: the map gave the pointer.
    unsafe {
        atomic_add(&raw mut (*value).scanned, scanned);
        atomic_add(&raw mut (*value).reclaimed, reclaimed);
    }
    0
}

/// `vmscan:mm_vmscan_throttled(nid, usec_timeout, usec_delayed, reason)`, after the wait.
#[btf_tracepoint(function = "mm_vmscan_throttled")]
fn obs_throttled(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let (delayed, reason) = unsafe { (arg(ctx.as_ptr(), 2), arg(ctx.as_ptr(), 3) as u32) };
    let key = ThrottleKey { cgroup: task_cgroup(current()), reason, zero: 0 };
    if THROTTLES.get_ptr(key).is_none() {
        let _ = THROTTLES.insert(key, Throttle { count: 0, total_us: 0 }, BPF_NOEXIST);
    }
    let Some(value) = THROTTLES.get_ptr_mut(key) else {
        lost(Loss::ReclaimScansFull);
        return 0;
    };
    // SAFETY: the map gave the pointer. The register holds an `int`, of which the upper half means nothing.
    unsafe {
        atomic_add(&raw mut (*value).count, 1);
        atomic_add(&raw mut (*value).total_us, delayed & u64::from(u32::MAX));
    }
    0
}
