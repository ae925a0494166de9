//! Every listening TCP socket of a network namespace, written out as fixed-size records.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::{bpf_get_socket_cookie, bpf_seq_write, bpf_skc_to_tcp_sock},
    macros::map,
    maps::PerCpuArray,
};
use observer_ebpf::abi::listener::Listener;

use super::socket::{AF_INET6, IterTcp, LISTEN, copy, inode};
use crate::kernel::{field, offsets, socket_cgroup};

/// Answer of an iterator that lets the reading return with what it has.
const ENOUGH: i32 = 1;

#[map(name = "obs_tcp_listen")]
static RECORD: PerCpuArray<Listener> = PerCpuArray::with_max_entries(1, 0);

/// Called for each socket of the namespace that opened the iterator. The kernel goes through the listening ones first; with
/// the first of the others there is nothing more to see.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
fn obs_tcp_listeners(ctx: *const IterTcp) -> i32 {
    // SAFETY: the kernel passes a valid context; the pointers in it are typed.
    let (meta, skc, uid) = unsafe { ((*ctx).meta, (*ctx).sk_common, (*ctx).uid) };
    if skc.is_null() {
        return 0;
    }
    if field::<u8>(skc, &offsets::SK_STATE) != Some(LISTEN) {
        return ENOUGH;
    }
    // SAFETY: the pointer is typed; the helper returns null for what is no full socket.
    let tp = unsafe { bpf_skc_to_tcp_sock(skc.cast_mut()) }.cast::<c_void>().cast_const();
    if tp.is_null() {
        return 0;
    }
    let Some(record) = RECORD.get_ptr_mut(0) else { return 0 };
    let word = |offset| field::<u32>(tp, offset).unwrap_or(0);
    let family = field::<u16>(tp, &offsets::SK_FAMILY).unwrap_or(0);
    // SAFETY: the map gave the pointer, and the program does not run inside itself on a CPU; the helpers check what they
    // are given.
    unsafe {
        *record = Listener {
            cookie: bpf_get_socket_cookie(tp.cast_mut()),
            inode: inode(tp),
            cgroup: socket_cgroup(tp).unwrap_or(0),
            local: [0; 16],
            uid,
            queue: word(&offsets::SK_ACK_BACKLOG),
            limit: word(&offsets::SK_MAX_ACK_BACKLOG),
            drops: word(&offsets::SK_DROPS),
            family,
            port: field(tp, &offsets::SK_NUM).unwrap_or(0),
            zero: 0,
        };
        let local = &raw mut (*record).local;
        if family == AF_INET6 {
            copy(local, tp, &offsets::SK_V6_RCV_SADDR, 16);
        } else {
            copy(local, tp, &offsets::SK_RCV_SADDR, 4);
        }
        bpf_seq_write((*meta).cast(), record.cast(), size_of::<Listener>() as u32);
    }
    0
}
