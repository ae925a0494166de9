//! OOM kills. Source: tracepoint `oom:mark_victim`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{CgroupId, Name, oom_report::Frame, reclaim::ReclaimKind};

/// Kills since the probes were attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Oom {
    /// Victims marked, counted in the kernel: exact also when an event was lost.
    pub kills: u64,
    /// Events that found no place in the ring buffer.
    pub events_lost: u64,
    /// The last kills, oldest first, at most [`Oom::KEPT`].
    pub recent: VecDeque<OomKill>,
}

impl Oom {
    /// Kills that a snapshot carries.
    pub const KEPT: usize = 64;
}

/// One kill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OomKill {
    /// When the victim was marked, in nanoseconds of `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// Number of this kill since the probes were attached, from 1.
    pub sequence: u64,
    /// The task whose request led to the kill.
    pub trigger: OomTask,
    /// The task that was killed.
    pub victim: OomTask,
    /// The trigger's last reclaim before the kill.
    pub last_reclaim: Option<OomReclaim>,
    /// The last round of reclaim that the allocator thought of for the trigger; `None` if there was none: a cgroup's limit
    /// leads to no such rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_retry: Option<OomRetry>,
    /// The trigger's call chain in the kernel, innermost first, at most [`OomKill::FRAMES`]. `None` if the kernel gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<Vec<Frame>>,
}

impl OomKill {
    /// Functions of the call chain that an event holds at most.
    pub const FRAMES: usize = 32;
}

/// A round of reclaim that the allocator thought of before it gave up. Source: `oom:reclaim_retry_zone`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OomRetry {
    /// Nanoseconds from it to the kill.
    pub before_ns: u64,
    /// Order of the request.
    pub order: u32,
    /// Rounds before it that had freed nothing (`no_progress_loops`).
    pub loops: u32,
    /// True if the zone would have had enough, if everything that can be reclaimed were (`wmark_check`).
    pub zone_would_do: bool,
    /// Bytes that the zone had free or could reclaim.
    pub available_bytes: u64,
    /// The min watermark of the zone, in bytes.
    pub min_bytes: u64,
}

/// A task in a kill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OomTask {
    /// Process id, the kernel's tgid. `None` if the kernel's structures could not be read.
    pub pid: Option<u32>,
    /// Thread id.
    pub tid: u32,
    /// Its name; `None` if the kernel's structures could not be read.
    pub comm: Option<Name>,
    /// Its memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Path of that cgroup, kept because the cgroup may be gone when it is asked for.
    pub cgroup_path: Option<Name>,
}

/// The reclaim that did not find enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomReclaim {
    /// Whose limit.
    pub kind: ReclaimKind,
    /// Order of the request.
    pub order: u32,
    /// gfp flags of the request, as the kernel's bits.
    pub gfp: u32,
    /// Nanoseconds from its begin to the kill.
    pub begun_before_ns: u64,
    /// How long it took; `None` if it had not ended.
    pub duration_ns: Option<u64>,
    /// Bytes that it reclaimed; `None` if it had not ended.
    pub reclaimed_bytes: Option<u64>,
}
