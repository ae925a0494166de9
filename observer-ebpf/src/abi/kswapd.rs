//! kswapd by node, and who woke it.

use super::{COMM_LEN, plain, reclaim::BUCKETS};

/// NUMA nodes that are told apart; a power of two, so that an index is bounded by a mask.
pub const NODES: usize = 64;

/// How long kswapd waits for new requests before it sleeps in earnest (`HZ / 10` in `kswapd_try_to_sleep`). The
/// tracepoint is hit after the wait, which is taken off the time that it worked.
pub const NAP_NS: u64 = 100_000_000;

/// One node's kswapd. Only that kswapd writes it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// Times it began to work.
    pub wakes: u64,
    /// Times it went to sleep.
    pub sleeps: u64,
    /// Nanoseconds of work that has ended.
    pub awake_ns: u64,
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`; 0 while it sleeps.
    pub awake_since_ns: u64,
    /// Histogram of nanoseconds of the cycles that have ended.
    pub cycles: [u64; BUCKETS],
}

/// Who asked.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequesterKey {
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// Start of the process in nanoseconds of `CLOCK_BOOTTIME`.
    pub start_ns: u64,
    /// Process id, the kernel's tgid.
    pub tgid: u32,
    /// NUMA node that was asked.
    pub node: u32,
}

/// What was asked.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Requester {
    /// Requests.
    pub requests: u64,
    /// Order of the last one.
    pub order: u32,
    /// gfp flags of the last one.
    pub gfp: u32,
    /// Name of the task that last asked.
    pub comm: [u8; COMM_LEN],
}

plain!(Node = 544, RequesterKey = 24, Requester = 32);
