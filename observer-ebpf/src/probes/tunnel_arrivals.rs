//! Packets that come in: as the driver gives them, and as the protocols get them, put together.

use core::ffi::c_void;

use aya_ebpf::{EbpfContext as _, macros::btf_tracepoint, programs::BtfTracePointContext};

use super::{
    tunnel::device,
    tunnel_sample::{ARRIVAL, COUNTED, RECEIPT, add, due, size},
};
use crate::kernel::{offsets, pointer, typed_arg};

/// `net:napi_gro_receive_entry(skb)`: a packet before it is put together with others.
#[btf_tracepoint(function = "napi_gro_receive_entry")]
fn obs_tun_arrive(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let skb = unsafe { typed_arg(ctx.as_ptr(), 0) };
    received(skb, ARRIVAL);
    0
}

/// `net:netif_receive_skb(skb)`: a packet as the protocols get it.
#[btf_tracepoint(function = "netif_receive_skb")]
fn obs_tun_receive(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let skb = unsafe { typed_arg(ctx.as_ptr(), 0) };
    received(skb, RECEIPT);
    0
}

#[inline(always)]
fn received(skb: *const c_void, place: u32) {
    if !due(place) {
        return;
    }
    let Some(dev) = pointer(skb, &offsets::SKB_DEV) else { return };
    let Some(counted) = COUNTED.get_ptr_mut(device(dev)) else { return };
    let size = size(skb);
    // SAFETY: the map gave the pointer.
    unsafe {
        let to = if place == ARRIVAL { &raw mut (*counted).arrived } else { &raw mut (*counted).received };
        add(to, &size);
    }
}
