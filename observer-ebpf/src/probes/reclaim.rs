//! Reclaim done by the tasks that need memory: begin and end paired per task.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap, LruHashMap},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    losses::Loss,
    reclaim::{
        BUCKETS, ByCgroup, ByProcess, CgroupKey, DIRECT, InFlight, InFlightKey, Last, MEMCG, ProcessKey, Totals,
    },
};

use super::{BPF_NOEXIST, losses::lost};
use crate::kernel::{
    arg, atomic_add, atomic_add_32, current, current_comm, log2_bucket, now, start_ns, task_cgroup, tgid, tid,
};

#[map(name = "obs_rec_begun")]
static IN_FLIGHT: HashMap<InFlightKey, InFlight> = HashMap::with_max_entries(8192, 0);

#[map(name = "obs_rec_cgroup")]
static BY_CGROUP: HashMap<CgroupKey, ByCgroup> = HashMap::with_max_entries(2048, 0);

#[map(name = "obs_rec_process")]
static BY_PROCESS: HashMap<ProcessKey, ByProcess> = HashMap::with_max_entries(8192, 0);

/// What a new cgroup starts from: nobody writes it.
#[map(name = "obs_rec_zero")]
static ZERO: Array<ByCgroup> = Array::with_max_entries(1, 0);

/// What a new process starts from: nobody writes it.
#[map(name = "obs_rec_zero_p")]
static ZERO_PROCESS: Array<ByProcess> = Array::with_max_entries(1, 0);

/// The last reclaim of each task, the least recent forgotten: an OOM kill comes within moments.
#[map(name = "obs_rec_last")]
static LAST: LruHashMap<u32, Last> = LruHashMap::with_max_entries(4096, 0);

/// `vmscan:mm_vmscan_direct_reclaim_begin(order, gfp)`.
#[btf_tracepoint(function = "mm_vmscan_direct_reclaim_begin")]
fn obs_direct_begin(ctx: BtfTracePointContext) -> i32 {
    begin(ctx.as_ptr(), DIRECT)
}

/// `vmscan:mm_vmscan_direct_reclaim_end(nr_reclaimed)`.
#[btf_tracepoint(function = "mm_vmscan_direct_reclaim_end")]
fn obs_direct_end(ctx: BtfTracePointContext) -> i32 {
    end(ctx.as_ptr(), DIRECT)
}

/// `vmscan:mm_vmscan_memcg_reclaim_begin(order, gfp)`.
#[btf_tracepoint(function = "mm_vmscan_memcg_reclaim_begin")]
fn obs_memcg_begin(ctx: BtfTracePointContext) -> i32 {
    begin(ctx.as_ptr(), MEMCG)
}

/// `vmscan:mm_vmscan_memcg_reclaim_end(nr_reclaimed)`.
#[btf_tracepoint(function = "mm_vmscan_memcg_reclaim_end")]
fn obs_memcg_end(ctx: BtfTracePointContext) -> i32 {
    end(ctx.as_ptr(), MEMCG)
}

/// The task's reclaim that has not ended, else its last one.
#[inline(always)]
pub(super) fn last_of(tid: u32) -> Option<Last> {
    let begun = |kind| IN_FLIGHT.get_ptr(InFlightKey { tid, kind }).map(|r| (kind, r));
    if let Some((kind, begun)) = begun(MEMCG).or_else(|| begun(DIRECT)) {
        // SAFETY: the map gave the pointer.
        let begun = unsafe { &*begun };
        let InFlight { begin_ns, order, gfp, .. } = *begun;
        return Some(Last { begin_ns, duration_ns: 0, pages: 0, kind, order, gfp, ended: 0 });
    }
    // SAFETY: the map gave the pointer; only the task itself writes its entry.
    LAST.get_ptr(tid).map(|last| unsafe { *last })
}

#[inline(always)]
fn begin(ctx: *mut c_void, kind: u32) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let (order, gfp) = unsafe { (arg(ctx, 0) as u32, arg(ctx, 1) as u32) };
    let task = current();
    let begun = InFlight {
        begin_ns: now(),
        cgroup: task_cgroup(task),
        tgid: tgid(task),
        order,
        gfp,
        zero: 0,
        comm: current_comm(),
    };
    if IN_FLIGHT.insert(InFlightKey { tid: tid(), kind }, begun, 0).is_err() {
        lost(Loss::ReclaimInFlightFull);
    }
    0
}

#[inline(always)]
fn end(ctx: *mut c_void, kind: u32) -> i32 {
    // SAFETY: as above.
    let pages = unsafe { arg(ctx, 0) };
    let key = InFlightKey { tid: tid(), kind };
    let Some(begun) = IN_FLIGHT.get_ptr(key) else {
        lost(Loss::ReclaimBeginUnseen);
        return 0;
    };
    // SAFETY: the map gave the pointer; only this task writes and deletes its entry.
    let begun = unsafe { *begun };
    let _ = IN_FLIGHT.remove(key);
    let ns = now() - begun.begin_ns;
    let InFlight { begin_ns, order, gfp, .. } = begun;
    let last = Last { begin_ns, duration_ns: ns, pages, kind, order, gfp, ended: 1 };
    let _ = LAST.insert(key.tid, last, 0);
    count_cgroup(CgroupKey { cgroup: begun.cgroup, kind, zero: 0 }, ns, pages);
    let start_ns = start_ns(current());
    count_process(ProcessKey { cgroup: begun.cgroup, start_ns, tgid: begun.tgid, kind }, &begun, ns, pages);
    0
}

#[inline(always)]
fn count_cgroup(key: CgroupKey, ns: u64, pages: u64) {
    if BY_CGROUP.get_ptr(key).is_none()
        && let Some(zero) = ZERO.get(0)
    {
        // Another CPU may be first: the look below decides.
        let _ = BY_CGROUP.insert(key, zero, BPF_NOEXIST);
    }
    let Some(value) = BY_CGROUP.get_ptr_mut(key) else {
        lost(Loss::ReclaimCgroupsFull);
        return;
    };
    // SAFETY: the map gave the pointer; the mask keeps the index inside.
    unsafe {
        add(&raw mut (*value).totals, ns, pages);
        let bucket = log2_bucket(ns) as usize & (BUCKETS - 1);
        atomic_add((&raw mut (*value).latency).cast::<u64>().add(bucket), 1);
    }
}

#[inline(always)]
fn count_process(key: ProcessKey, begun: &InFlight, ns: u64, pages: u64) {
    if BY_PROCESS.get_ptr(key).is_none()
        && let Some(zero) = ZERO_PROCESS.get(0)
    {
        let _ = BY_PROCESS.insert(key, zero, BPF_NOEXIST);
    }
    let Some(value) = BY_PROCESS.get_ptr_mut(key) else {
        lost(Loss::ReclaimProcessesFull);
        return;
    };
    // SAFETY: the map gave the pointer.
    unsafe {
        (*value).comm = begun.comm;
        add(&raw mut (*value).totals, ns, pages);
        let bucket = log2_bucket(ns) as usize & (BUCKETS - 1);
        atomic_add_32((&raw mut (*value).latency).cast::<u32>().add(bucket), 1);
    }
}

/// Adds one ended reclaim.
///
/// # Safety
/// `totals` must point into a map value.
#[inline(always)]
unsafe fn add(totals: *mut Totals, ns: u64, pages: u64) {
    // SAFETY: the caller vouches for the pointer.
    unsafe {
        atomic_add(&raw mut (*totals).count, 1);
        atomic_add(&raw mut (*totals).total_ns, ns);
        atomic_add(&raw mut (*totals).pages, pages);
    }
}
