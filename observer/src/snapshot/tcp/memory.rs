//! Memory of TCP as a whole.

use serde::{Deserialize, Serialize};

/// What TCP takes and may take. Source: /proc/net/sockstat, /proc/sys/net/ipv4/tcp_mem.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpMemory {
    /// Bytes that the buffers of all sockets of the host take.
    pub used: Option<u64>,
    /// Bytes from which the kernel begins to spare: no buffer grows any more, queues are pruned.
    pub pressure: Option<u64>,
    /// Bytes that are never passed: beyond it packets are dropped and connections are ended.
    pub max: Option<u64>,
    /// Bytes under which pressure ends.
    pub low: Option<u64>,
    /// Sockets of observer's network namespace that no process holds and that are still sending.
    pub orphans: Option<u64>,
    /// Sockets of the host that hold memory.
    pub allocated: Option<u64>,
}
