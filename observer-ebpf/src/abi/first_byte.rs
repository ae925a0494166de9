//! From the begin of a connection to its first byte, in stages.

use super::{COMM_LEN, plain};

/// Stages of a first byte, in the order of time. Where the connection was accepted here the stages of the other end are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// SYN sent until the answer came.
    Connect,
    /// Established until the request was sent; of an accepted connection until it came.
    Request,
    /// Round trip of the path.
    Wire,
    /// From the request to the answer, without the path; of an accepted connection from the reading to the answer.
    Server,
    /// From the interrupt to the socket, on this host.
    Softirq,
    /// From the socket to the process that reads.
    Read,
}

/// Number of [`Stage`]s.
pub const STAGES: usize = 6;

/// Buckets of a histogram: bucket `i` counts as bucket `i + FIRST_BUCKET` of a log2 histogram of nanoseconds, the first one
/// also what is shorter, the last one also what is longer.
pub const BUCKETS: usize = 32;
/// See [`BUCKETS`]: 2^9 ns are half a microsecond, 2^40 ns eighteen minutes.
pub const FIRST_BUCKET: u32 = 9;

/// A connection that has not had its first byte, by the address of its `struct sock`. Times are nanoseconds of
/// `CLOCK_MONOTONIC`, 0 for what has not happened.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Pending {
    /// The SYN was sent.
    pub opened_ns: u64,
    /// The handshake was done.
    pub established_ns: u64,
    /// The first byte came in.
    pub data_ns: u64,
    /// The request had been sent when that byte came.
    pub sent_ns: u64,
    /// A process read the first byte.
    pub read_ns: u64,
    /// Time between interrupt and socket of that byte's packet.
    pub softirq_ns: u64,
    /// Time that the task which opened it had waited for a CPU by then.
    pub run_delay_ns: u64,
    /// Memory cgroup of the task that opened it or that reads; 0 if unknown.
    pub cgroup: u64,
    /// Name of that task.
    pub comm: [u8; COMM_LEN],
    /// Thread id of that task.
    pub tid: u32,
    /// `OUTGOING` or `INCOMING`.
    pub direction: u32,
}

/// What first bytes are summed by.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Memory cgroup of a process; 0 if unknown, and for [`BY_PEER`].
    pub cgroup: u64,
    /// Name of a process, or the network that the other end is in.
    pub who: [u8; 16],
    /// Inode of the network namespace.
    pub netns: u32,
    /// Port of the service.
    pub port: u16,
    /// [`BY_PROCESS`], [`BY_PEER`].
    pub by: u8,
    /// `OUTGOING` or `INCOMING`.
    pub direction: u8,
}

/// By name and cgroup of the process that is here.
pub const BY_PROCESS: u8 = 0;
/// By the network of the other end, an IPv4 one in the first four bytes.
pub const BY_PEER: u8 = 1;
/// The same, of IPv6.
pub const BY_PEER_V6: u8 = 2;
/// Bytes of an IPv4 address that make a network.
pub const NETWORK_V4: usize = 3;
/// Bytes of an IPv6 address that make a network.
pub const NETWORK_V6: usize = 6;

/// Sums of first bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Connections begun here whose handshake was done, or accepted ones that are counted in `bytes`.
    pub connects: u64,
    /// Connections begun here that never came to be.
    pub failed: u64,
    /// SYNs sent again.
    pub syn_retrans: u64,
    /// Nanoseconds of all handshakes.
    pub connect_ns: u64,
    /// First bytes whose stages are known.
    pub bytes: u64,
    /// First bytes of which only the whole time is known; they are in no other field.
    pub unstaged: u64,
    /// Nanoseconds by [`Stage`].
    pub stages_ns: [u64; STAGES],
    /// Nanoseconds that the reading tasks waited for a CPU from the begin of the connection.
    pub run_delay_ns: u64,
    /// First bytes that `run_delay_ns` is known of.
    pub run_delays: u64,
    /// Handshakes by their time.
    pub connect: [u64; BUCKETS],
    /// First bytes by the time of all stages.
    pub total: [u64; BUCKETS],
}

plain!(Pending = 88, Key = 32, Value = 624);
