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

/// One process. Source: /proc/PID/stat and /proc/PID/oom_score_adj.
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
    /// Faults that read from a device.
    pub major_faults: u64,
    /// Adjustment of the OOM score, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}
