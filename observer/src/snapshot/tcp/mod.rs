//! TCP: the kernel's own counters, the life cycle of connections, and the sockets that are open.

mod closed;
mod counters;
mod first_byte;
mod info;
mod listener;
mod memory;
mod socket;
mod traffic;

pub use closed::{Closed, ClosedGroup, ClosedTotals};
pub use counters::{NamespaceCounts, Netstat, Snmp};
pub use first_byte::{FirstByteGroup, FirstByteTotals, FirstBytes, StagesNs, Who};
pub use info::TcpInfo;
pub use listener::Listener;
pub use memory::TcpMemory;
pub use socket::{Owner, Socket, SocketTotals, Sockets, State, ends};
pub use traffic::{Device, Network, Service, Share, Traffic, TrafficTotals};

use serde::{Deserialize, Serialize};

/// All that is known of TCP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tcp {
    /// Counters of observer's own network namespace. Source: /proc/net/snmp.
    pub snmp: Option<Snmp>,
    /// More counters of the same namespace. Source: /proc/net/netstat.
    pub netstat: Option<Netstat>,
    /// Memory of TCP as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<TcpMemory>,
    /// Life cycle by network namespace, since the probes were attached.
    pub namespaces: Option<Vec<NamespaceCounts>>,
    /// Final numbers of closed connections.
    pub closed: Option<Closed>,
    /// Sockets that are open.
    pub sockets: Option<Sockets>,
    /// What all connections carried, by process, cgroup, network, service and device.
    pub traffic: Option<Traffic>,
    /// How long connections took to open and to bring the first byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bytes: Option<FirstBytes>,
    /// Sockets that listen, at most a thousand: those that refused most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Vec<Listener>>,
}
