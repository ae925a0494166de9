//! TCP: the kernel's own counters, the life cycle of connections, and the sockets that are open.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{CgroupId, Name, fields::kernel_fields};

/// All that is known of TCP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tcp {
    /// Counters of observer's own network namespace. Source: /proc/net/snmp.
    pub snmp: Option<Snmp>,
    /// More counters of the same namespace. Source: /proc/net/netstat.
    pub netstat: Option<Netstat>,
    /// Life cycle by network namespace, since the probes were attached.
    pub namespaces: Option<Vec<NamespaceCounts>>,
    /// Final numbers of closed connections.
    pub closed: Option<Closed>,
    /// Sockets that are open.
    pub sockets: Option<Sockets>,
}

kernel_fields! {
    /// Line `Tcp` of /proc/net/snmp (RFC 4022), since the namespace was made.
    pub struct Snmp {
        /// Connections begun from here.
        "ActiveOpens" => active_opens (one),
        /// Connections accepted.
        "PassiveOpens" => passive_opens (one),
        /// Connections that never came to be.
        "AttemptFails" => attempt_fails (one),
        /// Established connections that ended by a reset.
        "EstabResets" => estab_resets (one),
        /// Connections that are established now.
        "CurrEstab" => curr_estab (one),
        /// Segments received.
        "InSegs" => in_segs (one),
        /// Segments sent, without retransmits.
        "OutSegs" => out_segs (one),
        /// Segments sent again.
        "RetransSegs" => retrans_segs (one),
        /// Segments received that were bad.
        "InErrs" => in_errs (one),
        /// Resets sent.
        "OutRsts" => out_rsts (one),
    }
}

kernel_fields! {
    /// Line `TcpExt` of /proc/net/netstat, since the namespace was made.
    pub struct Netstat {
        /// Connections refused because the accept queue was full.
        "ListenOverflows" => listen_overflows (one),
        /// Connections refused by a listening socket for any reason.
        "ListenDrops" => listen_drops (one),
        /// Retransmission time-outs.
        "TCPTimeouts" => timeouts (one),
        /// SYN segments sent again.
        "TCPSynRetrans" => syn_retrans (one),
        /// Retransmits that turned out not to be needed, as the peer said (DSACK).
        "TCPDSACKRecv" => dsack_recv (one),
        /// Tail loss probes sent.
        "TCPLossProbes" => loss_probes (one),
        /// Retransmits that the kernel could not send.
        "TCPRetransFail" => retrans_fail (one),
        /// Times the receive window went to zero.
        "TCPToZeroWindowAdv" => to_zero_window_adv (one),
        /// Times the receive queue was pruned for want of memory.
        "PruneCalled" => prune_called (one),
        /// Segments dropped because the receive queue was full.
        "TCPRcvQDrop" => rcv_q_drop (one),
        /// Times TCP as a whole entered memory pressure.
        "TCPMemoryPressures" => memory_pressures (one),
        /// Connections that ended because no memory was to be had.
        "TCPAbortOnMemory" => abort_on_memory (one),
    }
}

/// Life cycle of one network namespace's connections. Source: tracepoints `sock:inet_sock_set_state`,
/// `tcp:tcp_retransmit_skb`, `tcp:tcp_retransmit_synack`, `tcp:tcp_send_reset`, `tcp:tcp_receive_reset`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceCounts {
    /// Inode of the network namespace, as `readlink /proc/PID/ns/net` shows it.
    pub netns: u64,
    /// Connections begun from here; equals `ActiveOpens` of snmp.
    pub active_opens: u64,
    /// Connections accepted; equals `PassiveOpens` of snmp.
    pub passive_opens: u64,
    /// Connections that never came to be; equals `AttemptFails` of snmp. `None` if it cannot be derived on this kernel.
    pub attempt_fails: Option<u64>,
    /// Established connections that ended by a reset; equals `EstabResets` of snmp. `None` as above.
    pub estab_resets: Option<u64>,
    /// Connections that became established.
    pub established: u64,
    /// Connections that were established and have closed.
    pub closed: u64,
    /// Segments sent again; equals `RetransSegs` of snmp. `None` if segments could not be counted.
    pub retrans_segs: Option<u64>,
    /// Resets sent.
    pub resets_sent: Option<u64>,
    /// Resets received.
    pub resets_received: Option<u64>,
}

/// Final numbers of connections that have closed since the probes were attached. Source: `tcp:tcp_destroy_sock`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Closed {
    /// By process and remote port.
    pub list: Vec<ClosedGroup>,
    /// What found no place in the kernel's map.
    pub other: ClosedTotals,
}

/// Closed connections of one namespace, port and cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClosedGroup {
    /// Inode of the network namespace.
    pub netns: u64,
    /// The service's port: the remote one of a connection begun here, else the local one.
    pub port: u16,
    /// True if the connection was begun here.
    pub outgoing: bool,
    /// Memory cgroup of the task that closed it, where known.
    pub cgroup: Option<CgroupId>,
    /// Sums.
    pub totals: ClosedTotals,
}

/// Sums over closed connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClosedTotals {
    /// Connections.
    pub connections: u64,
    /// Bytes that the peer acknowledged.
    pub bytes_acked: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Segments sent, retransmits included.
    pub segs_out: u64,
    /// Segments sent again.
    pub retrans_segs: u64,
    /// Smoothed round-trip times at the end, summed, in nanoseconds: divide by connections for the mean.
    pub srtt_ns_sum: u64,
    /// Connections that were seen from their handshake on.
    pub timed: u64,
    /// Time from handshake to end, summed, in nanoseconds: divide by `timed` for the mean.
    pub duration_ns_sum: u64,
}

/// Open sockets. Source: BPF iterator `iter/tcp` in every network namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sockets {
    /// The sockets that carried the most bytes; listening ones are not in it.
    pub list: Vec<Socket>,
    /// Sockets beyond the limit of one snapshot, summed.
    pub other: SocketTotals,
    /// Listening sockets.
    pub listening: u64,
    /// Connections in TIME_WAIT.
    pub time_wait: u64,
    /// Half-open connections, requests of a listening socket.
    pub syn_recv: u64,
    /// Network namespaces that were read.
    pub namespaces: u64,
    /// Network namespaces that could not be entered.
    pub namespaces_not_read: u64,
}

/// Sums over sockets that are not listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SocketTotals {
    /// Sockets.
    pub sockets: u64,
    /// Bytes that the peers acknowledged.
    pub bytes_acked: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Segments sent again.
    pub retrans_segs: u64,
}

/// State of a connection (RFC 9293; numbers of the kernel's `enum` in net/tcp_states.h).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
#[expect(missing_docs, reason = "the names are those of RFC 9293")]
pub enum State {
    Established,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    #[default]
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    NewSynRecv,
}

/// One open socket: what `tcp_sock` has counted since the connection began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Socket {
    /// `SO_COOKIE`: names the socket for as long as the host is up.
    pub cookie: u64,
    /// Inode of its network namespace.
    pub netns: u64,
    /// Local address. A v4-mapped address is given as IPv4.
    pub local: (IpAddr, u16),
    /// Remote address.
    pub remote: (IpAddr, u16),
    /// State of the connection.
    pub state: State,
    /// Owner.
    pub uid: u32,
    /// Inode in sockfs, as `readlink /proc/PID/fd/N` shows it; 0 if no process holds it.
    pub inode: u64,
    /// A process that holds it; `None` if none does, or if they could not be read.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// Memory cgroup that its buffers are charged to, where the kernel charges them.
    #[serde(default)]
    pub cgroup: Option<CgroupId>,
    /// Name of its congestion control.
    #[serde(default)]
    pub congestion: Option<Name>,
    /// Index of the interface, in its network namespace, that its last packet came in by.
    #[serde(default)]
    pub rx_ifindex: Option<u32>,
    /// What the kernel counts; each `None` that this kernel does not have.
    pub info: TcpInfo,
}

/// A process that holds a socket. Source: BPF iterator `iter/task_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id, in the PID namespace of observer.
    pub pid: u32,
    /// Its name.
    pub comm: Name,
}

impl Socket {
    /// An established connection of which nothing else is known.
    pub fn new(cookie: u64, netns: u64, local: (IpAddr, u16), remote: (IpAddr, u16)) -> Self {
        Self {
            cookie,
            netns,
            local,
            remote,
            state: State::Established,
            uid: 0,
            inode: 0,
            owner: None,
            cgroup: None,
            congestion: None,
            rx_ifindex: None,
            info: TcpInfo::default(),
        }
    }
}

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
    /// Smoothed round-trip time in nanoseconds.
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
    /// Mean deviation of the round-trip time in nanoseconds.
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

/// Names a connection's ends for people: `local -> remote`.
pub fn ends(socket: &Socket) -> Name {
    let show = |(ip, port): (IpAddr, u16)| std::net::SocketAddr::new(ip, port).to_string();
    Name::from(format!("{} -> {}", show(socket.local), show(socket.remote)))
}
