//! Packets that the kernel drops, by reason, place, namespace and interface.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::{Array, PerCpuHashMap},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::drops::{Key, NO_REASON};

use super::BPF_NOEXIST;
use crate::kernel::{arg, atomic_add, field, offsets, pointer, typed_arg};

/// Counts of each CPU: a flood that is dropped on all CPUs shall not make them wait for each other.
#[map(name = "obs_drops")]
static DROPS: PerCpuHashMap<Key, u64> = PerCpuHashMap::with_max_entries(1024, 0);

/// What found no place in DROPS.
#[map(name = "obs_drops_rest")]
static OTHER: Array<u64> = Array::with_max_entries(1, 0);

/// Namespaces have inodes from here on (`PROC_DYNAMIC_FIRST`, less the few of the initial namespaces).
const FIRST_INODE: u32 = 0xefff_ff00;

/// `skb:kfree_skb(skb, location, reason)`: consumed packets go to `consume_skb`.
#[btf_tracepoint(function = "kfree_skb")]
fn obs_drop(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let (skb, location, reason) =
        unsafe { (typed_arg(ctx.as_ptr(), 0), arg(ctx.as_ptr(), 1), arg(ctx.as_ptr(), 2) as u32) };
    count(skb, location, reason);
    0
}

/// The same before reasons were passed.
#[btf_tracepoint(function = "kfree_skb")]
fn obs_drop_at(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let (skb, location) = unsafe { (typed_arg(ctx.as_ptr(), 0), arg(ctx.as_ptr(), 1)) };
    count(skb, location, NO_REASON);
    0
}

#[inline(always)]
fn count(skb: *const c_void, location: u64, reason: u32) {
    // A packet in a queue of TCP or UDP has something else where the device was: such a pointer leads to no namespace.
    let mut ifindex = 0;
    let mut netns = 0;
    if let Some(dev) = pointer(skb, &offsets::SKB_DEV).filter(|dev| !dev.is_null()) {
        netns = pointer(dev, &offsets::DEV_NET).and_then(|net| field(net, &offsets::NET_INUM)).unwrap_or(0);
        if netns >= FIRST_INODE {
            ifindex = field(dev, &offsets::DEV_IFINDEX).unwrap_or(0);
        }
    }
    if netns < FIRST_INODE {
        let sk = pointer(skb, &offsets::SKB_SK).filter(|sk| !sk.is_null());
        let net = sk.and_then(|sk| pointer(sk, &offsets::SK_NET));
        netns = net.and_then(|net| field::<u32>(net, &offsets::NET_INUM)).unwrap_or(0);
        if netns < FIRST_INODE {
            netns = 0;
        }
    }
    let protocol = u16::from_be(field(skb, &offsets::SKB_PROTOCOL).unwrap_or(0));
    let key = Key { location, reason, netns, ifindex, protocol, zero: 0 };
    if let Some(drops) = DROPS.get_ptr_mut(key) {
        // SAFETY: the map gave the pointer, and the value is of this CPU; what interrupts a program runs after its end.
        unsafe { *drops += 1 };
        return;
    }
    if DROPS.insert(key, 1, BPF_NOEXIST).is_ok() {
        return;
    }
    // The key may have come in between, on another CPU.
    if let Some(drops) = DROPS.get_ptr_mut(key) {
        // SAFETY: as above.
        unsafe { *drops += 1 };
    } else if let Some(other) = OTHER.get_ptr_mut(0) {
        // SAFETY: the map gave the pointer.
        unsafe { atomic_add(other, 1) };
    }
}
