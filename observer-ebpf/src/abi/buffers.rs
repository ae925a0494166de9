//! Buffers of sockets that had no room.

use super::plain;

/// Length of the name of a protocol, cut at the end.
pub const PROTOCOL_LEN: usize = 16;

/// What had no room was the receive buffer of the socket itself (`SO_RCVBUF`).
pub const RECEIVE_BUFFER: u8 = 1;
/// There was no memory to receive: the limit of the protocol or of the cgroup was met.
pub const RECEIVE_MEMORY: u8 = 2;
/// There was no memory to send.
pub const SEND_MEMORY: u8 = 3;

/// What they are counted by.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Memory cgroup that the socket's buffers are charged to; 0 if unknown or none.
    pub cgroup: u64,
    /// Name of the protocol, as `struct proto` has it: `TCP`, `UDPv6`, `RAW`.
    pub protocol: [u8; PROTOCOL_LEN],
    /// Inode of the network namespace; 0 if unknown.
    pub netns: u32,
    /// Of the socket's two ports the smaller one that is not 0; 0 where the protocol has no ports.
    pub port: u16,
    /// [`RECEIVE_BUFFER`], [`RECEIVE_MEMORY`] or [`SEND_MEMORY`].
    pub what: u8,
    /// Padding.
    pub zero: u8,
}

/// Counts of a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Packets that were refused, or times that memory was.
    pub events: u64,
    /// Inode in sockfs of the last socket; 0 if it had none.
    pub inode: u64,
}

plain!(Key = 32, Value = 16);
