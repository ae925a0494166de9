//! What CPUs do for tunnels: polls of devices, and functions of work queues that encrypt. Loaded only while there is a tunnel.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::bpf_get_smp_processor_id,
    macros::{btf_tracepoint, map},
    maps::HashMap,
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::tunnel::{Begun, Device, Loss, PollKey, Polls, Work, WorkKey};

use super::{
    BPF_NOEXIST,
    tunnel::{device, lost},
};
use crate::kernel::{arg, atomic_add, field, now, offsets, pointer, tid, typed_arg};

#[map(name = "obs_tun_polls")]
static POLLS: HashMap<PollKey, Polls> = HashMap::with_max_entries(1, 0);

/// Functions that are timed; set by the user side.
#[map(name = "obs_tun_funcs")]
static FUNCTIONS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

/// What a thread is in.
#[map(name = "obs_tun_begun")]
static BEGUN: HashMap<u32, Begun> = HashMap::with_max_entries(1, 0);

#[map(name = "obs_tun_work")]
static WORK: HashMap<WorkKey, Work> = HashMap::with_max_entries(1, 0);

/// `napi:napi_poll(napi, work, budget)`.
#[btf_tracepoint(function = "napi_poll")]
fn obs_tun_poll(ctx: BtfTracePointContext) -> i32 {
    let ctx = ctx.as_ptr();
    // SAFETY: the user side has checked the tracepoint's arguments.
    let (napi, work, budget) = unsafe { (typed_arg(ctx, 0), arg(ctx, 1) as u32, arg(ctx, 2) as u32) };
    let Some(dev) = pointer(napi, &offsets::NAPI_DEV) else { return 0 };
    let none = Device { netns: 0, ifindex: 0 };
    let key = PollKey { device: if dev.is_null() { none } else { device(dev) }, cpu: cpu(), zero: 0 };
    let polls = POLLS.get_ptr_mut(key).or_else(|| {
        let _ = POLLS.insert(key, Polls::default(), BPF_NOEXIST);
        POLLS.get_ptr_mut(key)
    });
    let Some(polls) = polls else {
        lost(Loss::PollsFull);
        return 0;
    };
    // SAFETY: the map gave the pointer, and only this CPU has this key.
    unsafe {
        (*polls).polls += 1;
        (*polls).work += u64::from(work);
        (*polls).full += u64::from(work >= budget);
    }
    0
}

/// `workqueue:workqueue_execute_start(work)`.
#[btf_tracepoint(function = "workqueue_execute_start")]
fn obs_tun_begin(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let work = unsafe { typed_arg(ctx.as_ptr(), 0) };
    let function = field::<u64>(work, &offsets::WORK_FUNC).unwrap_or(0);
    // SAFETY: nothing is read through the reference.
    if unsafe { FUNCTIONS.get(function) }.is_some()
        && BEGUN.insert(tid(), Begun { begun_ns: now(), function }, 0).is_err()
    {
        lost(Loss::WorkFull);
    }
    0
}

/// `workqueue:workqueue_execute_end(work, function)`: the work itself may be gone by now, and the verifier lets no function's
/// address be read.
#[btf_tracepoint(function = "workqueue_execute_end")]
fn obs_tun_end(_ctx: BtfTracePointContext) -> i32 {
    let tid = tid();
    // SAFETY: only this thread has this key.
    let Some(Begun { begun_ns, function }) = (unsafe { BEGUN.get(tid) }).copied() else { return 0 };
    let _ = BEGUN.remove(tid);
    let key = WorkKey { function, cpu: cpu(), zero: 0 };
    let row = WORK.get_ptr_mut(key).or_else(|| {
        let _ = WORK.insert(key, Work::default(), BPF_NOEXIST);
        WORK.get_ptr_mut(key)
    });
    let Some(row) = row else {
        lost(Loss::WorkFull);
        return 0;
    };
    // SAFETY: the map gave the pointer. Another thread on this CPU could come between: counted atomically.
    unsafe {
        atomic_add(&raw mut (*row).calls, 1);
        atomic_add(&raw mut (*row).ns, now() - begun_ns);
    }
    0
}

#[inline(always)]
fn cpu() -> u32 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_get_smp_processor_id() }
}
