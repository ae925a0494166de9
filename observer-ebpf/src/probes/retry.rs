//! Retries of the page allocator, the last steps before an OOM kill.

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::retry::{COMPACT, Key, RECLAIM, Value};

use super::BPF_NOEXIST;
use crate::kernel::{arg, atomic_add, current, current_comm, now, start_ns, task_cgroup, tgid};

#[map(name = "obs_retries")]
static RETRIES: HashMap<Key, Value> = HashMap::with_max_entries(2048, 0);

/// Retries that found no place.
#[map(name = "obs_retries_rest")]
static OTHER: Array<u64> = Array::with_max_entries(1, 0);

/// `oom:reclaim_retry_zone(zoneref, order, reclaimable, available, min_wmark, no_progress_loops, wmark_check)`.
#[btf_tracepoint(function = "reclaim_retry_zone")]
fn obs_retry_reclaim(ctx: BtfTracePointContext) -> i32 {
    let ctx = ctx.as_ptr();
    // SAFETY: the user side has checked the tracepoint's arguments.
    unsafe {
        let seen = Seen {
            available: arg(ctx, 3),
            min: arg(ctx, 4),
            order: arg(ctx, 1) as u32,
            loops: arg(ctx, 5) as u32,
            refused: arg(ctx, 6) & 0xff == 0,
        };
        count(RECLAIM, &seen)
    }
}

/// `oom:compact_retry(order, priority, result, retries, max_retries, ret)`.
#[btf_tracepoint(function = "compact_retry")]
fn obs_retry_compact(ctx: BtfTracePointContext) -> i32 {
    let ctx = ctx.as_ptr();
    // SAFETY: as above.
    unsafe {
        let (order, loops, refused) = (arg(ctx, 0) as u32, arg(ctx, 3) as u32, arg(ctx, 5) & 0xff == 0);
        count(COMPACT, &Seen { available: 0, min: 0, order, loops, refused })
    }
}

/// What one event tells.
struct Seen {
    available: u64,
    min: u64,
    order: u32,
    loops: u32,
    refused: bool,
}

#[inline(always)]
fn count(kind: u32, seen: &Seen) -> i32 {
    let task = current();
    let key = Key { cgroup: task_cgroup(task), start_ns: start_ns(task), tgid: tgid(task), kind };
    let &Seen { available, min, order, loops, refused } = seen;
    let last_refused = u32::from(refused);
    let (refused, last_ns) = (u64::from(refused), now());
    let new =
        Value { count: 1, refused, last_ns, available, min, order, loops, last_refused, pad: 0, comm: current_comm() };
    if RETRIES.get_ptr(key).is_none() && RETRIES.insert(key, new, BPF_NOEXIST).is_ok() {
        return 0;
    }
    if let Some(known) = RETRIES.get_ptr_mut(key) {
        // SAFETY: the map gave the pointer.
        unsafe {
            atomic_add(&raw mut (*known).count, 1);
            atomic_add(&raw mut (*known).refused, refused);
            (*known).last_ns = last_ns;
            (*known).last_refused = last_refused;
            (*known).available = available;
            (*known).min = min;
            (*known).order = order;
            (*known).loops = loops;
            (*known).comm = new.comm;
        }
    } else if let Some(other) = OTHER.get_ptr_mut(0) {
        // SAFETY: the map gave the pointer.
        unsafe { atomic_add(other, 1) };
    }
    0
}

/// The last round of reclaim that the current task's process thought of.
#[inline(always)]
pub(super) fn last_reclaim_retry() -> Option<*const Value> {
    let task = current();
    let key = Key { cgroup: task_cgroup(task), start_ns: start_ns(task), tgid: tgid(task), kind: RECLAIM };
    RETRIES.get_ptr(key)
}
