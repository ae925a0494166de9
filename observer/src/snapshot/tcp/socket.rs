//! Open sockets.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::TcpInfo;
use crate::snapshot::{CgroupId, Name};

/// Open sockets. Source: BPF iterator `iter/tcp` in every network namespace, else `NETLINK_SOCK_DIAG`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sockets {
    /// The sockets that carry the most now, and those whose data waits; listening ones are not in it.
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
    /// Network namespaces whose turn comes with a later snapshot: to read all of them takes too long. Their sockets are in
    /// none of the numbers above.
    pub namespaces_waiting: u64,
    /// Inodes of these, some hundreds at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<u64>,
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

impl State {
    /// From the kernel's number.
    pub fn of(number: u8) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            12 => Self::NewSynRecv,
            _ => Self::Close,
        }
    }
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
    /// Index of the interface, in its network namespace, that its packets go out by: the tunnel's where the route leads
    /// through one. `None` while it has no route. Source: `sk_dst_cache`.
    #[serde(default)]
    pub tx_ifindex: Option<u32>,
    /// Hash that its packets carry, by which those of a tunnel are known again outside of it; a new one after a
    /// retransmission time-out. Source: `sk_txhash`.
    #[serde(default)]
    pub txhash: Option<u32>,
    /// SPI of the security association that its packets go through, where an IPsec policy applies to its route.
    #[serde(default)]
    pub tx_spi: Option<u32>,
    /// What the kernel counts; each `None` that this kernel does not have.
    pub info: TcpInfo,
}

/// A process that holds a socket. Source: BPF iterator `iter/task_file`, else /proc/PID/fd; for one that opened it
/// `sock:inet_sock_set_state`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Process id, in the PID namespace of observer.
    pub pid: u32,
    /// Its name.
    pub comm: Name,
    /// Memory cgroup that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<CgroupId>,
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
            tx_ifindex: None,
            txhash: None,
            tx_spi: None,
            info: TcpInfo::default(),
        }
    }
}

/// Names a connection's ends for people: `local -> remote`.
pub fn ends(socket: &Socket) -> Name {
    let show = |(ip, port): (IpAddr, u16)| std::net::SocketAddr::new(ip, port).to_string();
    Name::from(format!("{} -> {}", show(socket.local), show(socket.remote)))
}
