//! Final numbers of connections that have closed.

use serde::{Deserialize, Serialize};

use crate::snapshot::CgroupId;

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
