//! Each connection that ends, one by one, for the user side to say whose its last bytes were.
//!
//! It has counted an open connection up to its last look; only the record tells it how much came after that, and of a
//! connection that it never saw, whose it was. Nobody is woken: the records wait for the next look. What finds no room is
//! summed.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::bpf_get_socket_cookie,
    macros::map,
    maps::{Array, RingBuf},
};
use observer_ebpf::abi::tcp::{Birth, Closed, Ended};

use super::{
    socket::{AF_INET6, copy, route_field},
    tcp_closed::add,
};
use crate::kernel::{field, offsets, pointer};

/// `BPF_RB_NO_WAKEUP`.
const NO_WAKEUP: u64 = 1;

#[map(name = "obs_tcp_ended")]
static ENDED: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// What found no room in ENDED.
#[map(name = "obs_tcp_untold")]
static UNTOLD: Array<Closed> = Array::with_max_entries(1, 0);

/// The interface that its packets go out by; without a route the one that the last packet came in by.
#[inline(always)]
fn device(tp: *const c_void) -> u32 {
    match route_field(tp, &offsets::DST_DEV, &offsets::DEV_IFINDEX) {
        0 => field(tp, &offsets::SK_RX_IFINDEX).unwrap_or(0),
        out => out,
    }
}

/// Tells of a connection that is being destroyed.
#[inline(always)]
pub(super) fn tell(tp: *const c_void, birth: Birth, end: &Closed) {
    let Some(mut entry) = ENDED.reserve::<Ended>(0) else {
        if let Some(sum) = UNTOLD.get_ptr_mut(0) {
            add(sum, end);
        }
        return;
    };
    let to = entry.as_mut_ptr();
    let family = field::<u16>(tp, &offsets::SK_FAMILY).unwrap_or(0);
    let net = pointer(tp, &offsets::SK_NET);
    // SAFETY: the buffer has given room for a record, of which every field is written.
    unsafe {
        // SAFETY: the pointer is typed; the helper gives the socket a cookie if it has none.
        (&raw mut (*to).cookie).write(bpf_get_socket_cookie(tp.cast_mut()));
        (&raw mut (*to).bytes_acked).write(end.bytes_acked);
        (&raw mut (*to).bytes_received).write(end.bytes_received);
        (&raw mut (*to).cgroup).write(birth.cgroup);
        (&raw mut (*to).remote).write([0; 16]);
        (&raw mut (*to).comm).write(birth.comm);
        (&raw mut (*to).tgid).write(birth.tgid);
        (&raw mut (*to).netns).write(net.and_then(|net| field(net, &offsets::NET_INUM)).unwrap_or(0));
        (&raw mut (*to).retrans).write(end.retrans as u32);
        (&raw mut (*to).ifindex).write(device(tp));
        (&raw mut (*to).family).write(family);
        (&raw mut (*to).remote_port).write(u16::from_be(field(tp, &offsets::SK_DPORT).unwrap_or(0)));
        (&raw mut (*to).local_port).write(birth.local_port);
        (&raw mut (*to).direction).write(birth.direction);
        if family == AF_INET6 {
            copy(&raw mut (*to).remote, tp, &offsets::SK_V6_DADDR, 16);
        } else {
            copy(&raw mut (*to).remote, tp, &offsets::SK_DADDR, 4);
        }
    }
    entry.submit(NO_WAKEUP);
}
