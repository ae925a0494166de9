//! The memory cgroup whose limit was met.

use serde::{Deserialize, Serialize};

use crate::snapshot::Name;

/// What the kernel says of the cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemcgState {
    /// Use against limits.
    pub uses: Vec<MemcgUse>,
    /// Statistics of the cgroup and those below it. More than one path on kernels before 5.3, which list each cgroup.
    pub stats: Vec<MemcgStats>,
}

impl MemcgState {
    /// Use against one limit.
    pub fn of(&self, kind: UseKind) -> Option<&MemcgUse> {
        self.uses.iter().find(|u| u.kind == kind)
    }

    /// A number of the cgroup whose limit it was; bytes, or a count for `pg*` and `workingset_*`.
    pub fn stat(&self, name: &str) -> Option<u64> {
        let first = self.stats.first()?;
        first.values.iter().find(|(n, _)| n.as_str() == name).map(|(_, v)| *v)
    }

    /// The path of the cgroup whose statistics are printed first.
    pub fn path(&self) -> Option<&Name> {
        self.stats.first().map(|s| &s.path)
    }
}

/// Which use is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseKind {
    /// Memory.
    Memory,
    /// Memory and swap together (v1).
    MemorySwap,
    /// Swap (v2).
    Swap,
    /// Kernel memory (v1).
    Kmem,
}

/// Use against a limit. Source: `memory: usage 65536kB, limit 65536kB, failcnt 3656`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemcgUse {
    /// Which.
    pub kind: UseKind,
    /// Bytes in use.
    pub usage: u64,
    /// Limit in bytes; `None` if there is none.
    pub limit: Option<u64>,
    /// Times that the limit was met (v1), or `max` of `memory.events` (v2).
    pub failcnt: u64,
}

/// `memory.stat` of one cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemcgStats {
    /// Path of the cgroup.
    pub path: Name,
    /// Names and numbers as the kernel printed them; kB of old kernels were made bytes.
    pub values: Vec<(Name, u64)>,
}
