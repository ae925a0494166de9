//! How page allocations that failed were asked for: their flags tell whether the caller was ready for it.

use aya_ebpf::{macros::map, maps::HashMap};
use observer_ebpf::abi::{
    losses::Loss,
    page_alloc::{Failure, FailureKey},
};

use super::{BPF_NOEXIST, losses::lost};
use crate::kernel::{atomic_add, current, current_comm, start_ns, task_cgroup, tgid};

#[map(name = "obs_alloc_fails")]
static FAILURES: HashMap<FailureKey, Failure> = HashMap::with_max_entries(1024, 0);

/// Counts a failure. Never inlined: failures are rare, and the path of requests that are met stays short.
#[inline(never)]
pub(super) fn count(order: u32, gfp: u32) {
    let task = current();
    let key = FailureKey { cgroup: task_cgroup(task), start_ns: start_ns(task), tgid: tgid(task), order, gfp, zero: 0 };
    let new = Failure { count: 1, comm: current_comm() };
    if FAILURES.get_ptr(key).is_none() && FAILURES.insert(key, new, BPF_NOEXIST).is_ok() {
        return;
    }
    let Some(known) = FAILURES.get_ptr_mut(key) else {
        lost(Loss::AllocFailuresFull);
        return;
    };
    // SAFETY: the map gave the pointer.
    unsafe {
        atomic_add(&raw mut (*known).count, 1);
        (*known).comm = new.comm;
    }
}
