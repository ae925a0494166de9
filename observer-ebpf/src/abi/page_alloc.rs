//! Page allocations by memory cgroup and process.

use super::{COMM_LEN, plain};

/// Orders that are told apart; the last one also counts all that are larger.
pub const ORDERS: usize = 12;

/// Where the failures begin in [`Value::counts`]: a power of two, so that an index is bounded by a mask.
pub const FAILED: usize = 16;

/// Length of [`Value::counts`].
pub const COUNTS: usize = 2 * FAILED;

/// Whose allocations.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Memory cgroup, the inode of its folder; 0 if unknown.
    pub cgroup: u64,
    /// Start of the process in nanoseconds of `CLOCK_BOOTTIME`, so that a pid that is used again is another key.
    pub start_ns: u64,
    /// Process id, the kernel's tgid.
    pub tgid: u32,
    /// Padding.
    pub zero: u32,
}

/// What was counted for a key.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// Name of the task that was last seen when the key was written.
    pub comm: [u8; COMM_LEN],
    /// Allocations by order from 0, failures by order from [`FAILED`].
    pub counts: [u64; COUNTS],
}

/// A CPU's write-combining slot: the counts of whoever allocated there last.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// 1 while a program changes the slot. Only programs on the slot's own CPU touch it, so plain stores order it.
    pub busy: u32,
    /// 1 if the slot holds counts of `key`.
    pub used: u32,
    /// `task->cgroups` of the owner: with the tgid the cheap identity that is compared at each event.
    pub css_set: u64,
    /// Owner of the counts.
    pub key: Key,
    /// The counts since the slot was last flushed.
    pub value: Value,
}

/// What the flush program returns: the slot was flushed.
pub const FLUSHED: u32 = 0;
/// What the flush program returns: it interrupted a program that changes the slot, and left it alone.
pub const BUSY: u32 = 1;

/// Whose requests failed, and how they were made.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FailureKey {
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// Start of the process in nanoseconds of `CLOCK_BOOTTIME`.
    pub start_ns: u64,
    /// Process id, the kernel's tgid.
    pub tgid: u32,
    /// Order of the request.
    pub order: u32,
    /// gfp flags of the request.
    pub gfp: u32,
    /// Padding.
    pub zero: u32,
}

/// Requests that failed in one way.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// How many.
    pub count: u64,
    /// Name of the task that last failed.
    pub comm: [u8; COMM_LEN],
}

plain!(Key = 24, Value = 272, Slot = 312, FailureKey = 32, Failure = 24);
