//! One open TCP socket, as the iterator writes it.

use super::{COMM_LEN, plain};

/// A socket. A field that the kernel does not have is 0; the user side knows which.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Socket {
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Inode in sockfs.
    pub inode: u64,
    /// Bytes that the peer acknowledged.
    pub bytes_acked: u64,
    /// Bytes sent, retransmits included.
    pub bytes_sent: u64,
    /// Bytes sent again.
    pub bytes_retrans: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Pacing rate in bytes a second.
    pub pacing_rate: u64,
    /// Largest pacing rate that the application allows.
    pub max_pacing_rate: u64,
    /// Memory cgroup that the socket is charged to; 0 if none.
    pub cgroup: u64,
    /// Memory cgroup of the task that opened it; 0 if unknown.
    pub opener_cgroup: u64,
    /// Name of the process that opened it; empty if unknown.
    pub opener_comm: [u8; COMM_LEN],
    /// Name of the congestion control, ends with NUL.
    pub congestion: [u8; 16],
    /// Local address, an IPv4 one in the first four bytes.
    pub local: [u8; 16],
    /// Remote address.
    pub remote: [u8; 16],
    /// Owner.
    pub uid: u32,
    /// Segments sent.
    pub segs_out: u32,
    /// Segments received.
    pub segs_in: u32,
    /// Segments sent again.
    pub total_retrans: u32,
    /// Smoothed round-trip time in eighths of a microsecond.
    pub srtt_8us: u32,
    /// Mean deviation of it, in quarters of a microsecond.
    pub mdev_4us: u32,
    /// Smallest round-trip time in microseconds; all ones if none was measured.
    pub min_rtt_us: u32,
    /// Congestion window in segments.
    pub cwnd: u32,
    /// Slow start threshold in segments.
    pub ssthresh: u32,
    /// Bytes of a segment.
    pub mss: u32,
    /// Window that the peer offers.
    pub snd_wnd: u32,
    /// Window that is offered.
    pub rcv_wnd: u32,
    /// Sequence number after the last byte written.
    pub write_seq: u32,
    /// Sequence number of the next byte to send.
    pub snd_nxt: u32,
    /// Sequence number of the first byte that is not acknowledged.
    pub snd_una: u32,
    /// Segments in flight as sent.
    pub packets_out: u32,
    /// Of these, acknowledged selectively.
    pub sacked_out: u32,
    /// Of these, held for lost.
    pub lost_out: u32,
    /// Of these, sent again.
    pub retrans_out: u32,
    /// Segments delivered in the last rate sample.
    pub rate_delivered: u32,
    /// Microseconds that the sample took.
    pub rate_interval_us: u32,
    /// Ticks with data to send and no limit of the other two kinds.
    pub chrono_busy: u32,
    /// Ticks in which the peer's window was the limit.
    pub chrono_rwnd: u32,
    /// Ticks in which the send buffer was the limit.
    pub chrono_sndbuf: u32,
    /// Tick at which the running one began.
    pub chrono_start: u32,
    /// Tick now.
    pub jiffies: u32,
    /// Duplicates that the peer reported.
    pub dsack_dups: u32,
    /// Times that reordering was seen.
    pub reord_seen: u32,
    /// Bytes of the send buffer.
    pub sndbuf: u32,
    /// Bytes of the receive buffer.
    pub rcvbuf: u32,
    /// Segments delivered.
    pub delivered: u32,
    /// Path MTU in bytes, as routes and ICMP told.
    pub pmtu: u32,
    /// Bytes in the write queue, with what the kernel spends on them.
    pub wmem_queued: u32,
    /// Hash that the socket's packets carry.
    pub txhash: u32,
    /// Interface that the last packet came in by; 0 if none.
    pub rx_ifindex: u32,
    /// Interface that its packets go out by; 0 if it has no route at the moment.
    pub tx_ifindex: u32,
    /// SPI of the first security association that its packets go through, in network order; 0 if none.
    pub tx_spi: u32,
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// Local port.
    pub local_port: u16,
    /// Remote port.
    pub remote_port: u16,
    /// State.
    pub state: u8,
    /// `enum tcp_ca_state`.
    pub ca_state: u8,
    /// Consecutive time-outs.
    pub backoff: u8,
    /// Which chrono runs: 1 to 3, 0 for none.
    pub chrono_type: u8,
    /// 1 if the last rate sample was limited by the application.
    pub app_limited: u8,
    /// 1 if the congestion window was used up in the last round trip.
    pub cwnd_limited: u8,
    /// Bytes of a segment that the peer was told of.
    pub advmss: u16,
    /// [`OUTGOING`](super::tcp::OUTGOING) or [`INCOMING`](super::tcp::INCOMING); 0 if its begin was not seen.
    pub direction: u16,
    /// Id of the process that opened it; 0 if unknown.
    pub opener: u32,
}

/// Sockets that are counted and not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Counted {
    /// Listening.
    Listening,
    /// In TIME_WAIT.
    TimeWait,
    /// Half open, as a request of a listening socket.
    NewSynRecv,
}

/// Length of the map of [`Counted`].
pub const COUNTED: u32 = 3;

plain!(Socket = 312);
