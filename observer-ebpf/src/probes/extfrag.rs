//! Requests that found no block of their migrate type and took one of another.

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::compaction::{Fallback, FallbackKey};

use super::BPF_NOEXIST;
use crate::kernel::{arg, atomic_add, current, current_comm, start_ns, task_cgroup, tgid};

#[map(name = "obs_extfrag_who")]
static FALLBACKS: HashMap<FallbackKey, Fallback> = HashMap::with_max_entries(4096, 0);

/// Fallbacks that found no place.
#[map(name = "obs_extfrag_rest")]
static OTHER: Array<u64> = Array::with_max_entries(1, 0);

/// `kmem:mm_page_alloc_extfrag(page, alloc_order, fallback_order, alloc_migratetype, fallback_migratetype)`. Hit under the
/// zone's lock.
#[btf_tracepoint(function = "mm_page_alloc_extfrag")]
fn obs_extfrag(ctx: BtfTracePointContext) -> i32 {
    let ctx = ctx.as_ptr();
    // SAFETY: the user side has checked the tracepoint's arguments.
    let (order, wanted, taken) = unsafe { (arg(ctx, 1) as u16, arg(ctx, 3) as u8, arg(ctx, 4) as u8) };
    let task = current();
    let key =
        FallbackKey { cgroup: task_cgroup(task), start_ns: start_ns(task), tgid: tgid(task), order, wanted, taken };
    let new = Fallback { count: 1, comm: current_comm() };
    if FALLBACKS.get_ptr(key).is_none() && FALLBACKS.insert(key, new, BPF_NOEXIST).is_ok() {
        return 0;
    }
    if let Some(known) = FALLBACKS.get_ptr_mut(key) {
        // SAFETY: the map gave the pointer.
        unsafe {
            atomic_add(&raw mut (*known).count, 1);
            (*known).comm = new.comm;
        }
    } else if let Some(other) = OTHER.get_ptr_mut(0) {
        // SAFETY: the map gave the pointer.
        unsafe { atomic_add(other, 1) };
    }
    0
}
