//! Sockets whose buffers have no room: their own are full, or the memory of the protocol or of the cgroup is used up.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::{Array, PerCpuHashMap},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::buffers::{Key, PROTOCOL_LEN, RECEIVE_BUFFER, RECEIVE_MEMORY, SEND_MEMORY, Value};

use super::{
    BPF_NOEXIST,
    socket::{AF_INET, AF_INET6, inode},
};
use crate::kernel::{arg, atomic_add, far_field, field, offsets, pointer, socket_cgroup, typed_arg};

/// Counts of each CPU: a flood that one socket refuses on all CPUs shall not make them wait for each other.
#[map(name = "obs_buffers")]
static BUFFERS: PerCpuHashMap<Key, Value> = PerCpuHashMap::with_max_entries(256, 0);

/// What found no place in BUFFERS.
#[map(name = "obs_buf_rest")]
static OTHER: Array<u64> = Array::with_max_entries(1, 0);

/// `SK_MEM_SEND`; the other kind is `SK_MEM_RECV`.
const KIND_SEND: i32 = 0;
const ENOMEM: i32 = 12;

/// `sock:sock_rcvqueue_full(sk, skb)`: sockets that take whole packets, without UDP.
#[btf_tracepoint(function = "sock_rcvqueue_full")]
fn obs_buf_queue(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let sk = unsafe { typed_arg(ctx.as_ptr(), 0) };
    count(sk, RECEIVE_BUFFER, protocol(sk));
    0
}

/// `udp:udp_fail_queue_rcv_skb(rc, sk)`: what /proc/net/snmp has as `RcvbufErrors` and `MemErrors`.
#[btf_tracepoint(function = "udp_fail_queue_rcv_skb")]
fn obs_buf_udp(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let (error, sk) = unsafe { (arg(ctx.as_ptr(), 0) as i32, typed_arg(ctx.as_ptr(), 1)) };
    count(sk, if error == -ENOMEM { RECEIVE_BUFFER } else { RECEIVE_MEMORY }, protocol(sk));
    0
}

/// `sock:sock_exceed_buf_limit(sk, prot, allocated, kind)`.
#[btf_tracepoint(function = "sock_exceed_buf_limit")]
fn obs_buf_memory(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let (sk, kind) = unsafe { (typed_arg(ctx.as_ptr(), 0), arg(ctx.as_ptr(), 3) as i32) };
    let protocol = protocol(sk);
    if kind == KIND_SEND {
        count(sk, SEND_MEMORY, protocol);
    } else if !protocol.starts_with(b"UDP") {
        // What UDP could not receive is counted where it is dropped.
        count(sk, RECEIVE_MEMORY, protocol);
    }
    0
}

/// Name of the socket's protocol; empty if it cannot be read.
#[inline(always)]
fn protocol(sk: *const c_void) -> [u8; PROTOCOL_LEN] {
    pointer(sk, &offsets::SK_PROT).and_then(|prot| far_field(prot, &offsets::PROTO_NAME)).unwrap_or([0; PROTOCOL_LEN])
}

#[inline(always)]
fn count(sk: *const c_void, what: u8, protocol: [u8; PROTOCOL_LEN]) {
    let netns = pointer(sk, &offsets::SK_NET).and_then(|net| field(net, &offsets::NET_INUM)).unwrap_or(0);
    let key = Key { cgroup: socket_cgroup(sk).unwrap_or(0), protocol, netns, port: port(sk, &protocol), what, zero: 0 };
    if add(&key, sk) || BUFFERS.insert(key, Value { events: 1, inode: inode(sk) }, BPF_NOEXIST).is_ok() || add(&key, sk)
    {
        return;
    }
    if let Some(other) = OTHER.get_ptr_mut(0) {
        // SAFETY: the map gave the pointer.
        unsafe { atomic_add(other, 1) };
    }
}

/// Adds to a key that is there already.
#[inline(always)]
fn add(key: &Key, sk: *const c_void) -> bool {
    let Some(value) = BUFFERS.get_ptr_mut(key) else { return false };
    // SAFETY: the map gave the pointer, and the value is of this CPU; what interrupts a program counts by another key.
    unsafe {
        (*value).events += 1;
        (*value).inode = inode(sk);
    }
    true
}

/// The smaller of the ports, which as a rule is the service's. A raw socket has the number of its protocol there.
#[inline(always)]
fn port(sk: *const c_void, protocol: &[u8; PROTOCOL_LEN]) -> u16 {
    let family = field::<u16>(sk, &offsets::SK_FAMILY).unwrap_or(0);
    if (family != AF_INET && family != AF_INET6) || protocol.starts_with(b"RAW") || protocol.starts_with(b"PING") {
        return 0;
    }
    let local = field::<u16>(sk, &offsets::SK_NUM).unwrap_or(0);
    let remote = u16::from_be(field(sk, &offsets::SK_DPORT).unwrap_or(0));
    if remote == 0 || local != 0 && local < remote { local } else { remote }
}
