//! Who pushed whose page cache out: in an interval with refaults, the cgroups that refaulted beside the cgroups whose
//! allocations drove the reclaim.

use serde::Serialize;

use crate::snapshot::{CgroupId, Name};

/// Page cache that was reclaimed and read again in an interval, and who made the kernel take it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Eviction {
    /// Whose limit the reclaim served: `None` for the host, else the cgroup that the drivers and the victims share.
    pub scope: Option<Name>,
    /// File bytes a second that came back soon after reclaim took them, over all victims.
    pub refaults: f64,
    /// Cgroups that had to read their cache again, most first.
    pub victims: Vec<Victim>,
    /// Cgroups whose allocations drove the reclaim, most first.
    pub drivers: Vec<Driver>,
}

/// A cgroup that lost page cache which it still needed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Victim {
    /// Memory cgroup.
    pub cgroup: CgroupId,
    /// Its path.
    pub path: Name,
    /// File bytes a second that it read again soon after they were taken.
    pub refaults: f64,
    /// Its share of all victims' refaults, 0 to 1.
    pub share: f64,
}

/// A cgroup that allocated while memory was reclaimed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Driver {
    /// Memory cgroup; `None` if it is not known.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub path: Option<Name>,
    /// Bytes a second that it allocated beyond what it read again itself.
    pub allocated: f64,
    /// Its share of what all drivers allocated, 0 to 1.
    pub share: f64,
    /// Times a second that it asked for kswapd.
    pub kswapd_requests: Option<f64>,
    /// Bytes a second that its own tasks reclaimed.
    pub reclaimed: Option<f64>,
}
