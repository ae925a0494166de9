//! Stacks of page allocations, sampled on demand.

use super::{COMM_LEN, plain};

/// Frames that the kernel keeps of one stack (`PERF_MAX_STACK_DEPTH`); what is deeper loses its outermost callers.
pub const DEPTH: usize = 127;

/// In [`Key::user`]: the task has no address space, so there is no user stack to walk.
pub const NO_USER_STACK: i32 = i32::MIN;

/// Whose allocations, from where.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Memory cgroup, the inode of its folder; 0 if unknown.
    pub cgroup: u64,
    /// Start of the process in nanoseconds of `CLOCK_BOOTTIME`; 0 if unknown.
    pub start_ns: u64,
    /// Process id, the kernel's tgid.
    pub tgid: u32,
    /// Number of the kernel stack; a negative one is the errno of the walk.
    pub kernel: i32,
    /// Number of the user stack; a negative one is the errno of the walk, or [`NO_USER_STACK`].
    pub user: i32,
    /// Order of the request: it asks for `2^order` pages.
    pub order: u16,
    /// 1 if the kernel refused it.
    pub failed: u16,
    /// Name of the task.
    pub comm: [u8; COMM_LEN],
}

/// Addresses of one stack, the innermost first, 0 behind the last.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Frames {
    /// Instruction pointers.
    pub addresses: [u64; DEPTH],
}

/// What passed the filter, counted exactly, one value a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Matched {
    /// Requests that were met.
    pub allocations: u64,
    /// Their pages.
    pub pages: u64,
    /// Requests that the kernel refused.
    pub failures: u64,
    /// Requests of both kinds that were sampled.
    pub samples: u64,
}

/// Index of a counter of what went wrong with a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Loss {
    /// Its kernel stack could not be walked.
    KernelWalk,
    /// Its user stack could not be walked.
    UserWalk,
    /// One of its stacks fell on the place of another one.
    Collision,
    /// One of its stacks found no place.
    StacksFull,
    /// It is not in the counts: the map of them is full.
    CountsFull,
}

/// Length of the map of losses.
pub const LOSSES: u32 = 5;

plain!(Key = 48, Frames = 1016, Matched = 32);
