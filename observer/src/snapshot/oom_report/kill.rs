//! The decision, the kill and the reaper.

use serde::{Deserialize, Serialize};

use crate::snapshot::Name;

/// Whose memory it was that was full. Source: `oom-kill:constraint=`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// All of it.
    #[default]
    None,
    /// That of the nodes of a cpuset.
    Cpuset,
    /// That of the nodes of a memory policy.
    MemoryPolicy,
    /// That of a memory cgroup.
    Memcg,
    /// One that is not known here, as the kernel named it.
    Other(Name),
}

/// Which limit, and who was chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decision {
    /// Whose memory was full.
    pub constraint: Constraint,
    /// NUMA nodes that the request could use; `(null)` is every node.
    pub nodemask: Option<Name>,
    /// The trigger's cpuset.
    pub cpuset: Option<Name>,
    /// NUMA nodes of that cpuset.
    pub mems_allowed: Option<Name>,
    /// True if no cgroup's limit was met.
    pub global: bool,
    /// The cgroup whose limit was met.
    pub oom_memcg: Option<Name>,
    /// The victim's cgroup.
    pub task_memcg: Option<Name>,
    /// The victim's name.
    pub task: Option<Name>,
    /// The victim's process id.
    pub pid: Option<u32>,
    /// The victim's user id.
    pub uid: Option<u32>,
}

/// A process that was killed. Source: `Killed process`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kill {
    /// Process id.
    pub pid: u32,
    /// Name.
    pub comm: Name,
    /// The kernel's words for why: `Out of memory`, `Memory cgroup out of memory`, `Out of memory (oom_kill_allocating_task)`.
    pub reason: Name,
    /// Its badness of 0 to 1000 and more, of kernels that print it.
    pub score: Option<u64>,
    /// Bytes of its address space.
    pub total_vm: Option<u64>,
    /// Anonymous bytes in RAM.
    pub anon_rss: Option<u64>,
    /// Bytes in RAM that are page cache of files.
    pub file_rss: Option<u64>,
    /// Bytes in RAM that are shared memory or tmpfs (from 4.5).
    pub shmem_rss: Option<u64>,
    /// Its user id.
    pub uid: Option<u32>,
    /// Bytes of its page tables (from 5.4).
    pub page_tables: Option<u64>,
    /// Its `oom_score_adj` (from 5.4).
    pub oom_score_adj: Option<i32>,
}

/// A process that was chosen, and was found to be ending already. Source: `is already exiting. Skip killing the task`
/// (from 5.9).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exiting {
    /// Process id.
    pub pid: u32,
    /// Name.
    pub comm: Name,
    /// The kernel's words for why, as in [`Kill::reason`].
    pub reason: Name,
}

/// Memory that was taken from a victim before it ended. Source: `oom_reaper: reaped process`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reaped {
    /// Process id.
    pub pid: u32,
    /// Name.
    pub comm: Name,
    /// Anonymous bytes it still has; `None` if it could not be reaped.
    pub anon_rss: Option<u64>,
    /// Bytes of page cache of files it still has.
    pub file_rss: Option<u64>,
    /// Bytes of shared memory it still has.
    pub shmem_rss: Option<u64>,
}
