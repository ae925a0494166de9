//! Final numbers of connections that close, however short they were.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::bpf_skc_to_tcp_sock,
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap, LruHashMap},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::{
    COMM_LEN,
    tcp::{Birth, Closed, ClosedKey, INCOMING, OUTGOING},
};

use super::{BPF_NOEXIST, first_byte, tcp_ended};
use crate::kernel::{
    atomic_add, current, field, now, offsets, pointer, process_comm, socket_cgroup, task_cgroup, tgid, typed_arg,
};

/// Open connections, the least recently used forgotten: then the direction is taken from the ports.
#[map(name = "obs_tcp_births")]
static BIRTHS: LruHashMap<u64, Birth> = LruHashMap::with_max_entries(16384, 0);

#[map(name = "obs_tcp_closed")]
static CLOSED: HashMap<ClosedKey, Closed> = HashMap::with_max_entries(4096, 0);

/// What found no place in CLOSED.
#[map(name = "obs_tcp_rest")]
static OTHER: Array<Closed> = Array::with_max_entries(1, 0);

/// Nothing is known of it.
const UNKNOWN: Birth =
    Birth { established_ns: 0, cgroup: 0, comm: [0; COMM_LEN], tgid: 0, direction: 0, local_port: 0 };

/// A task begins a connection: it is `current`.
#[inline(always)]
pub(super) fn opened(sk: *const c_void) {
    let task = current();
    let (cgroup, tgid, comm) = (task_cgroup(task), tgid(task), process_comm(task));
    let _ = BIRTHS.insert(sk as u64, Birth { cgroup, comm, tgid, direction: OUTGOING, ..UNKNOWN }, 0);
}

/// The handshake is done.
#[inline(always)]
pub(super) fn established(sk: *const c_void) {
    let established_ns = now();
    let local_port = field::<u16>(sk, &offsets::SK_NUM).unwrap_or(0);
    if let Some(birth) = BIRTHS.get_ptr_mut(sk as u64) {
        // SAFETY: the map gave the pointer; the socket's lock is held.
        unsafe {
            (*birth).established_ns = established_ns;
            (*birth).local_port = local_port;
        }
        return;
    }
    let _ = BIRTHS.insert(sk as u64, Birth { established_ns, direction: INCOMING, local_port, ..UNKNOWN }, 0);
}

/// A task closes its side: it is `current`.
#[inline(always)]
pub(super) fn closing(sk: *const c_void) {
    if let Some(birth) = BIRTHS.get_ptr_mut(sk as u64) {
        // SAFETY: as above.
        unsafe {
            if (*birth).tgid == 0 {
                let task = current();
                (*birth).cgroup = task_cgroup(task);
                (*birth).comm = process_comm(task);
                (*birth).tgid = tgid(task);
            }
        }
    }
}

/// `tcp:tcp_destroy_sock(sk)`: also of sockets that never had a connection.
#[btf_tracepoint(function = "tcp_destroy_sock")]
fn obs_tcp_destroy(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let sk = unsafe { typed_arg(ctx.as_ptr(), 0) };
    let birth = take_birth(sk);
    first_byte::destroyed(sk);
    // SAFETY: the pointer is typed by BTF; the helper returns null for what is no TCP socket.
    let tp = unsafe { bpf_skc_to_tcp_sock(sk.cast_mut()) }.cast::<c_void>().cast_const();
    if tp.is_null() {
        return 0;
    }
    let mut end = Closed {
        connections: 1,
        bytes_acked: field(tp, &offsets::TP_BYTES_ACKED).unwrap_or(0),
        bytes_received: field(tp, &offsets::TP_BYTES_RECEIVED).unwrap_or(0),
        segs_out: u64::from(field::<u32>(tp, &offsets::TP_SEGS_OUT).unwrap_or(0)),
        retrans: u64::from(field::<u32>(tp, &offsets::TP_TOTAL_RETRANS).unwrap_or(0)),
        srtt_8us: u64::from(field::<u32>(tp, &offsets::TP_SRTT).unwrap_or(0)),
        timed: 0,
        duration_ns: 0,
    };
    // Without an answer from the peer there was no connection.
    if end.srtt_8us == 0 && end.bytes_acked == 0 && end.bytes_received == 0 {
        return 0;
    }
    if birth.established_ns != 0 {
        end.timed = 1;
        end.duration_ns = now() - birth.established_ns;
    }
    let birth =
        Birth { cgroup: if birth.cgroup != 0 { birth.cgroup } else { socket_cgroup(sk).unwrap_or(0) }, ..birth };
    count(&key(sk, birth), &end);
    tcp_ended::tell(tp, birth, &end);
    0
}

/// What is remembered of an open socket: zeros if nothing.
#[inline(always)]
pub(super) fn birth(sk: *const c_void) -> Birth {
    let mut birth = UNKNOWN;
    if let Some(known) = BIRTHS.get_ptr(sk as u64) {
        // SAFETY: the map gave the pointer.
        birth = unsafe { *known };
    }
    birth
}

/// The same, and it is forgotten with this. No `Option`, whose unset half the verifier would not let be copied.
#[inline(always)]
fn take_birth(sk: *const c_void) -> Birth {
    let mut birth = UNKNOWN;
    if let Some(known) = BIRTHS.get_ptr(sk as u64) {
        // SAFETY: the map gave the pointer.
        birth = unsafe { *known };
        let _ = BIRTHS.remove(sk as u64);
    }
    birth
}

#[inline(always)]
fn key(sk: *const c_void, birth: Birth) -> ClosedKey {
    let local = birth.local_port;
    let remote = u16::from_be(field::<u16>(sk, &offsets::SK_DPORT).unwrap_or(0));
    let direction = match birth.direction {
        // A connection that is older than the probe: the service is usually at the lower port.
        0 => {
            if remote < local {
                OUTGOING
            } else {
                INCOMING
            }
        }
        known => known,
    };
    let net = pointer(sk, &offsets::SK_NET);
    ClosedKey {
        cgroup: birth.cgroup,
        netns: net.and_then(|net| field(net, &offsets::NET_INUM)).unwrap_or(0),
        port: if direction == OUTGOING { remote } else { local },
        direction,
    }
}

#[inline(always)]
fn count(key: &ClosedKey, end: &Closed) {
    if CLOSED.get_ptr(key).is_none() && CLOSED.insert(key, end, BPF_NOEXIST).is_ok() {
        return;
    }
    if let Some(sum) = CLOSED.get_ptr_mut(key).or_else(|| OTHER.get_ptr_mut(0)) {
        add(sum, end);
    }
}

/// Adds to a sum in a map.
#[inline(always)]
pub(super) fn add(sum: *mut Closed, end: &Closed) {
    let Closed { connections, bytes_acked, bytes_received, segs_out, retrans, srtt_8us, timed, duration_ns } = *end;
    // SAFETY: the map gave the pointer.
    unsafe {
        atomic_add(&raw mut (*sum).connections, connections);
        atomic_add(&raw mut (*sum).bytes_acked, bytes_acked);
        atomic_add(&raw mut (*sum).bytes_received, bytes_received);
        atomic_add(&raw mut (*sum).segs_out, segs_out);
        atomic_add(&raw mut (*sum).srtt_8us, srtt_8us);
        if retrans != 0 {
            atomic_add(&raw mut (*sum).retrans, retrans);
        }
        if timed != 0 {
            atomic_add(&raw mut (*sum).timed, timed);
            atomic_add(&raw mut (*sum).duration_ns, duration_ns);
        }
    }
}
