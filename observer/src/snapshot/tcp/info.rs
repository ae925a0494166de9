//! What the kernel counts for one connection.

use serde::{Deserialize, Serialize};

/// Numbers of one connection. Source: `struct tcp_sock`, the same that `TCP_INFO` reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpInfo {
    /// Bytes that the peer acknowledged.
    pub bytes_acked: Option<u64>,
    /// Bytes sent, retransmits included.
    pub bytes_sent: Option<u64>,
    /// Bytes sent again.
    pub bytes_retrans: Option<u64>,
    /// Bytes received in order.
    pub bytes_received: Option<u64>,
    /// Segments sent.
    pub segs_out: Option<u64>,
    /// Segments received.
    pub segs_in: Option<u64>,
    /// Segments sent again.
    pub retrans_segs: Option<u64>,
    /// Smoothed round-trip time in nanoseconds. `None` also before the first was measured.
    pub srtt_ns: Option<u64>,
    /// Smallest round-trip time of the last minutes in nanoseconds.
    pub min_rtt_ns: Option<u64>,
    /// Congestion window in segments.
    pub cwnd: Option<u32>,
    /// Slow start threshold in segments; `None` also while it is infinite.
    pub ssthresh: Option<u32>,
    /// Bytes of a segment as sent now.
    pub mss: Option<u32>,
    /// Window that the peer offers, in bytes.
    pub snd_wnd: Option<u32>,
    /// Window that is offered to the peer, in bytes.
    pub rcv_wnd: Option<u32>,
    /// Bytes written and not yet sent.
    pub notsent_bytes: Option<u64>,
    /// Segments in flight as the kernel estimates.
    pub packets_out: Option<u32>,
    /// Pacing rate in bytes a second; `None` also while it is unlimited.
    pub pacing_rate: Option<u64>,
    /// Last measured delivery rate in bytes a second.
    pub delivery_rate: Option<u64>,
    /// Time with data to send, in nanoseconds. It contains the two below.
    pub busy_ns: Option<u64>,
    /// Time in which the peer's window was the limit.
    pub rwnd_limited_ns: Option<u64>,
    /// Time in which the send buffer was the limit.
    pub sndbuf_limited_ns: Option<u64>,
    /// Consecutive retransmission time-outs.
    pub backoff: Option<u32>,
    /// Mean deviation of the round-trip time in nanoseconds. `None` as above.
    pub mdev_ns: Option<u64>,
    /// Bytes sent and not acknowledged.
    pub unacked_bytes: Option<u64>,
    /// Of `packets_out`, acknowledged selectively.
    pub sacked_out: Option<u32>,
    /// Of `packets_out`, held for lost.
    pub lost_out: Option<u32>,
    /// Of `packets_out`, sent again.
    pub retrans_out: Option<u32>,
    /// The kernel's `enum tcp_ca_state`: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss.
    pub ca_state: Option<u8>,
    /// True if the last delivery rate was limited by the application.
    pub app_limited: Option<bool>,
    /// Largest pacing rate that the application allows, in bytes a second; `None` also while it is unlimited.
    pub max_pacing_rate: Option<u64>,
    /// Duplicates that the peer reported (DSACK).
    pub dsack_dups: Option<u64>,
    /// Times that reordering was seen.
    pub reord_seen: Option<u64>,
    /// Send buffer in bytes (`sk_sndbuf`).
    pub sndbuf: Option<u64>,
    /// Receive buffer in bytes (`sk_rcvbuf`).
    pub rcvbuf: Option<u64>,
    /// Bytes of memory that the write queue takes, what the kernel spends on each packet included (`sk_wmem_queued`).
    pub wmem_queued: Option<u64>,
    /// True if the congestion window was used up in the last round trip.
    pub cwnd_limited: Option<bool>,
    /// Segments delivered, those sent again counted once.
    pub delivered: Option<u64>,
    /// MTU of the path in bytes, as routes and ICMP told.
    pub pmtu: Option<u32>,
    /// Bytes of a segment that the peer was told to send at most.
    pub advmss: Option<u32>,
}
