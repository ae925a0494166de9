//! Turns a record of the iterator into a socket of the snapshot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use observer_ebpf::abi::socket::Socket as Raw;

use crate::snapshot::{
    Name,
    tcp::{Socket, State, TcpInfo},
};

/// `TCP_INFINITE_SSTHRESH`.
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

/// What is needed to understand a record on the running kernel.
#[derive(Debug, Clone, Default)]
pub(super) struct Decoder {
    /// Read-only globals of fields that the kernel does not have.
    pub(super) missing: Vec<&'static str>,
    /// Nanoseconds of a timer tick, in which the chrono counters count; 0 if unknown.
    pub(super) tick_ns: u64,
}

impl Decoder {
    /// Decodes a record that was read in a namespace.
    pub(super) fn socket(&self, netns: u64, raw: &Raw) -> Socket {
        let mut info = self.info(raw);
        let congestion = Name::from_c_bytes(&raw.congestion);
        self.missing.iter().for_each(|symbol| clear(&mut info, symbol));
        Socket {
            cookie: raw.cookie,
            netns,
            local: (address(raw.family, raw.local), raw.local_port),
            remote: (address(raw.family, raw.remote), raw.remote_port),
            state: State::of(raw.state),
            uid: raw.uid,
            inode: raw.inode,
            owner: super::traffic::opener(raw).map(|holder| holder.owner()),
            cgroup: super::cgroup(raw.cgroup),
            congestion: (!congestion.is_empty()).then_some(congestion),
            rx_ifindex: known(raw.rx_ifindex),
            tx_ifindex: known(raw.tx_ifindex),
            txhash: known(raw.txhash),
            tx_spi: known(u32::from_be(raw.tx_spi)),
            info,
        }
    }

    fn info(&self, raw: &Raw) -> TcpInfo {
        let (busy, rwnd, sndbuf) = chrono(raw);
        let time = |ticks: u64| (self.tick_ns > 0).then(|| ticks.saturating_mul(self.tick_ns));
        let limited = |rate: u64| (rate != u64::MAX && rate != u64::from(u32::MAX)).then_some(rate);
        // Until a round trip was measured the smoothed time is zero and its deviation a guess.
        let measured = raw.srtt_8us > 0;
        let ahead = |a: u32, b: u32| u64::try_from(a.wrapping_sub(b).cast_signed()).unwrap_or(0);
        TcpInfo {
            bytes_acked: Some(raw.bytes_acked),
            bytes_sent: Some(raw.bytes_sent),
            bytes_retrans: Some(raw.bytes_retrans),
            bytes_received: Some(raw.bytes_received),
            segs_out: Some(raw.segs_out.into()),
            segs_in: Some(raw.segs_in.into()),
            retrans_segs: Some(raw.total_retrans.into()),
            srtt_ns: measured.then_some(u64::from(raw.srtt_8us) * 1000 / 8),
            min_rtt_ns: (raw.min_rtt_us != u32::MAX).then_some(u64::from(raw.min_rtt_us) * 1000),
            cwnd: Some(raw.cwnd),
            ssthresh: (raw.ssthresh < INFINITE_SSTHRESH).then_some(raw.ssthresh),
            mss: Some(raw.mss),
            snd_wnd: Some(raw.snd_wnd),
            rcv_wnd: Some(raw.rcv_wnd),
            notsent_bytes: Some(ahead(raw.write_seq, raw.snd_nxt)),
            packets_out: Some(raw.packets_out),
            pacing_rate: limited(raw.pacing_rate),
            delivery_rate: delivery_rate(raw),
            busy_ns: time(busy),
            rwnd_limited_ns: time(rwnd),
            sndbuf_limited_ns: time(sndbuf),
            backoff: Some(raw.backoff.into()),
            mdev_ns: measured.then_some(u64::from(raw.mdev_4us) * 1000 / 4),
            unacked_bytes: Some(ahead(raw.snd_nxt, raw.snd_una)),
            sacked_out: Some(raw.sacked_out),
            lost_out: Some(raw.lost_out),
            retrans_out: Some(raw.retrans_out),
            ca_state: Some(raw.ca_state),
            app_limited: Some(raw.app_limited != 0),
            max_pacing_rate: limited(raw.max_pacing_rate),
            dsack_dups: Some(raw.dsack_dups.into()),
            reord_seen: Some(raw.reord_seen.into()),
            sndbuf: Some(raw.sndbuf.into()),
            rcvbuf: Some(raw.rcvbuf.into()),
            wmem_queued: Some(raw.wmem_queued.into()),
            cwnd_limited: Some(raw.cwnd_limited != 0),
            delivered: Some(raw.delivered.into()),
            pmtu: Some(raw.pmtu),
            advmss: Some(raw.advmss.into()),
        }
    }
}

/// A number that is never 0 where it is known.
fn known(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

/// Ticks of the three chronos, with what the running one has not yet been given. The first is the sum of all three, as
/// `TCP_INFO` reports it.
fn chrono(raw: &Raw) -> (u64, u64, u64) {
    let running = raw.jiffies.wrapping_sub(raw.chrono_start);
    let ticks = |stat: u32, kind: u8| u64::from(stat) + if raw.chrono_type == kind { u64::from(running) } else { 0 };
    let (busy, rwnd, sndbuf) = (ticks(raw.chrono_busy, 1), ticks(raw.chrono_rwnd, 2), ticks(raw.chrono_sndbuf, 3));
    (busy + rwnd + sndbuf, rwnd, sndbuf)
}

/// `tcp_compute_delivery_rate`; `None` without a sample.
fn delivery_rate(raw: &Raw) -> Option<u64> {
    let bytes = u64::from(raw.rate_delivered) * u64::from(raw.mss);
    bytes.saturating_mul(1_000_000).checked_div(raw.rate_interval_us.into())
}

/// An address of the ABI; a v4-mapped one as IPv4.
pub(super) fn address(family: u16, bytes: [u8; 16]) -> IpAddr {
    if i32::from(family) == libc::AF_INET6 {
        IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
    } else {
        let [a, b, c, d, ..] = bytes;
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    }
}

/// Takes away what rests on a field that the kernel does not have.
fn clear(info: &mut TcpInfo, symbol: &str) {
    match symbol {
        "TP_BYTES_ACKED" => info.bytes_acked = None,
        "TP_BYTES_SENT" => info.bytes_sent = None,
        "TP_BYTES_RETRANS" => info.bytes_retrans = None,
        "TP_BYTES_RECEIVED" => info.bytes_received = None,
        "TP_SEGS_OUT" => info.segs_out = None,
        "TP_SEGS_IN" => info.segs_in = None,
        "TP_TOTAL_RETRANS" => info.retrans_segs = None,
        "TP_SRTT" => info.srtt_ns = None,
        "TP_MDEV" => info.mdev_ns = None,
        "TP_MIN_RTT" => info.min_rtt_ns = None,
        "TP_CWND" => info.cwnd = None,
        "TP_SSTHRESH" => info.ssthresh = None,
        "TP_MSS" => (info.mss, info.delivery_rate) = (None, None),
        "TP_SND_WND" => info.snd_wnd = None,
        "TP_RCV_WND" => info.rcv_wnd = None,
        "TP_WRITE_SEQ" => info.notsent_bytes = None,
        "TP_SND_NXT" => (info.notsent_bytes, info.unacked_bytes) = (None, None),
        "TP_SND_UNA" => info.unacked_bytes = None,
        "TP_PACKETS_OUT" => info.packets_out = None,
        "TP_SACKED_OUT" => info.sacked_out = None,
        "TP_LOST_OUT" => info.lost_out = None,
        "TP_RETRANS_OUT" => info.retrans_out = None,
        "TP_RATE_DELIVERED" | "TP_RATE_INTERVAL" => info.delivery_rate = None,
        "TP_CHRONO_BUSY" => info.busy_ns = None,
        "TP_CHRONO_RWND" => (info.busy_ns, info.rwnd_limited_ns) = (None, None),
        "TP_CHRONO_SNDBUF" => (info.busy_ns, info.sndbuf_limited_ns) = (None, None),
        "TP_CHRONO_START" | "TP_CHRONO_TYPE" => {
            (info.busy_ns, info.rwnd_limited_ns, info.sndbuf_limited_ns) = (None, None, None);
        }
        "TP_DSACK_DUPS" => info.dsack_dups = None,
        "TP_REORD_SEEN" => info.reord_seen = None,
        "TP_APP_LIMITED" => info.app_limited = None,
        "SK_PACING_RATE" => info.pacing_rate = None,
        "SK_MAX_PACING_RATE" => info.max_pacing_rate = None,
        "SK_SNDBUF" => info.sndbuf = None,
        "SK_RCVBUF" => info.rcvbuf = None,
        "SK_WMEM_QUEUED" => info.wmem_queued = None,
        "TP_CWND_LIMITED" => info.cwnd_limited = None,
        "TP_DELIVERED" => info.delivered = None,
        "TP_ADVMSS" => info.advmss = None,
        "ICSK_PMTU" => info.pmtu = None,
        "ICSK_CA_STATE" => info.ca_state = None,
        "ICSK_BACKOFF" => info.backoff = None,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use observer_ebpf::abi::fields::FIELDS;

    use super::*;
    use crate::source::kernel::maps::zeroed;

    fn raw() -> Raw {
        Raw { family: 2, state: 1, rate_interval_us: 1000, srtt_8us: 8, ..zeroed() }
    }

    #[test]
    fn the_running_chrono_is_added_and_busy_is_the_sum() {
        let (chrono_busy, chrono_rwnd, chrono_sndbuf) = (10, 20, 30);
        let raw = Raw {
            chrono_busy,
            chrono_rwnd,
            chrono_sndbuf,
            chrono_start: u32::MAX,
            jiffies: 4,
            chrono_type: 2,
            ..raw()
        };
        assert_eq!(chrono(&raw), (65, 25, 30));
    }

    #[test]
    fn what_is_unlimited_or_not_measured_is_none() {
        let raw = Raw {
            min_rtt_us: u32::MAX,
            ssthresh: INFINITE_SSTHRESH,
            pacing_rate: u64::MAX,
            rate_interval_us: 0,
            srtt_8us: 0,
            ..raw()
        };
        let info = Decoder::default().socket(0, &raw).info;
        assert_eq!((info.min_rtt_ns, info.ssthresh, info.pacing_rate, info.delivery_rate), (None, None, None, None));
        assert_eq!((info.srtt_ns, info.mdev_ns), (None, None));
        assert_eq!(info.bytes_acked, Some(0), "a zero that was read is a zero");
    }

    #[test]
    fn addresses_are_in_network_order_and_mapped_ones_are_ipv4() {
        let mut mapped = [0; 16];
        mapped[10..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        assert_eq!(address(10, mapped), IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(address(2, [127, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn a_field_that_the_kernel_lacks_takes_its_number_away() {
        for field in FIELDS.iter().filter(|f| f.container == "tcp_sock" && f.group != "first_byte") {
            let info = |missing| Decoder { missing, tick_ns: 1 }.socket(0, &raw()).info;
            let (without, with) = (info(vec![field.symbol]), info(Vec::new()));
            assert_ne!(without, with, "{} is missing and nothing shows it", field.symbol);
        }
    }
}
