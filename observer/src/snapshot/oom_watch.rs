//! OOM kills as four sources tell them since observer began to look, and the reports that the kernel wrote of them.
//!
//! The kernel counts a kill in `oom_kill` of /proc/vmstat, then in the victim's cgroup, sends SIGKILL, marks the victim, and
//! writes `Killed process` to its log. A victim that was ending anyway is only marked.

use serde::{Deserialize, Serialize};

use super::{Stamp, oom_report::OomReport};

/// What was seen of OOM kills beside the events of the probe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OomWatch {
    /// Kills by source.
    pub counts: OomCounts,
    /// Reports of the kernel's log that became whole since the snapshot before this one, at most
    /// [`OomWatch::MOST_REPORTS`]. Each is in one snapshot only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<OomReport>,
    /// Kills that the flight recorder stored; `None` where it was not asked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<OomStored>,
}

/// What became of the kills that were to be stored, since observer began to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OomStored {
    /// Kills of which a record was begun.
    pub kills: u64,
    /// Writes that failed, of records or of what completes them.
    pub failures: u64,
}

impl OomWatch {
    /// Reports that a snapshot carries at most; what is more is in [`LogKills::not_kept`].
    pub const MOST_REPORTS: usize = 64;
}

/// OOM kills since observer began to look. `None` of a source: it cannot be read, and the coverage says why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OomCounts {
    /// When all counts began.
    pub since: Stamp,
    /// When these were read.
    pub read: Stamp,
    /// True if nobody was killed while they were read, and nothing more is awaited of the kills before.
    pub settled: bool,
    /// When the last kill was seen by any source; `None` if there was none.
    pub last_kill: Option<Stamp>,
    /// Source: `oom_kill` of /proc/vmstat.
    pub vmstat: Option<u64>,
    /// Source: the files of all cgroups.
    pub cgroups: Option<CgroupKills>,
    /// Source: the tracepoint `oom:mark_victim`.
    pub probe: Option<ProbeKills>,
    /// Source: the kernel's log.
    pub log: Option<LogKills>,
}

/// Kills that cgroups count. Source: `oom_kill` of `memory.events.local` (version 2), `memory.oom_control` (version 1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CgroupKills {
    /// Of those that are there.
    pub living: u64,
    /// Of those that were removed, when they were last read.
    pub removed: u64,
    /// Kills that no file told, but an event: of cgroups that were gone before they were read (again), and of the root of
    /// version 2, which has no such file.
    pub by_event: u64,
    /// Cgroups that are not read, because they are too many, or lack the file: their kills are unknown.
    pub not_read: u64,
}

impl CgroupKills {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.living + self.removed + self.by_event
    }
}

/// Victims that the tracepoint told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeKills {
    /// Victims that were marked.
    pub marked: u64,
    /// Events of them that found no place in the ring buffer.
    pub events_lost: u64,
}

/// Kills that the kernel's log tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogKills {
    /// Lines `Killed process`.
    pub killed: u64,
    /// Lines that say that the victim was ending already (`Skip killing`).
    pub already_exiting: u64,
    /// Records of the log that were overwritten before they were read. Source: the sequence numbers of /dev/kmsg.
    pub records_lost: u64,
    /// Reports that were read and not kept, because more came than [`OomWatch::MOST_REPORTS`].
    pub not_kept: u64,
}
