//! Buffers of sockets that had no room.

use serde::{Deserialize, Serialize};

use super::{CgroupId, Name, tcp::Owner};

/// What sockets could not receive or send since the probes were attached, of all network namespaces. Source:
/// `sock:sock_rcvqueue_full`, `udp:udp_fail_queue_rcv_skb`, `sock:sock_exceed_buf_limit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Buffers {
    /// By what had no room, protocol, port, namespace and cgroup.
    pub list: Vec<Full>,
    /// What found no place in the kernel's map.
    pub other: u64,
}

/// What had no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Room {
    /// The receive buffer of the socket itself (`SO_RCVBUF`): a packet was dropped.
    #[default]
    ReceiveBuffer,
    /// The memory of the protocol or of the cgroup, to receive: a packet was dropped, or older ones made room.
    ReceiveMemory,
    /// The memory of the protocol or of the cgroup, to send: the sender waits.
    SendMemory,
}

impl Room {
    /// The word that JSON, labels and tables use.
    pub fn word(self) -> &'static str {
        match self {
            Self::ReceiveBuffer => "receive_buffer",
            Self::ReceiveMemory => "receive_memory",
            Self::SendMemory => "send_memory",
        }
    }
}

/// Sockets that had no room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Full {
    /// What was full.
    pub room: Room,
    /// Name of the protocol in the kernel (`struct proto`): `TCP`, `UDPv6`, `RAW`.
    pub protocol: Name,
    /// Of the socket's two ports the smaller one, which as a rule is the service's. `None` where the protocol has none.
    pub port: Option<u16>,
    /// Inode of the network namespace.
    pub netns: Option<u64>,
    /// Memory cgroup that the buffers are charged to, where the kernel charges them.
    pub cgroup: Option<CgroupId>,
    /// A process that holds the socket that was last without room, where known.
    pub owner: Option<Owner>,
    /// Packets that were refused, or times that memory was.
    pub events: u64,
}
