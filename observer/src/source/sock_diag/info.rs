//! `struct tcp_info` of linux/tcp.h. Fields are only ever added at its end: what the running kernel does not have is beyond
//! the end of what it sent.

use crate::{
    snapshot::tcp::TcpInfo,
    source::netlink::attribute::{u32_of, u64_of},
};

/// `TCP_INFINITE_SSTHRESH`.
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

/// What `TcpInfo` has and `struct tcp_info` has not, on any kernel.
pub(super) const NOT_TOLD: &str = "it does not tell of a connection whether its congestion window was used up, by which interfaces and \
    security association its packets come and go, and the hash that they carry";

/// What this kernel's `struct tcp_info` is too short for, judged by one connection.
pub(super) fn too_young(info: &TcpInfo) -> Vec<&'static str> {
    let fields = [
        (info.busy_ns.is_none(), "time by limit"),
        (info.delivered.is_none(), "delivered segments"),
        (info.bytes_sent.is_none(), "bytes sent and sent again"),
        (info.dsack_dups.is_none(), "reordering"),
        (info.snd_wnd.is_none(), "the peer's window"),
        (info.rcv_wnd.is_none(), "the window that is offered"),
    ];
    fields.into_iter().filter_map(|(missing, name)| missing.then_some(name)).collect()
}

/// Decodes as much of it as there is.
pub(super) fn decode(bytes: &[u8]) -> TcpInfo {
    let byte = |at: usize| bytes.get(at).copied();
    let word = |at: usize| u32_of(bytes.get(at..at + 4)?);
    let long = |at: usize| u64_of(bytes.get(at..at + 8)?);
    let count = |at: usize| word(at).map(u64::from);
    let micros = |at: usize| count(at).map(|us| us * 1000);
    let long_micros = |at: usize| long(at).map(|us| us.saturating_mul(1000));
    let limited = |at: usize| long(at).filter(|rate| *rate != u64::MAX && *rate != u64::from(u32::MAX));
    TcpInfo {
        ca_state: byte(1),
        backoff: byte(4).map(u32::from),
        // The first bit of a bit field: the lowest one on little-endian machines.
        app_limited: byte(7).map(|bits| bits & if cfg!(target_endian = "little") { 1 } else { 0x80 } != 0),
        mss: word(16),
        packets_out: word(24),
        sacked_out: word(28),
        lost_out: word(32),
        retrans_out: word(36),
        pmtu: word(60),
        // Until a round trip was measured the smoothed time is zero and its deviation a guess.
        srtt_ns: micros(68).filter(|ns| *ns > 0),
        mdev_ns: micros(72).filter(|_| word(68) != Some(0)),
        ssthresh: word(76).filter(|ssthresh| *ssthresh < INFINITE_SSTHRESH),
        cwnd: word(80),
        advmss: word(84),
        retrans_segs: count(100),
        pacing_rate: limited(104),
        max_pacing_rate: limited(112),
        bytes_acked: long(120),
        bytes_received: long(128),
        segs_out: count(136),
        segs_in: count(140),
        notsent_bytes: count(144),
        min_rtt_ns: micros(148).filter(|ns| *ns != u64::from(u32::MAX) * 1000),
        // Zero stands for no sample.
        delivery_rate: long(160).filter(|rate| *rate > 0),
        busy_ns: long_micros(168),
        rwnd_limited_ns: long_micros(176),
        sndbuf_limited_ns: long_micros(184),
        delivered: count(192),
        bytes_sent: long(200),
        bytes_retrans: long(208),
        dsack_dups: count(216),
        reord_seen: count(220),
        snd_wnd: word(228),
        rcv_wnd: word(232),
        // From elsewhere, or not to be had.
        unacked_bytes: None,
        sndbuf: None,
        rcvbuf: None,
        wmem_queued: None,
        cwnd_limited: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_kernel_that_sends_less_has_fewer_fields() {
        // The length on Linux 4.9, which ends with the delivery rate's forerunner.
        let old = decode(&[1; 160]);
        assert_eq!(
            (old.bytes_acked, old.delivery_rate, old.busy_ns, old.snd_wnd),
            (Some(0x0101_0101_0101_0101), None, None, None)
        );
        assert_eq!(old.min_rtt_ns, Some(0x0101_0101 * 1000));
        assert_eq!(too_young(&old).len(), 6);
        assert_eq!(
            (too_young(&decode(&[1; 232])), too_young(&decode(&[1; 236]))),
            (vec!["the window that is offered"], vec![])
        );
    }

    #[test]
    fn what_is_unlimited_or_not_measured_is_none() {
        let mut bytes = [0; 248];
        bytes[76..80].copy_from_slice(&INFINITE_SSTHRESH.to_ne_bytes());
        bytes[104..120].fill(0xff);
        bytes[148..152].fill(0xff);
        let info = decode(&bytes);
        assert_eq!((info.ssthresh, info.pacing_rate, info.max_pacing_rate), (None, None, None));
        assert_eq!((info.srtt_ns, info.mdev_ns), (None, None));
        assert_eq!((info.min_rtt_ns, info.delivery_rate, info.bytes_acked), (None, None, Some(0)));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_values_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
        }
    }
}
