//! Processes, as /proc shows them.

use serde::{Deserialize, Serialize};

use super::Name;

/// Processes of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Processes {
    /// The processes with the largest resident set, largest first.
    pub list: Vec<Process>,
    /// How many more there are, which are not in the list.
    pub not_listed: u64,
}

/// One process. Source: /proc/PID/stat, oom_score_adj and status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Process id, the kernel's tgid.
    pub pid: u32,
    /// Start in nanoseconds of `CLOCK_BOOTTIME`, in steps of a clock tick: with the pid it names the process for good.
    pub start_ns: u64,
    /// Name of the main thread.
    pub comm: Name,
    /// Resident set in bytes.
    pub rss: u64,
    /// Anonymous part of the resident set. Source: `RssAnon` of /proc/PID/status, as the next four.
    pub anon: Option<u64>,
    /// Part of the resident set that is file pages.
    pub file: Option<u64>,
    /// Part of the resident set that is tmpfs and shared memory.
    pub shmem: Option<u64>,
    /// Bytes in swap.
    pub swap: Option<u64>,
    /// Bytes of its page tables.
    pub page_tables: Option<u64>,
    /// Faults that read from a device: of files, and of swap. Pages that come back from swap have no tracepoint, and the
    /// kernel counts a process's wait for them (`swapin_count` of taskstats) only where `kernel.task_delayacct` is 1, which
    /// it is not by default: this is the nearest. Beside [`Self::swap`] it tells who swaps in.
    pub major_faults: u64,
    /// Adjustment of the OOM score, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}
