//! Life cycle of TCP connections.

use super::{COMM_LEN, plain};

/// A network namespace. The cookie tells apart two namespaces that had the same inode one after the other.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Namespace {
    /// `net->net_cookie`; 0 if the kernel has none.
    pub cookie: u64,
    /// Inode, as `readlink /proc/PID/ns/net` shows it.
    pub inode: u32,
    /// Padding.
    pub zero: u32,
}

/// Counts of a namespace on one CPU. Each field is written by one program only, so plain additions are enough: the
/// kernel does not run a program inside itself on a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Connections begun: CLOSE to SYN_SENT.
    pub opens: u64,
    /// Of these, the ones that ended before a SYN was sent: the kernel does not count them as opened.
    pub unsent: u64,
    /// Connections accepted: a child of a listening socket.
    pub passive: u64,
    /// Connections that became established.
    pub established: u64,
    /// Connections that had been established and are closed.
    pub closed: u64,
    /// From ESTABLISHED or CLOSE_WAIT straight to CLOSE.
    pub estab_resets: u64,
    /// Segments sent again.
    pub retrans: u64,
    /// SYN-ACKs sent again.
    pub retrans_synack: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Resets received.
    pub resets_received: u64,
    /// When the namespace was first seen, in nanoseconds of `CLOCK_MONOTONIC`, on the CPU that saw it; 0 on the others.
    pub begun_ns: u64,
}

/// What is remembered of an open connection, by the address of its `struct sock`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Birth {
    /// When it became established, in nanoseconds of `CLOCK_MONOTONIC`; 0 if it has not.
    pub established_ns: u64,
    /// Memory cgroup of the task that opened or closed it; 0 if unknown.
    pub cgroup: u64,
    /// Name of that task's process; empty if unknown.
    pub comm: [u8; COMM_LEN],
    /// Its process id, the kernel's tgid; 0 if unknown.
    pub tgid: u32,
    /// [`OUTGOING`] or [`INCOMING`].
    pub direction: u16,
    /// Local port, which the kernel has given back when the socket is destroyed.
    pub local_port: u16,
}

/// The connection was begun here.
pub const OUTGOING: u16 = 1;
/// The connection was accepted here.
pub const INCOMING: u16 = 2;

/// What closed connections are summed by.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClosedKey {
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// Inode of the network namespace.
    pub netns: u32,
    /// Port of the service.
    pub port: u16,
    /// [`OUTGOING`] or [`INCOMING`].
    pub direction: u16,
}

/// Final numbers of closed connections, summed.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Closed {
    /// Connections.
    pub connections: u64,
    /// Bytes that the peers acknowledged.
    pub bytes_acked: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Segments sent.
    pub segs_out: u64,
    /// Segments sent again.
    pub retrans: u64,
    /// Smoothed round-trip times, in eighths of a microsecond.
    pub srtt_8us: u64,
    /// Connections that were seen to become established.
    pub timed: u64,
    /// Nanoseconds from then to the end.
    pub duration_ns: u64,
}

/// One connection that has ended.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Bytes that the peer acknowledged.
    pub bytes_acked: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// Remote address, an IPv4 one in the first four bytes.
    pub remote: [u8; 16],
    /// Name of the process that opened or closed it; empty if unknown.
    pub comm: [u8; COMM_LEN],
    /// Its id; 0 if unknown.
    pub tgid: u32,
    /// Inode of the network namespace.
    pub netns: u32,
    /// Segments sent again.
    pub retrans: u32,
    /// Interface that its packets went out by, or else came in by; 0 if unknown.
    pub ifindex: u32,
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// Remote port.
    pub remote_port: u16,
    /// Local port; 0 if its begin was not seen.
    pub local_port: u16,
    /// [`OUTGOING`] or [`INCOMING`]; 0 if its begin was not seen.
    pub direction: u16,
}

plain!(Namespace = 16, Counts = 88, Birth = 40, ClosedKey = 16, Closed = 64, Ended = 88);
