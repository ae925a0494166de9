//! Page allocations by (memory cgroup, process, order), counted exactly.
//!
//! Each CPU has one slot with the counts of whoever allocated there last. An event of the same owner costs two compares
//! and an addition; when the owner changes, and when the user side asks, the slot is added to the map of processes.
//!
//! Why each event is counted once. Only programs on the slot's own CPU touch a slot, so there is one order of events:
//! a program can be interrupted by the other one, but not run beside it. `busy` is set before the first change and
//! cleared after the last. The probe that interrupts the flush sees it and counts straight into the map of processes;
//! the flush that interrupts the probe sees it, changes nothing, and the user side asks again. The kernel does not start
//! the probe inside itself on a CPU: such an event is in the program's `recursion_misses`, which is shown as a loss.
//! The map of processes is shared between CPUs and changed by atomic additions; what finds no place in it goes to "other".

use core::{
    ffi::c_void,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::bpf_get_current_comm,
    macros::{btf_tracepoint, map, raw_tracepoint},
    maps::{Array, HashMap, PerCpuArray},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use observer_ebpf::abi::page_alloc::{BUSY, COUNTS, FAILED, FLUSHED, Key, ORDERS, Slot, Value};

use super::{BPF_NOEXIST, alloc_failures};
use crate::kernel::{arg, atomic_add, barrier, current, offsets, pointer, start_ns, task_cgroup, tgid};

#[map(name = "obs_alloc_slot")]
static SLOT: PerCpuArray<Slot> = PerCpuArray::with_max_entries(1, 0);

#[map(name = "obs_alloc_procs")]
static PROCESSES: HashMap<Key, Value> = HashMap::with_max_entries(16384, 0);

#[map(name = "obs_alloc_other")]
static SHARED: Array<Value> = Array::with_max_entries(2, 0);
/// Index in SHARED of what found no place in PROCESSES.
const OTHER: u32 = 0;
/// Index in SHARED of a value that nobody writes: what a new key starts from.
const ZERO: u32 = 1;

/// `kmem:mm_page_alloc(page, order, gfp_flags, migratetype)`; a null page is a request that failed.
#[btf_tracepoint(function = "mm_page_alloc")]
fn obs_page_alloc(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the tracepoint has four arguments on every kernel with BTF.
    let (page, order) = unsafe { (arg(ctx.as_ptr(), 0), arg(ctx.as_ptr(), 1) as u32) };
    let last = ORDERS as u32 - 1;
    let index = if order > last { last } else { order } as usize;
    if page == 0 {
        // SAFETY: as above.
        alloc_failures::count(order, unsafe { arg(ctx.as_ptr(), 2) } as u32);
        count(index | FAILED);
    } else {
        count(index);
    }
    0
}

/// Never attached: the user side runs it on a CPU to move that CPU's slot into the map of processes.
#[raw_tracepoint(tracepoint = "mm_page_alloc")]
fn obs_alloc_flush(_ctx: RawTracePointContext) -> i32 {
    let Some(slot) = SLOT.get_ptr_mut(0) else { return FLUSHED as i32 };
    if !lock(slot) {
        return BUSY as i32;
    }
    flush(slot);
    unlock(slot);
    FLUSHED as i32
}

#[inline(always)]
fn count(index: usize) {
    let task = current();
    let tgid = tgid(task);
    let css_set = pointer(task, &offsets::TASK_CGROUPS);
    let identity = css_set.map_or(0, |p| p as u64);
    let Some(slot) = SLOT.get_ptr_mut(0) else { return };
    if !lock(slot) {
        count_past_slot(index);
        return;
    }
    // SAFETY: the map lookup gave a valid slot, which `lock` reserved to this program.
    let same = unsafe { (*slot).key.tgid == tgid && (*slot).css_set == identity && (*slot).used != 0 };
    if !same {
        flush(slot);
        // SAFETY: as above.
        unsafe {
            (*slot).key = key(task, tgid);
            (*slot).css_set = identity;
            (*slot).used = 1;
            bpf_get_current_comm((&raw mut (*slot).value.comm).cast(), 16);
        }
    }
    // SAFETY: as above; the mask keeps the index inside.
    unsafe {
        let counter = (&raw mut (*slot).value.counts).cast::<u64>().add(index & (COUNTS - 1));
        *counter += 1;
    }
    unlock(slot);
}

/// Reserves the slot against the other program on this CPU. False if that one is at work underneath.
#[inline(always)]
fn lock(slot: *mut Slot) -> bool {
    // SAFETY: the map lookup gave a valid slot. Volatile, because the other program reads it in between.
    unsafe {
        if read_volatile(&raw const (*slot).busy) != 0 {
            return false;
        }
        write_volatile(&raw mut (*slot).busy, 1);
    }
    barrier();
    true
}

#[inline(always)]
fn unlock(slot: *mut Slot) {
    barrier();
    // SAFETY: as in `lock`.
    unsafe { write_volatile(&raw mut (*slot).busy, 0) };
}

/// Adds the slot to the map of processes and empties it.
#[inline(always)]
fn flush(slot: *mut Slot) {
    // SAFETY: the caller has reserved the slot; the map of processes gave `to`.
    unsafe {
        if (*slot).used == 0 {
            return;
        }
        (*slot).used = 0;
        let Some(to) = entry(&(*slot).key) else { return };
        (*to).comm = (*slot).value.comm;
        for i in 0..COUNTS {
            let n = (*slot).value.counts[i];
            if n != 0 {
                atomic_add(&raw mut (*to).counts[i], n);
                (*slot).value.counts[i] = 0;
            }
        }
    }
}

/// Counts one event while the slot is taken: this program interrupted the flush.
#[inline(never)]
fn count_past_slot(index: usize) {
    let task = current();
    let Some(to) = entry(&key(task, tgid(task))) else { return };
    // SAFETY: the map gave `to`; the mask keeps the index inside.
    unsafe { atomic_add((&raw mut (*to).counts).cast::<u64>().add(index & (COUNTS - 1)), 1) };
}

/// The counts of a key, of "other" if the map is full.
#[inline(always)]
fn entry(key: &Key) -> Option<*mut Value> {
    if let Some(value) = PROCESSES.get_ptr_mut(key) {
        return Some(value);
    }
    // Another CPU may insert the same key first: the error does not matter, the second look decides.
    let zero = SHARED.get(ZERO)?;
    let _ = PROCESSES.insert(key, zero, BPF_NOEXIST);
    PROCESSES.get_ptr_mut(key).or_else(|| SHARED.get_ptr_mut(OTHER))
}

#[inline(always)]
fn key(task: *const c_void, tgid: u32) -> Key {
    Key { cgroup: task_cgroup(task), start_ns: start_ns(task), tgid, zero: 0 }
}
