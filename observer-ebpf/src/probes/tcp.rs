//! Life cycle of TCP connections by network namespace, counted where the kernel's own /proc/net/snmp counts.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::bpf_skc_to_tcp_sock,
    macros::{btf_tracepoint, map},
    maps::PerCpuHashMap,
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    losses::Loss,
    tcp::{Counts, Namespace},
};

use super::{BPF_NOEXIST, first_byte, losses::lost, tcp_closed};
use crate::kernel::{arg, constant, field, now, offsets, pointer, typed_arg};

#[map(name = "obs_tcp_netns")]
static NAMESPACES: PerCpuHashMap<Namespace, Counts> = PerCpuHashMap::with_max_entries(1024, 0);

const IPPROTO_TCP: u16 = 6;

const ESTABLISHED: u32 = 1;
const SYN_SENT: u32 = 2;
const SYN_RECV: u32 = 3;
const FIN_WAIT1: u32 = 4;
const CLOSE: u32 = 7;
const CLOSE_WAIT: u32 = 8;
const LAST_ACK: u32 = 9;
const LISTEN: u32 = 10;

/// `sock:inet_sock_set_state(sk, oldstate, newstate)`.
#[btf_tracepoint(function = "inet_sock_set_state")]
fn obs_tcp_state(ctx: BtfTracePointContext) -> i32 {
    let ctx = ctx.as_ptr();
    // SAFETY: the user side has checked the tracepoint's arguments.
    let (sk, old, new) = unsafe { (typed_arg(ctx, 0), arg(ctx, 1) as u32, arg(ctx, 2) as u32) };
    if !is_tcp(sk) {
        return 0;
    }
    let Some(counts) = counts(pointer(sk, &offsets::SK_NET)) else { return 0 };
    // SAFETY: the map gave the pointer, and the value is of this CPU.
    let counts = unsafe { &mut *counts };
    match (old, new) {
        (CLOSE, SYN_SENT) => counts.opens += 1,
        (SYN_SENT, CLOSE) if is_unsent(sk) => counts.unsent += 1,
        (LISTEN, SYN_RECV) => counts.passive += 1,
        (_, ESTABLISHED) => counts.established += 1,
        (ESTABLISHED | CLOSE_WAIT, CLOSE) => {
            counts.estab_resets += 1;
            counts.closed += 1;
        }
        (SYN_SENT | SYN_RECV | LISTEN | CLOSE, CLOSE) => {}
        (_, CLOSE) => counts.closed += 1,
        _ => {}
    }
    match (old, new) {
        (CLOSE, SYN_SENT) => {
            tcp_closed::opened(sk);
            first_byte::opened(sk);
        }
        (_, ESTABLISHED) => {
            tcp_closed::established(sk);
            first_byte::established(sk);
        }
        (_, FIN_WAIT1 | LAST_ACK) => {
            tcp_closed::closing(sk);
            first_byte::closing(sk);
        }
        (SYN_SENT, CLOSE) if !is_unsent(sk) => first_byte::failed(sk),
        _ => {}
    }
    0
}

/// `tcp:tcp_retransmit_skb(sk, skb)`: as many segments as the kernel adds to `RetransSegs`.
#[btf_tracepoint(function = "tcp_retransmit_skb")]
fn obs_tcp_retrans(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let (sk, skb) = unsafe { (typed_arg(ctx.as_ptr(), 0), typed_arg(ctx.as_ptr(), 1)) };
    let Some(segments) = segments(skb) else { return 0 };
    if let Some(counts) = counts(pointer(sk, &offsets::SK_NET)) {
        // SAFETY: as above.
        unsafe { (*counts).retrans += segments };
    }
    0
}

/// `tcp:tcp_retransmit_synack(sk, req)`: the kernel adds one to `RetransSegs`.
#[btf_tracepoint(function = "tcp_retransmit_synack")]
fn obs_tcp_synack(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let sk = unsafe { typed_arg(ctx.as_ptr(), 0) };
    if let Some(counts) = counts(pointer(sk, &offsets::SK_NET)) {
        // SAFETY: as above.
        unsafe { (*counts).retrans_synack += 1 };
    }
    0
}

/// `tcp:tcp_send_reset(sk, skb)`; without a socket the namespace is that of the device.
#[btf_tracepoint(function = "tcp_send_reset")]
fn obs_tcp_rst_sent(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let (sk, skb) = unsafe { (typed_arg(ctx.as_ptr(), 0), typed_arg(ctx.as_ptr(), 1)) };
    let net = if !sk.is_null() {
        pointer(sk, &offsets::SK_NET)
    } else if !skb.is_null() {
        pointer(skb, &offsets::SKB_DEV).and_then(|dev| pointer(dev, &offsets::DEV_NET))
    } else {
        None
    };
    if net.is_none() {
        return 0;
    }
    if let Some(counts) = counts(net) {
        // SAFETY: as above.
        unsafe { (*counts).resets_sent += 1 };
    }
    0
}

/// `tcp:tcp_receive_reset(sk)`.
#[btf_tracepoint(function = "tcp_receive_reset")]
fn obs_tcp_rst_rcvd(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let sk = unsafe { typed_arg(ctx.as_ptr(), 0) };
    if let Some(counts) = counts(pointer(sk, &offsets::SK_NET)) {
        // SAFETY: as above.
        unsafe { (*counts).resets_received += 1 };
    }
    0
}

/// True also if the kernel's structure does not tell: the tracepoint is hit by TCP far more than by anything else.
#[inline(always)]
fn is_tcp(sk: *const c_void) -> bool {
    field::<u16>(sk, &offsets::SK_PROTOCOL).unwrap_or(IPPROTO_TCP) == IPPROTO_TCP
}

/// True if no SYN has gone out: the kernel counts `ActiveOpens` when it has sent one.
#[inline(always)]
fn is_unsent(sk: *const c_void) -> bool {
    // SAFETY: the pointer is typed by BTF; the helper returns null for what is no TCP socket.
    let tp = unsafe { bpf_skc_to_tcp_sock(sk.cast_mut()) }.cast::<c_void>().cast_const();
    if tp.is_null() {
        return false;
    }
    match (field::<u32>(tp, &offsets::TP_SND_NXT), field::<u32>(tp, &offsets::TP_SND_UNA)) {
        (Some(next), Some(unacknowledged)) => next == unacknowledged,
        _ => false,
    }
}

/// Segments of a packet. Source: `TCP_SKB_CB(skb)->tcp_gso_segs`.
#[inline(always)]
fn segments(skb: *const c_void) -> Option<u64> {
    let (cb, segs) = (constant(&offsets::SKB_CB), constant(&offsets::CB_GSO_SEGS));
    if cb == u32::MAX || segs == u32::MAX {
        return None;
    }
    // SAFETY: the verifier lets `cb` be read as any integers.
    let segs = unsafe { core::ptr::read_volatile(skb.byte_add((cb + segs) as usize).cast::<u16>()) };
    Some(u64::from(segs))
}

/// Counts of a namespace on this CPU.
#[inline(always)]
fn counts(net: Option<*const c_void>) -> Option<*mut Counts> {
    let namespace = match net {
        Some(net) => Namespace {
            cookie: field(net, &offsets::NET_COOKIE).unwrap_or(0),
            inode: field(net, &offsets::NET_INUM).unwrap_or(0),
            zero: 0,
        },
        None => Namespace { cookie: 0, inode: 0, zero: 0 },
    };
    if let Some(counts) = NAMESPACES.get_ptr_mut(namespace) {
        return Some(counts);
    }
    let new = Counts { begun_ns: now(), ..Counts::default() };
    let _ = NAMESPACES.insert(namespace, new, BPF_NOEXIST);
    let counts = NAMESPACES.get_ptr_mut(namespace);
    if counts.is_none() {
        lost(Loss::TcpNamespacesFull);
    }
    counts
}
