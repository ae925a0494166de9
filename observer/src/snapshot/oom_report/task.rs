//! The table of processes that could have been killed.

use serde::{Deserialize, Serialize};

use crate::snapshot::Name;

/// A process. Source: the lines below `Tasks state (memory values in pages):`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    /// Thread id of the task that stands for the process.
    pub pid: u32,
    /// Process id.
    pub tgid: u32,
    /// User id.
    pub uid: u32,
    /// Bytes of its address space.
    pub total_vm: u64,
    /// Bytes in RAM.
    pub rss: u64,
    /// Anonymous part of `rss` (from 6.8).
    pub rss_anon: Option<u64>,
    /// Part of `rss` that is page cache of files (from 6.8).
    pub rss_file: Option<u64>,
    /// Part of `rss` that is shared memory or tmpfs (from 6.8).
    pub rss_shmem: Option<u64>,
    /// Bytes of its page tables (from 3.10).
    pub page_tables: Option<u64>,
    /// Bytes in swap (from 3.10).
    pub swap: Option<u64>,
    /// Its `oom_score_adj`, -1000 to 1000; scaled from `oom_adj` where the kernel is older than 2.6.36.
    pub oom_score_adj: i32,
    /// Name.
    pub comm: Name,
}
