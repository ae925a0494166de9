//! OOM kills: one event each, through the ring buffer.

use super::{COMM_LEN, plain, reclaim::Last};

/// A task in an event.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// Process id, the kernel's tgid; 0 if unknown.
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name; empty if unknown.
    pub comm: [u8; COMM_LEN],
}

/// A victim was marked.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// Number of this kill since the probe was attached, from 1.
    pub sequence: u64,
    /// The task whose request led to the kill.
    pub trigger: Task,
    /// The task that was killed.
    pub victim: Task,
    /// The trigger's last reclaim; its kind is 0 if none was seen.
    pub reclaim: Last,
}

plain!(Task = 32, Event = 120);
