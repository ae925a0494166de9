//! How long connections take to open and to bring the first byte, and where that time goes.
//!
//! Where first bytes are not asked for only handshakes are seen. Else a connection is looked at until its first byte was read (begun here) or the first answer was acknowledged (accepted);
//! of a later packet only two counters of its socket are read.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_probe_read_kernel, generated::bpf_skc_to_tcp_sock},
    macros::{btf_tracepoint, map},
    maps::LruHashMap,
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    COMM_LEN,
    fields::ABSENT,
    first_byte::{BUCKETS, FIRST_BUCKET, Pending, STAGES, Stage, Value},
    tcp::{INCOMING, OUTGOING},
};

use super::{first_byte_groups::each_group, softirq_wait};
use crate::kernel::{
    atomic_add, constant, current, current_comm, field, now, offsets, pointer, task_cgroup, tid, typed_arg,
};

/// Connections that wait for their first byte, the least recently used forgotten.
#[map(name = "obs_fb_pending")]
static PENDING: LruHashMap<u64, Pending> = LruHashMap::with_max_entries(2048, 0);

/// 1 if first bytes are looked at; else only handshakes are.
#[unsafe(no_mangle)]
static FIRST_BYTE: u32 = 0;

pub(super) const OUT: u32 = OUTGOING as u32;
pub(super) const IN: u32 = INCOMING as u32;
/// A connection that has received so many segments is not at its first byte.
const LATE: u32 = 4096;

/// A task begins a connection: it is `current`.
#[inline(always)]
pub(super) fn opened(sk: *const c_void) {
    let task = current();
    let pending = Pending {
        opened_ns: now(),
        established_ns: 0,
        data_ns: 0,
        sent_ns: 0,
        read_ns: 0,
        softirq_ns: 0,
        run_delay_ns: field(task, &offsets::TASK_RUN_DELAY).unwrap_or(0),
        cgroup: task_cgroup(task),
        comm: current_comm(),
        tid: tid(),
        direction: OUT,
    };
    let _ = PENDING.insert(sk as u64, pending, 0);
}

/// The handshake is done.
#[inline(always)]
pub(super) fn established(sk: *const c_void) {
    let established_ns = now();
    if let Some(pending) = PENDING.get_ptr_mut(sk as u64) {
        // SAFETY: the map gave the pointer; the socket's lock is held.
        let pending = unsafe { &mut *pending };
        // An address that is used again: the last one was never seen to end.
        if pending.established_ns == 0 {
            pending.established_ns = established_ns;
            let handshake = established_ns - pending.opened_ns;
            each_group(sk, pending, |value| connected(value, handshake, syn_retrans(sk)));
            if constant(&FIRST_BYTE) == 0 {
                let _ = PENDING.remove(sk as u64);
            }
            return;
        }
    }
    if constant(&FIRST_BYTE) == 0 {
        return;
    }
    let pending = Pending {
        opened_ns: 0,
        established_ns,
        data_ns: 0,
        sent_ns: 0,
        read_ns: 0,
        softirq_ns: 0,
        run_delay_ns: 0,
        cgroup: 0,
        comm: [0; COMM_LEN],
        tid: 0,
        direction: IN,
    };
    let _ = PENDING.insert(sk as u64, pending, 0);
}

/// A connection that was begun here will not be.
#[inline(always)]
pub(super) fn failed(sk: *const c_void) {
    if let Some(pending) = PENDING.get_ptr(sk as u64) {
        // SAFETY: the map gave the pointer.
        let pending = unsafe { &*pending };
        let again = syn_retrans(sk);
        each_group(sk, pending, |value| {
            // SAFETY: the map gave the pointer.
            unsafe {
                atomic_add(&raw mut (*value).failed, 1);
                atomic_add(&raw mut (*value).syn_retrans, again);
            }
        });
    }
}

/// This side ends the connection. An answer that is under way was sent before.
#[inline(always)]
pub(super) fn closing(sk: *const c_void) {
    let Some(pending) = PENDING.get_ptr_mut(sk as u64) else { return };
    // SAFETY: the map gave the pointer; the socket's lock is held.
    let pending = unsafe { &mut *pending };
    if pending.direction == IN && pending.read_ns != 0 {
        answered(sk, tcp_sock(sk), pending);
    }
}

/// The socket is destroyed.
#[inline(always)]
pub(super) fn destroyed(sk: *const c_void) {
    let _ = PENDING.remove(sk as u64);
}

/// `tcp:tcp_probe(sk, skb)`: a segment for an established connection, before it is taken in.
#[btf_tracepoint(function = "tcp_probe")]
fn obs_fb_segment(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let (sk, skb) = unsafe { (typed_arg(ctx.as_ptr(), 0), typed_arg(ctx.as_ptr(), 1)) };
    let tp = tcp_sock(sk);
    if tp.is_null() || is_late(tp) {
        return 0;
    }
    let received = field::<u64>(tp, &offsets::TP_BYTES_RECEIVED).unwrap_or(0);
    // The SYN counts as a byte.
    if received > 0 && field::<u64>(tp, &offsets::TP_BYTES_ACKED).unwrap_or(u64::MAX) > 1 {
        return 0;
    }
    let Some(pending) = PENDING.get_ptr_mut(sk as u64) else { return 0 };
    // SAFETY: the map gave the pointer; the socket's lock is held.
    let pending = unsafe { &mut *pending };
    if pending.data_ns == 0 {
        if received == 0 && brings_data(tp, skb) {
            pending.softirq_ns = softirq_wait::waited();
            pending.sent_ns = sent_ns(tp);
            pending.data_ns = now();
        }
    } else if pending.direction == IN && pending.read_ns != 0 {
        answered(sk, tp, pending);
    }
    0
}

/// `tcp:tcp_rcv_space_adjust(sk)`: a process has taken bytes out of the socket.
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
fn obs_fb_read(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    let sk = unsafe { typed_arg(ctx.as_ptr(), 0) };
    let tp = tcp_sock(sk);
    if tp.is_null() || is_late(tp) {
        return 0;
    }
    let Some(pending) = PENDING.get_ptr_mut(sk as u64) else { return 0 };
    // SAFETY: as above.
    let pending = unsafe { &mut *pending };
    if pending.read_ns != 0 {
        return 0;
    }
    pending.read_ns = now();
    if pending.direction == IN {
        pending.cgroup = task_cgroup(current());
        pending.comm = current_comm();
        return 0;
    }
    if pending.data_ns == 0 {
        // It came in a way that hits no tracepoint, as after a shutdown of this side.
        each_group(sk, pending, |value| {
            // SAFETY: the map gave the pointer.
            unsafe { atomic_add(&raw mut (*value).unstaged, 1) };
        });
    } else {
        done(sk, tp, pending);
    }
    let _ = PENDING.remove(sk as u64);
    0
}

/// The first answer of an accepted connection is known to have been sent.
#[inline(always)]
fn answered(sk: *const c_void, tp: *const c_void, pending: &mut Pending) {
    if tp.is_null() {
        return;
    }
    let sent = sent_ns(tp);
    // What was sent before the request was read is no answer to it.
    if sent < pending.read_ns {
        return;
    }
    pending.sent_ns = sent;
    done(sk, tp, pending);
    let _ = PENDING.remove(sk as u64);
}

/// Counts a first byte.
#[inline(always)]
fn done(sk: *const c_void, tp: *const c_void, pending: &Pending) {
    let mut stages = [0u64; STAGES];
    let data = pending.data_ns.max(pending.established_ns);
    let softirq = pending.softirq_ns;
    let mut whole = 0;
    let read = pending.read_ns.saturating_sub(data);
    if pending.direction == OUT {
        let connect = pending.established_ns.saturating_sub(pending.opened_ns);
        let sent = pending.sent_ns.clamp(pending.established_ns, data);
        let answer = data - sent;
        let softirq = softirq.min(answer);
        let wire = min_rtt_ns(tp).min(answer - softirq);
        stages[Stage::Connect as usize] = connect;
        stages[Stage::Request as usize] = sent - pending.established_ns;
        stages[Stage::Wire as usize] = wire;
        stages[Stage::Server as usize] = answer - softirq - wire;
        stages[Stage::Softirq as usize] = softirq;
        whole += connect + (sent - pending.established_ns) + answer + read;
    } else {
        let request = data - pending.established_ns;
        let softirq = softirq.min(request);
        let server = pending.sent_ns.saturating_sub(pending.read_ns);
        stages[Stage::Request as usize] = request - softirq;
        stages[Stage::Softirq as usize] = softirq;
        stages[Stage::Server as usize] = server;
        whole += request + read + server;
    }
    stages[Stage::Read as usize] = read;
    // Only of the thread that opened the connection it is known how long it had waited before.
    let (run_delays, run_delay) = match field::<u64>(current(), &offsets::TASK_RUN_DELAY) {
        Some(delay) if pending.direction == OUT && pending.tid == tid() => (1, delay - pending.run_delay_ns),
        _ => (0, 0),
    };
    each_group(sk, pending, |value| {
        // SAFETY: the map gave the pointer.
        unsafe {
            atomic_add(&raw mut (*value).bytes, 1);
            for (stage, ns) in stages.iter().enumerate() {
                atomic_add(&raw mut (*value).stages_ns[stage], *ns);
            }
            atomic_add(&raw mut (*value).run_delays, run_delays);
            atomic_add(&raw mut (*value).run_delay_ns, run_delay);
            atomic_add((&raw mut (*value).total).cast::<u64>().add(bucket(whole)), 1);
        }
    });
}

#[inline(always)]
fn connected(value: *mut Value, ns: u64, again: u64) {
    // SAFETY: the map gave the pointer, and the bucket lies inside.
    unsafe {
        atomic_add(&raw mut (*value).connects, 1);
        atomic_add(&raw mut (*value).connect_ns, ns);
        atomic_add(&raw mut (*value).syn_retrans, again);
        atomic_add((&raw mut (*value).connect).cast::<u64>().add(bucket(ns)), 1);
    }
}

/// Bucket of a histogram, without a branch: the verifier would go through all that follows for each way through it.
#[inline(always)]
fn bucket(ns: u64) -> usize {
    let mut bits = ns >> FIRST_BUCKET;
    let beyond = bits >> (BUCKETS - 1);
    bits |= 0_u64.wrapping_sub((beyond | beyond.wrapping_neg()) >> 63);
    bits &= (1 << (BUCKETS - 1)) - 1;
    // All bits below the highest one are set and counted.
    for step in [1, 2, 4, 8, 16] {
        bits |= bits >> step;
    }
    bits -= bits >> 1 & 0x5555_5555;
    bits = (bits & 0x3333_3333) + (bits >> 2 & 0x3333_3333);
    bits = (bits + (bits >> 4)) & 0x0f0f_0f0f;
    (bits.wrapping_mul(0x0101_0101) >> 24) as usize & (BUCKETS - 1)
}

/// True if the segment brings the next byte that is expected.
#[inline(always)]
fn brings_data(tp: *const c_void, skb: *const c_void) -> bool {
    let (cb, seq, end) = (constant(&offsets::SKB_CB), constant(&offsets::CB_SEQ), constant(&offsets::CB_END_SEQ));
    if cb == ABSENT || seq == ABSENT || end == ABSENT {
        return false;
    }
    // SAFETY: the verifier lets `cb` be read as any integers.
    let (seq, end) = unsafe {
        (
            core::ptr::read_volatile(skb.byte_add((cb + seq) as usize).cast::<u32>()),
            core::ptr::read_volatile(skb.byte_add((cb + end) as usize).cast::<u32>()),
        )
    };
    let Some(next) = field::<u32>(tp, &offsets::TP_RCV_NXT) else { return false };
    let in_order = seq.wrapping_sub(next).cast_signed() <= 0 && end.wrapping_sub(next).cast_signed() > 0;
    in_order && (end.wrapping_sub(seq) > 1 || !is_bare_fin(skb))
}

/// True if a segment of length 1 in sequence numbers is an end of the connection and not a byte.
#[inline(always)]
fn is_bare_fin(skb: *const c_void) -> bool {
    let (Some(len), Some(header)) = (field::<u32>(skb, &offsets::SKB_LEN), pointer(skb, &offsets::SKB_DATA)) else {
        return false;
    };
    // SAFETY: the helper checks the address. The TCP header's length in words is in the upper half of byte 12.
    let words = unsafe { bpf_probe_read_kernel(header.byte_add(12).cast::<u8>()) }.unwrap_or(0) >> 4;
    len <= u32::from(words) * 4
}

/// When the oldest segment that is under way was sent, or the last one that was acknowledged. The kernel keeps it for its
/// samples of the delivery rate, on the same clock.
#[inline(always)]
fn sent_ns(tp: *const c_void) -> u64 {
    field::<u64>(tp, &offsets::TP_FIRST_TX).unwrap_or(0).wrapping_mul(1000)
}

/// The smallest round-trip time so far; 0 if none was measured.
#[inline(always)]
fn min_rtt_ns(tp: *const c_void) -> u64 {
    match field::<u32>(tp, &offsets::TP_MIN_RTT) {
        Some(u32::MAX) | None => 0,
        Some(us) => u64::from(us) * 1000,
    }
}

#[inline(always)]
fn is_late(tp: *const c_void) -> bool {
    field::<u32>(tp, &offsets::TP_SEGS_IN).is_some_and(|segments| segments > LATE)
}

/// SYNs sent again, before anything else was.
#[inline(always)]
fn syn_retrans(sk: *const c_void) -> u64 {
    let tp = tcp_sock(sk);
    if tp.is_null() { 0 } else { u64::from(field::<u32>(tp, &offsets::TP_TOTAL_RETRANS).unwrap_or(0)) }
}

/// Null for what is no TCP socket.
#[inline(always)]
fn tcp_sock(sk: *const c_void) -> *const c_void {
    // SAFETY: the pointer is typed by BTF.
    unsafe { bpf_skc_to_tcp_sock(sk.cast_mut()) }.cast::<c_void>().cast_const()
}
