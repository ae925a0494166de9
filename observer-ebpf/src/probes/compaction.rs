//! Compaction: begin and end paired per task.

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    compaction::{BACKGROUND, Begun, DIRECT, Key, RESULTS, Value},
    losses::Loss,
    reclaim::BUCKETS,
};

use super::{BPF_NOEXIST, losses::lost};
use crate::kernel::{arg, atomic_add, current, field, log2_bucket, now, offsets, task_cgroup, tid, typed_arg};

#[map(name = "obs_cmp_begun")]
static IN_FLIGHT: HashMap<u32, Begun> = HashMap::with_max_entries(1024, 0);

#[map(name = "obs_cmp_cgroup")]
static BY_CGROUP: HashMap<Key, Value> = HashMap::with_max_entries(1024, 0);

/// What a new cgroup starts from: nobody writes it.
#[map(name = "obs_cmp_zero")]
static ZERO: Array<Value> = Array::with_max_entries(1, 0);

/// `compaction:mm_compaction_begin(...)`, for each zone that is compacted.
#[btf_tracepoint(function = "mm_compaction_begin")]
fn obs_compact_begin(_ctx: BtfTracePointContext) -> i32 {
    // One that finds no place is counted when it ends.
    let _ = IN_FLIGHT.insert(tid(), Begun { begin_ns: now(), cgroup: task_cgroup(current()) }, 0);
    0
}

/// `compaction:mm_compaction_end(cc, zone_start, zone_end, sync, status)`.
#[btf_tracepoint(function = "mm_compaction_end")]
fn obs_compact_end(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let (control, status) = unsafe { (typed_arg(ctx.as_ptr(), 0), arg(ctx.as_ptr(), 4)) };
    let tid = tid();
    let Some(begun) = IN_FLIGHT.get_ptr(tid) else {
        lost(Loss::CompactionBeginUnseen);
        return 0;
    };
    // SAFETY: the map gave the pointer; only this task writes and deletes its entry.
    let begun = unsafe { *begun };
    let _ = IN_FLIGHT.remove(tid);
    let ns = now() - begun.begin_ns;
    let direct: u8 = field(control, &offsets::CC_DIRECT).unwrap_or(1);
    let key = Key { cgroup: begun.cgroup, by: if direct != 0 { DIRECT } else { BACKGROUND }, zero: 0 };
    if BY_CGROUP.get_ptr(key).is_none()
        && let Some(zero) = ZERO.get(0)
    {
        let _ = BY_CGROUP.insert(key, zero, BPF_NOEXIST);
    }
    let Some(value) = BY_CGROUP.get_ptr_mut(key) else {
        lost(Loss::CompactionCgroupsFull);
        return 0;
    };
    // SAFETY: the map gave the pointer; the masks keep the indexes inside.
    unsafe {
        atomic_add(&raw mut (*value).total_ns, ns);
        atomic_add((&raw mut (*value).results).cast::<u64>().add(status as usize & (RESULTS - 1)), 1);
        let bucket = log2_bucket(ns) as usize & (BUCKETS - 1);
        atomic_add((&raw mut (*value).latency).cast::<u64>().add(bucket), 1);
    }
    0
}
