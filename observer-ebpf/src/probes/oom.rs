//! OOM kills: one event each, and a count that stays exact when the ring buffer is full.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::{Array, RingBuf},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    losses::Loss,
    oom::{Event, Task},
    reclaim::Last,
};

use super::{losses::lost, reclaim::last_of};
use crate::kernel::{
    arg, atomic_add, current, current_comm, field, now, offsets, task_cgroup, task_comm, tgid, tid, typed_arg,
};

#[map(name = "obs_oom_events")]
static EVENTS: RingBuf = RingBuf::with_byte_size(64 * 1024, 0);

#[map(name = "obs_oom_kills")]
static KILLS: Array<u64> = Array::with_max_entries(1, 0);

/// `oom:mark_victim(task, uid)`.
#[btf_tracepoint(function = "mark_victim")]
fn obs_oom_task(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let victim = unsafe { typed_arg(ctx.as_ptr(), 0) };
    report(Task {
        cgroup: task_cgroup(victim),
        tgid: field(victim, &offsets::TASK_TGID).unwrap_or(0),
        tid: field(victim, &offsets::TASK_PID).unwrap_or(0),
        comm: task_comm(victim),
    })
}

/// `oom:mark_victim(pid)`, the older form.
#[btf_tracepoint(function = "mark_victim")]
fn obs_oom_pid(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let tid = unsafe { arg(ctx.as_ptr(), 0) } as u32;
    report(Task { cgroup: 0, tgid: 0, tid, comm: [0; 16] })
}

#[inline(always)]
fn report(victim: Task) -> i32 {
    let Some(kills) = KILLS.get_ptr_mut(0) else { return 0 };
    // SAFETY: the map gave the pointer. Kills are serialised by the kernel's `oom_lock`: what is read back is this one's.
    let sequence = unsafe {
        atomic_add(kills, 1);
        core::ptr::read_volatile(kills)
    };
    let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
        lost(Loss::OomRingFull);
        return 0;
    };
    entry.write(Event { monotonic_ns: now(), sequence, trigger: trigger(current()), victim, reclaim: last_reclaim() });
    entry.submit(0);
    0
}

#[inline(always)]
fn trigger(task: *const c_void) -> Task {
    Task { cgroup: task_cgroup(task), tgid: tgid(task), tid: tid(), comm: current_comm() }
}

#[inline(always)]
fn last_reclaim() -> Last {
    last_of(tid()).unwrap_or(Last { begin_ns: 0, duration_ns: 0, pages: 0, kind: 0, order: 0, gfp: 0, ended: 0 })
}
