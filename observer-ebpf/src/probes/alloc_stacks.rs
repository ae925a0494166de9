//! Kernel and user stacks of page allocations: sampled, of chosen processes, cgroups and orders.
//!
//! Loaded on demand only. The filter comes first, on numbers that cost a few loads; what passes it is counted exactly, and
//! one in N of that is sampled at random, so that no rhythm of the workload is mistaken for its share. Only a sample walks
//! stacks, which costs some microseconds. A sample whose stack is lost stays in the counts under the reason.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_get_prandom_u32, bpf_get_stackid},
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap, PerCpuArray, StackTrace},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::alloc_stacks::{Key, LOSSES, Loss, Matched, NO_USER_STACK};

use super::BPF_NOEXIST;
use crate::kernel::{arg, atomic_add, constant, current, current_comm, offsets, pointer, start_ns, task_cgroup, tgid};

/// Set before loading: a sample is taken if a random 32-bit number is not above this one.
#[unsafe(no_mangle)]
static STACKS_THRESHOLD: u32 = u32::MAX;
/// Set before loading: the lowest order.
#[unsafe(no_mangle)]
static STACKS_ORDER_MIN: u32 = 0;
/// Set before loading: the highest order.
#[unsafe(no_mangle)]
static STACKS_ORDER_MAX: u32 = u32::MAX;
/// Set before loading: 1 if only the processes in the map are wanted.
#[unsafe(no_mangle)]
static STACKS_BY_TGID: u32 = 0;
/// Set before loading: 1 if only the cgroups in the map are wanted.
#[unsafe(no_mangle)]
static STACKS_BY_CGROUP: u32 = 0;

// Every command creates every map of the object: these have one element unless stacks are asked for.
#[map(name = "obs_stk_tgids")]
static TGIDS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

#[map(name = "obs_stk_cgroups")]
static CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

#[map(name = "obs_stk_stacks")]
static STACKS: StackTrace = StackTrace::with_max_entries(1, 0);

#[map(name = "obs_stk_counts")]
static COUNTS: HashMap<Key, u64> = HashMap::with_max_entries(1, 0);

#[map(name = "obs_stk_matched")]
static MATCHED: PerCpuArray<Matched> = PerCpuArray::with_max_entries(1, 0);

#[map(name = "obs_stk_lost")]
static LOST: Array<u64> = Array::with_max_entries(LOSSES, 0);

/// Flag of `bpf_get_stackid`: the user side's stack.
const BPF_F_USER_STACK: u64 = 1 << 8;

const EEXIST: i32 = 17;
const ENOMEM: i32 = 12;

/// `kmem:mm_page_alloc(page, order, gfp_flags, migratetype)`; a null page is a request that failed.
#[btf_tracepoint(function = "mm_page_alloc")]
fn obs_alloc_stacks(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the tracepoint has four arguments on every kernel with BTF.
    let (page, order) = unsafe { (arg(ctx.as_ptr(), 0), arg(ctx.as_ptr(), 1) as u32) };
    if order < constant(&STACKS_ORDER_MIN) || order > constant(&STACKS_ORDER_MAX) {
        return 0;
    }
    let task = current();
    let tgid = tgid(task);
    // SAFETY: nothing is read through the reference.
    if constant(&STACKS_BY_TGID) != 0 && unsafe { TGIDS.get(tgid) }.is_none() {
        return 0;
    }
    let cgroup = task_cgroup(task);
    // SAFETY: nothing is read through the reference.
    if constant(&STACKS_BY_CGROUP) != 0 && unsafe { CGROUPS.get(cgroup) }.is_none() {
        return 0;
    }
    let Some(matched) = MATCHED.get_ptr_mut(0) else { return 0 };
    // SAFETY: the map gave the pointer, and the kernel does not run this program inside itself on a CPU.
    unsafe {
        if page == 0 {
            (*matched).failures += 1;
        } else {
            (*matched).allocations += 1;
            (*matched).pages += 1 << (order & 31);
        }
        if bpf_get_prandom_u32() > constant(&STACKS_THRESHOLD) {
            return 0;
        }
        (*matched).samples += 1;
    }
    let no_mm = pointer(task, &offsets::TASK_MM).is_some_and(|mm| mm.is_null());
    let key = Key {
        cgroup,
        start_ns: start_ns(task),
        tgid,
        kernel: walk(ctx.as_ptr(), 0, Loss::KernelWalk),
        user: if no_mm { NO_USER_STACK } else { walk(ctx.as_ptr(), BPF_F_USER_STACK, Loss::UserWalk) },
        order: order as u16,
        failed: (page == 0) as u16,
        comm: current_comm(),
    };
    count(&key);
    0
}

/// Number of a stack of the current task, or the errno for which there is none.
#[inline(always)]
fn walk(ctx: *mut c_void, flags: u64, failure: Loss) -> i32 {
    // SAFETY: the helper takes the program's own context and a map of stacks.
    let id = unsafe { bpf_get_stackid(ctx, (&raw const STACKS).cast_mut().cast(), flags) } as i32;
    if id < 0 {
        lost(match -id {
            EEXIST => Loss::Collision,
            ENOMEM => Loss::StacksFull,
            _ => failure,
        });
    }
    id
}

#[inline(always)]
fn count(key: &Key) {
    if COUNTS.get_ptr_mut(key).is_none() {
        // Another CPU may insert the same key first: the error does not matter, the second look decides.
        let _ = COUNTS.insert(key, 0, BPF_NOEXIST);
    }
    match COUNTS.get_ptr_mut(key) {
        // SAFETY: the map gave the pointer.
        Some(counter) => unsafe { atomic_add(counter, 1) },
        None => lost(Loss::CountsFull),
    }
}

#[inline(always)]
fn lost(what: Loss) {
    if let Some(counter) = LOST.get_ptr_mut(what as u32) {
        // SAFETY: the map gave the pointer.
        unsafe { atomic_add(counter, 1) };
    }
}
