//! Shrinkers: begin and end paired per task. A shrinker does not enter reclaim again, so a task has one at a time.
//!
//! A reclaim calls a hundred shrinkers and more, so a task's row stays in the map of those that have begun: to write into it
//! takes no lock, as adding and removing a row do. Rows of tasks that reclaim no more give way to those of others.

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap, LruHashMap},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    losses::Loss,
    reclaim::BUCKETS,
    shrinker::{Begun, Value},
};

use super::{BPF_NOEXIST, losses::lost};
use crate::kernel::{arg, atomic_add, field, log2_bucket, now, offsets, tid, typed_arg};

/// By thread id; a begin of 0 is a task that is in no shrinker.
#[map(name = "obs_shr_begun")]
static IN_FLIGHT: LruHashMap<u32, Begun> = LruHashMap::with_max_entries(1024, 0);

const NOT_BEGUN: Begun = Begun { begin_ns: 0, function: 0 };

/// By address of the function.
#[map(name = "obs_shr_funcs")]
static FUNCTIONS: HashMap<u64, Value> = HashMap::with_max_entries(256, 0);

/// What a new function starts from: nobody writes it.
#[map(name = "obs_shr_zero")]
static ZERO: Array<Value> = Array::with_max_entries(1, 0);

/// `vmscan:mm_shrink_slab_start(shr, sc, ...)`.
#[btf_tracepoint(function = "mm_shrink_slab_start")]
fn obs_shrink_begin(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let shrinker = unsafe { typed_arg(ctx.as_ptr(), 0) };
    let function = field(shrinker, &offsets::SHRINKER_SCAN).unwrap_or(0);
    let (tid, new) = (tid(), Begun { begin_ns: now(), function });
    match IN_FLIGHT.get_ptr_mut(tid) {
        // SAFETY: the map gave the pointer; only this task writes its row.
        Some(row) => unsafe { *row = new },
        // One that finds no place is counted when it ends.
        None => _ = IN_FLIGHT.insert(tid, new, 0),
    }
    0
}

/// `vmscan:mm_shrink_slab_end(shr, nid, shrinker_retval, unused_scan_cnt, new_scan_cnt, total_scan)`.
#[btf_tracepoint(function = "mm_shrink_slab_end")]
fn obs_shrink_end(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above. The register holds an `int`, of which the upper half means nothing.
    let freed = unsafe { arg(ctx.as_ptr(), 2) } & u64::from(u32::MAX);
    let row = IN_FLIGHT.get_ptr_mut(tid());
    // SAFETY: the map gave the pointer; only this task writes its row.
    let begun = row.map_or(NOT_BEGUN, |row| unsafe { core::mem::replace(&mut *row, NOT_BEGUN) });
    if begun.begin_ns == 0 {
        lost(Loss::ShrinkerBeginUnseen);
        return 0;
    }
    let ns = now() - begun.begin_ns;
    if FUNCTIONS.get_ptr(begun.function).is_none()
        && let Some(zero) = ZERO.get(0)
    {
        let _ = FUNCTIONS.insert(begun.function, zero, BPF_NOEXIST);
    }
    let Some(value) = FUNCTIONS.get_ptr_mut(begun.function) else {
        lost(Loss::ShrinkersFull);
        return 0;
    };
    // SAFETY: the map gave the pointer; the mask keeps the index inside. Two that end at once may lose the longer one of
    // them: the histogram has both.
    unsafe {
        atomic_add(&raw mut (*value).count, 1);
        atomic_add(&raw mut (*value).total_ns, ns);
        atomic_add(&raw mut (*value).freed, freed);
        if (*value).max_ns < ns {
            (*value).max_ns = ns;
        }
        let bucket = log2_bucket(ns) as usize & (BUCKETS - 1);
        atomic_add((&raw mut (*value).latency).cast::<u64>().add(bucket), 1);
    }
    0
}
