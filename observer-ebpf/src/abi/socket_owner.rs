//! Which process holds a socket, as the iterator over open files writes it.

use super::{COMM_LEN, plain};

/// A socket of the internet protocols in a process's table of files.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// Inode in sockfs.
    pub inode: u64,
    /// Memory cgroup of the task that was met; 0 if unknown.
    pub cgroup: u64,
    /// Process id, the kernel's tgid.
    pub tgid: u32,
    /// Padding.
    pub zero: u32,
    /// Name of the process's task that was met.
    pub comm: [u8; COMM_LEN],
}

plain!(Owner = 40);
