//! kswapd, the kernel's background reclaim, by node.
//! Source: tracepoints `vmscan:mm_vmscan_kswapd_{wake,sleep}` and `vmscan:mm_vmscan_wakeup_kswapd`.

use serde::{Deserialize, Serialize};

use super::{CgroupId, Log2Histogram, Name};

/// kswapd since the probes were attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kswapd {
    /// By NUMA node.
    pub nodes: Vec<KswapdNode>,
    /// Who asked for it.
    pub requesters: Vec<KswapdRequester>,
    /// Wake-up requests of requesters that found no place in the kernel's map, or ended and made room in it.
    pub other_requests: u64,
}

impl Kswapd {
    /// All requests since the probes were attached.
    pub fn requests(&self) -> u64 {
        self.other_requests + self.requesters.iter().map(|r| r.requests).sum::<u64>()
    }
}

/// One node's kswapd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KswapdNode {
    /// NUMA node.
    pub node: u32,
    /// Times it began to work.
    pub wakes: u64,
    /// Times it went back to sleep.
    pub sleeps: u64,
    /// Time between the two, summed over what has ended, in nanoseconds, without the tenth of a second that kswapd waits
    /// for more to do before it sleeps.
    pub awake_ns: u64,
    /// Since when it works now, in nanoseconds of `CLOCK_MONOTONIC`; `None` while it sleeps.
    pub awake_since_ns: Option<u64>,
    /// Nanoseconds of the cycles that have ended, from wake to sleep as for [`Self::awake_ns`].
    pub cycle_ns: Log2Histogram,
}

/// A process whose allocations asked kswapd to work. Source: `vmscan:mm_vmscan_wakeup_kswapd`, whose `current` it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KswapdRequester {
    /// NUMA node that was asked.
    pub node: u32,
    /// Process id, the kernel's tgid.
    pub pid: u32,
    /// Name of the task that last asked.
    pub comm: Name,
    /// Its memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Requests.
    pub requests: u64,
    /// Order of the last request.
    pub last_order: u32,
    /// gfp flags of the last request, as the kernel's bits.
    pub last_gfp: u32,
}
