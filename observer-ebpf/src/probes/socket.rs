//! Every open TCP socket of a network namespace, written out as fixed-size records.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::{
        bpf_get_socket_cookie, bpf_jiffies64, bpf_probe_read_kernel, bpf_seq_write, bpf_skc_to_tcp_sock,
    },
    macros::map,
    maps::{Array, PerCpuArray},
};
use observer_ebpf::abi::{
    fields::ABSENT,
    socket::{COUNTED, Counted, Socket},
};

use super::tcp_closed::birth;
use crate::kernel::{atomic_add, bits, constant, far_field, field, offsets, pointer, socket_cgroup};

pub(super) const AF_INET: u16 = 2;
pub(super) const AF_INET6: u16 = 10;
const TIME_WAIT: u8 = 6;
pub(super) const LISTEN: u8 = 10;

#[map(name = "obs_tcp_counted")]
static COUNTS: Array<u64> = Array::with_max_entries(COUNTED, 0);

#[map(name = "obs_tcp_record")]
static RECORD: PerCpuArray<Socket> = PerCpuArray::with_max_entries(1, 0);

/// `struct bpf_iter__tcp`: the layout is fixed by the kernel's interface, three words.
#[repr(C)]
pub(super) struct IterTcp {
    pub(super) meta: *const *mut c_void,
    pub(super) sk_common: *const c_void,
    pub(super) uid: u32,
}

/// Called for each socket of the namespace that opened the iterator, and once more with null at the end.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
fn obs_tcp_sockets(ctx: *const IterTcp) -> i32 {
    // SAFETY: the kernel passes a valid context; the pointers in it are typed.
    let (meta, skc, uid) = unsafe { ((*ctx).meta, (*ctx).sk_common, (*ctx).uid) };
    if skc.is_null() {
        return 0;
    }
    let state = field::<u8>(skc, &offsets::SK_STATE).unwrap_or(0);
    if state == LISTEN {
        count(Counted::Listening);
        return 0;
    }
    // SAFETY: the pointer is typed; the helper returns null for a request or a socket in TIME_WAIT.
    let tp = unsafe { bpf_skc_to_tcp_sock(skc.cast_mut()) }.cast::<c_void>().cast_const();
    if tp.is_null() {
        count(if state == TIME_WAIT { Counted::TimeWait } else { Counted::NewSynRecv });
        return 0;
    }
    let Some(record) = RECORD.get_ptr_mut(0) else { return 0 };
    // SAFETY: the map gave the pointer, and the program does not run inside itself on a CPU.
    unsafe { fill(record, tp, state, uid) };
    // SAFETY: the first member of `struct bpf_iter_meta` is the sequence file; the map's value is as long as it is told.
    unsafe { bpf_seq_write((*meta).cast(), record.cast(), size_of::<Socket>() as u32) };
    0
}

#[inline(always)]
fn count(what: Counted) {
    if let Some(counter) = COUNTS.get_ptr_mut(what as u32) {
        // SAFETY: the map gave the pointer.
        unsafe { atomic_add(counter, 1) };
    }
}

/// Fills the record field by field: as a value it would not fit beside its parts into 512 bytes of stack. A `tcp_sock`
/// begins with its `sock`, so that one pointer serves for both.
///
/// # Safety
/// `to` must be a record that nobody else uses.
#[inline(always)]
unsafe fn fill(to: *mut Socket, tp: *const c_void, state: u8, uid: u32) {
    macro_rules! put {
        ($($field:ident = $value:expr;)*) => {$(
            let value = $value;
            // SAFETY: the caller vouches for the record. Volatile, so that no value waits on the stack for the others.
            unsafe { core::ptr::write_volatile(&raw mut (*to).$field, value) };
        )*};
    }
    let birth = birth(tp);
    let word = |offset| field::<u32>(tp, offset).unwrap_or(0);
    let long = |offset| field::<u64>(tp, offset).unwrap_or(0);
    let short = |offset| field::<u16>(tp, offset).unwrap_or(0);
    put! {
        // SAFETY: the pointer is typed; the helper gives the socket a cookie if it has none.
        cookie = unsafe { bpf_get_socket_cookie(tp.cast_mut()) };
        inode = inode(tp);
        bytes_acked = long(&offsets::TP_BYTES_ACKED);
        bytes_sent = long(&offsets::TP_BYTES_SENT);
        bytes_retrans = long(&offsets::TP_BYTES_RETRANS);
        bytes_received = long(&offsets::TP_BYTES_RECEIVED);
        pacing_rate = long(&offsets::SK_PACING_RATE);
        max_pacing_rate = long(&offsets::SK_MAX_PACING_RATE);
        cgroup = socket_cgroup(tp).unwrap_or(0);
        opener_cgroup = birth.cgroup;
        opener_comm = birth.comm;
        opener = birth.tgid;
        direction = birth.direction;
        congestion = congestion(tp);
        uid = uid;
        segs_out = word(&offsets::TP_SEGS_OUT);
        segs_in = word(&offsets::TP_SEGS_IN);
        total_retrans = word(&offsets::TP_TOTAL_RETRANS);
        srtt_8us = word(&offsets::TP_SRTT);
        mdev_4us = word(&offsets::TP_MDEV);
        min_rtt_us = word(&offsets::TP_MIN_RTT);
        cwnd = word(&offsets::TP_CWND);
        ssthresh = word(&offsets::TP_SSTHRESH);
        mss = word(&offsets::TP_MSS);
        snd_wnd = word(&offsets::TP_SND_WND);
        rcv_wnd = word(&offsets::TP_RCV_WND);
        write_seq = word(&offsets::TP_WRITE_SEQ);
        snd_nxt = word(&offsets::TP_SND_NXT);
        snd_una = word(&offsets::TP_SND_UNA);
        packets_out = word(&offsets::TP_PACKETS_OUT);
        sacked_out = word(&offsets::TP_SACKED_OUT);
        lost_out = word(&offsets::TP_LOST_OUT);
        retrans_out = word(&offsets::TP_RETRANS_OUT);
        rate_delivered = word(&offsets::TP_RATE_DELIVERED);
        rate_interval_us = word(&offsets::TP_RATE_INTERVAL);
        chrono_busy = word(&offsets::TP_CHRONO_BUSY);
        chrono_rwnd = word(&offsets::TP_CHRONO_RWND);
        chrono_sndbuf = word(&offsets::TP_CHRONO_SNDBUF);
        chrono_start = word(&offsets::TP_CHRONO_START);
        // SAFETY: the helper takes no argument.
        jiffies = unsafe { bpf_jiffies64() } as u32;
        dsack_dups = word(&offsets::TP_DSACK_DUPS);
        reord_seen = word(&offsets::TP_REORD_SEEN);
        sndbuf = word(&offsets::SK_SNDBUF);
        rcvbuf = word(&offsets::SK_RCVBUF);
        delivered = word(&offsets::TP_DELIVERED);
        pmtu = word(&offsets::ICSK_PMTU);
        wmem_queued = word(&offsets::SK_WMEM_QUEUED);
        txhash = word(&offsets::SK_TXHASH);
        rx_ifindex = word(&offsets::SK_RX_IFINDEX);
        tx_ifindex = route_field(tp, &offsets::DST_DEV, &offsets::DEV_IFINDEX);
        tx_spi = route_field(tp, &offsets::DST_XFRM, &offsets::XFRM_SPI);
        family = short(&offsets::SK_FAMILY);
        local_port = short(&offsets::SK_NUM);
        remote_port = u16::from_be(short(&offsets::SK_DPORT));
        state = state;
        ca_state = bits(tp, &offsets::ICSK_CA_STATE).unwrap_or(0);
        backoff = field::<u8>(tp, &offsets::ICSK_BACKOFF).unwrap_or(0);
        chrono_type = bits(tp, &offsets::TP_CHRONO_TYPE).unwrap_or(0);
        app_limited = bits(tp, &offsets::TP_APP_LIMITED).unwrap_or(0);
        cwnd_limited = bits(tp, &offsets::TP_CWND_LIMITED).unwrap_or(0);
        advmss = short(&offsets::TP_ADVMSS);
    }
    // SAFETY: as above.
    unsafe {
        if (*to).family == AF_INET6 {
            copy(&raw mut (*to).local, tp, &offsets::SK_V6_RCV_SADDR, 16);
            copy(&raw mut (*to).remote, tp, &offsets::SK_V6_DADDR, 16);
        } else {
            copy(&raw mut (*to).local, tp, &offsets::SK_RCV_SADDR, 4);
            copy(&raw mut (*to).remote, tp, &offsets::SK_DADDR, 4);
        }
    }
}

/// Inode in sockfs; 0 if no process holds the socket.
#[inline(always)]
pub(super) fn inode(tp: *const c_void) -> u64 {
    // `struct socket_alloc` begins with the socket and goes on beyond what the pointer's type allows.
    pointer(tp, &offsets::SK_SOCKET).and_then(|socket| far_field(socket, &offsets::SOCKET_INO)).unwrap_or(0)
}

/// A word of what the socket's route points to; 0 if there is no route, or no such pointer.
#[inline(always)]
pub(super) fn route_field(tp: *const c_void, pointer_in_route: &'static u32, offset: &'static u32) -> u32 {
    let route = pointer(tp, &offsets::SK_DST).filter(|route| !route.is_null());
    route.and_then(|route| far_field(route, pointer_in_route)).and_then(|to| far_field(to, offset)).unwrap_or(0)
}

#[inline(always)]
fn congestion(tp: *const c_void) -> [u8; 16] {
    pointer(tp, &offsets::ICSK_CA_OPS).and_then(|ops| far_field(ops, &offsets::CA_NAME)).unwrap_or([0; 16])
}

/// Copies an address out of a socket.
///
/// # Safety
/// `to` must point into a record with room for so many bytes.
#[inline(always)]
pub(super) unsafe fn copy(to: *mut [u8; 16], tp: *const c_void, offset: &'static u32, len: u32) {
    let offset = constant(offset);
    if offset != ABSENT {
        // SAFETY: the helper checks the source; the caller vouches for the target.
        unsafe { bpf_probe_read_kernel(to.cast(), len, tp.byte_add(offset as usize)) };
    }
}
