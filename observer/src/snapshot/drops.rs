//! Packets that the kernel dropped.

use serde::{Deserialize, Serialize};

use super::Name;

/// Packets dropped since the probe was attached, of all network namespaces. Source: `skb:kfree_skb`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drops {
    /// By reason, place, namespace and interface.
    pub list: Vec<Drop>,
    /// What found no place in the kernel's map.
    pub other: u64,
}

/// Packets dropped at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Drop {
    /// Why, as `enum skb_drop_reason` has it, in small letters: `no_socket`. `None` before Linux 5.17.
    pub reason: Option<Name>,
    /// The kernel function that dropped it. `None` if the names of functions may not be seen.
    pub function: Option<Name>,
    /// Inode of the network namespace; `None` if the packet was in none, or had left it.
    pub netns: Option<u64>,
    /// Index of the interface that the packet was at.
    pub ifindex: Option<u32>,
    /// Protocol of the packet, `ETH_P_*`: 0x0800 for IPv4. `None` for what is no packet of a network, as a message between
    /// processes.
    pub protocol: Option<u16>,
    /// Packets.
    pub packets: u64,
}
