//! How long connections took to open and to bring the first byte, in stages.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::snapshot::{CgroupId, Log2Histogram, Name};

/// Handshakes and first bytes since the probes were attached. Source: `sock:inet_sock_set_state`, `tcp:tcp_probe`,
/// `tcp:tcp_rcv_space_adjust`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirstBytes {
    /// Sums. Each connection is in two of them: that of its process and that of the other end's network.
    pub list: Vec<FirstByteGroup>,
    /// True if first bytes are seen, and not handshakes alone.
    pub stages: bool,
    /// True if the wait of packets for their soft interrupt is seen. Source: `irq:softirq_{raise,entry,exit}`.
    pub softirq: bool,
}

/// Sums of connections that have something in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstByteGroup {
    /// Inode of the network namespace; 0 for what found no place in the kernel's map.
    pub netns: u64,
    /// Port of the service: the remote one of a connection begun here, else the local one; 0 as above.
    pub port: u16,
    /// True if the connections were begun here.
    pub outgoing: bool,
    /// Whose they are.
    pub who: Who,
    /// The sums.
    pub totals: FirstByteTotals,
}

/// What connections are summed by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The process that began the connection, or that reads from an accepted one.
    Process {
        /// Its name.
        comm: Name,
        /// Its memory cgroup, where known.
        cgroup: Option<CgroupId>,
    },
    /// The network that the other end is in.
    Network {
        /// Its first address; IPv4 for mapped addresses.
        address: IpAddr,
        /// Bits of the address that name the network: 24 of IPv4, 48 of IPv6.
        bits: u8,
    },
    /// Processes that found no place in the kernel's map.
    OtherProcesses,
    /// Networks that found no place in the kernel's map.
    OtherNetworks,
}

/// Sums of handshakes and first bytes. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirstByteTotals {
    /// Handshakes of connections begun here that were done.
    pub connects: u64,
    /// Connections begun here that never came to be.
    pub failed: u64,
    /// SYNs sent again.
    pub syn_retrans: u64,
    /// Time of all handshakes.
    pub connect_ns_sum: u64,
    /// Handshakes by their time.
    pub connect_ns: Log2Histogram,
    /// First bytes whose stages are known.
    pub first_bytes: u64,
    /// First bytes whose stages are not known.
    pub unstaged: u64,
    /// Time of all first bytes by stage.
    pub stages: StagesNs,
    /// First bytes by the time of all their stages.
    pub total_ns: Log2Histogram,
    /// Time that threads waited for a CPU between the begin of the connection and the reading of its first byte. Source:
    /// `task_struct.sched_info.run_delay`, as in /proc/PID/schedstat.
    pub run_delay_ns: u64,
    /// First bytes that `run_delay_ns` is known of.
    pub run_delays: u64,
}

/// Times of the stages of first bytes, summed. Where the connections were accepted here the first, `connect`, and `wire`
/// are 0, and `request` is the wait for the request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StagesNs {
    /// From the SYN to the answer.
    pub connect: u64,
    /// From the handshake until the request was sent.
    pub request: u64,
    /// A round trip of the path, the smallest that the connection had.
    pub wire: u64,
    /// From the request to the answer, without the path; of accepted connections from the reading to the answer.
    pub server: u64,
    /// From the interrupt that brought the packet to the socket.
    pub softirq: u64,
    /// From the socket to the process that reads; of accepted connections the wait to be accepted is in it.
    pub read: u64,
}
