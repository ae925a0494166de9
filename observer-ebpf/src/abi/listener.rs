//! One listening TCP socket, as the iterator writes it.

use super::plain;

/// A socket that listens. A field that the kernel does not have is 0; the user side knows which.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Listener {
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Inode in sockfs.
    pub inode: u64,
    /// Memory cgroup that the socket is charged to; 0 if none.
    pub cgroup: u64,
    /// Address that it listens on, an IPv4 one in the first four bytes.
    pub local: [u8; 16],
    /// Owner.
    pub uid: u32,
    /// Connections that wait to be accepted.
    pub queue: u32,
    /// Connections that may wait.
    pub limit: u32,
    /// Connections that were refused, for any reason.
    pub drops: u32,
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// Port.
    pub port: u16,
    /// Padding.
    pub zero: u32,
}

plain!(Listener = 64);
