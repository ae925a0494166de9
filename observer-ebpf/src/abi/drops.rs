//! Packets that the kernel dropped.

use super::plain;

/// What drops are counted by.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Address inside the function that dropped it.
    pub location: u64,
    /// `enum skb_drop_reason`; [`NO_REASON`] where the kernel passes none.
    pub reason: u32,
    /// Inode of the network namespace; 0 if unknown.
    pub netns: u32,
    /// Interface that the packet was at; 0 for none.
    pub ifindex: u32,
    /// Protocol of the packet, `ETH_P_*`; 0 for what is no packet of a network.
    pub protocol: u16,
    /// Padding.
    pub zero: u16,
}

/// The kernel does not pass the reason (before Linux 5.17).
pub const NO_REASON: u32 = u32::MAX;

plain!(Key = 24);
