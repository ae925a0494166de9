//! kswapd by node: when it works, and who asked it to.

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    kswapd::{NAP_NS, NODES, Node, Requester, RequesterKey},
    reclaim::BUCKETS,
};

use super::BPF_NOEXIST;
use crate::kernel::{arg, atomic_add, current, current_comm, log2_bucket, now, start_ns, task_cgroup, tgid};

#[map(name = "obs_kswapd_node")]
static NODE: Array<Node> = Array::with_max_entries(NODES as u32, 0);

#[map(name = "obs_kswapd_reqs")]
static REQUESTERS: HashMap<RequesterKey, Requester> = HashMap::with_max_entries(4096, 0);

/// Requests of requesters that found no place.
#[map(name = "obs_kswapd_rest")]
static OTHER: Array<u64> = Array::with_max_entries(1, 0);

/// `vmscan:mm_vmscan_kswapd_wake(nid, zid, order)`, hit by kswapd itself before each round of work.
#[btf_tracepoint(function = "mm_vmscan_kswapd_wake")]
fn obs_kswapd_wake(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let node = unsafe { arg(ctx.as_ptr(), 0) } as u32;
    let Some(node) = NODE.get_ptr_mut(node) else { return 0 };
    // SAFETY: the map gave the pointer, and a node has one kswapd.
    unsafe {
        if (*node).awake_since_ns == 0 {
            (*node).awake_since_ns = now();
            (*node).wakes += 1;
        }
    }
    0
}

/// `vmscan:mm_vmscan_kswapd_sleep(nid)`, hit by kswapd itself.
#[btf_tracepoint(function = "mm_vmscan_kswapd_sleep")]
fn obs_kswapd_sleep(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let node = unsafe { arg(ctx.as_ptr(), 0) } as u32;
    let Some(node) = NODE.get_ptr_mut(node) else { return 0 };
    // SAFETY: as above.
    unsafe {
        (*node).sleeps += 1;
        let since = (*node).awake_since_ns;
        if since != 0 {
            let awake = (now() - since).saturating_sub(NAP_NS);
            (*node).awake_ns += awake;
            let bucket = log2_bucket(awake) as usize & (BUCKETS - 1);
            atomic_add((&raw mut (*node).cycles).cast::<u64>().add(bucket), 1);
            (*node).awake_since_ns = 0;
        }
    }
    0
}

/// `vmscan:mm_vmscan_wakeup_kswapd(nid, zid, order, gfp)`, hit by the task whose request found too little free.
#[btf_tracepoint(function = "mm_vmscan_wakeup_kswapd")]
fn obs_kswapd_asked(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let (node, order, gfp) =
        unsafe { (arg(ctx.as_ptr(), 0) as u32, arg(ctx.as_ptr(), 2) as u32, arg(ctx.as_ptr(), 3) as u32) };
    let task = current();
    let key = RequesterKey { cgroup: task_cgroup(task), start_ns: start_ns(task), tgid: tgid(task), node };
    let new = Requester { requests: 1, order, gfp, comm: current_comm() };
    if REQUESTERS.get_ptr(key).is_none() && REQUESTERS.insert(key, new, BPF_NOEXIST).is_ok() {
        return 0;
    }
    if let Some(known) = REQUESTERS.get_ptr_mut(key) {
        // SAFETY: the map gave the pointer.
        unsafe {
            atomic_add(&raw mut (*known).requests, 1);
            (*known).order = order;
            (*known).gfp = gfp;
            (*known).comm = new.comm;
        }
    } else if let Some(other) = OTHER.get_ptr_mut(0) {
        // SAFETY: the map gave the pointer.
        unsafe { atomic_add(other, 1) };
    }
    0
}
