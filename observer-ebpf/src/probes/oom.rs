//! OOM kills: one event each, and a count that stays exact when the ring buffer is full.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::bpf_get_stack,
    macros::{btf_tracepoint, map},
    maps::{Array, RingBuf},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    losses::Loss,
    oom::{Event, FRAMES, Retry, Task},
    reclaim::Last,
};

use super::{losses::lost, reclaim::last_of, retry::last_reclaim_retry};
use crate::kernel::{
    arg, atomic_add, current, current_comm, field, now, offsets, task_cgroup, task_comm, tgid, tid, typed_arg,
};

#[map(name = "obs_oom_events")]
static EVENTS: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);

#[map(name = "obs_oom_kills")]
static KILLS: Array<u64> = Array::with_max_entries(1, 0);

/// `oom:mark_victim(task, uid)`.
#[btf_tracepoint(function = "mark_victim")]
fn obs_oom_task(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let victim = unsafe { typed_arg(ctx.as_ptr(), 0) };
    report(
        &ctx,
        Task {
            cgroup: task_cgroup(victim),
            tgid: field(victim, &offsets::TASK_TGID).unwrap_or(0),
            tid: field(victim, &offsets::TASK_PID).unwrap_or(0),
            comm: task_comm(victim),
        },
    )
}

/// `oom:mark_victim(pid)`, the older form.
#[btf_tracepoint(function = "mark_victim")]
fn obs_oom_pid(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let tid = unsafe { arg(ctx.as_ptr(), 0) } as u32;
    report(&ctx, Task { cgroup: 0, tgid: 0, tid, comm: [0; 16] })
}

#[inline(always)]
fn report(ctx: &BtfTracePointContext, victim: Task) -> i32 {
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
    let event = entry.as_mut_ptr();
    // Part by part: the whole is too large for the stack of a program.
    // SAFETY: the buffer has given room for an event; every field is written, the call chain by the kernel, which fills what
    // it does not use with zeros.
    unsafe {
        (&raw mut (*event).monotonic_ns).write(now());
        (&raw mut (*event).sequence).write(sequence);
        (&raw mut (*event).trigger).write(trigger(current()));
        (&raw mut (*event).victim).write(victim);
        (&raw mut (*event).reclaim).write(last_reclaim());
        (&raw mut (*event).retry).write(last_retry());
        let stack = (&raw mut (*event).stack).cast::<c_void>();
        let bytes = bpf_get_stack(ctx.as_ptr(), stack, size_of::<[u64; FRAMES]>() as u32, 0);
        (&raw mut (*event).stack_bytes).write(bytes);
    }
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

#[inline(always)]
fn last_retry() -> Retry {
    match last_reclaim_retry() {
        // SAFETY: the map gave the pointer; only tasks of the same process write to it.
        Some(last) => unsafe {
            Retry {
                last_ns: (*last).last_ns,
                available: (*last).available,
                min: (*last).min,
                order: (*last).order,
                loops: (*last).loops,
                refused: (*last).last_refused,
                pad: 0,
            }
        },
        None => Retry { last_ns: 0, available: 0, min: 0, order: 0, loops: 0, refused: 0, pad: 0 },
    }
}
