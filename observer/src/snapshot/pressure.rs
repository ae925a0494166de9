//! Pressure stall information.

use serde::{Deserialize, Serialize};

/// Stalls of a host or a cgroup. Source: /proc/pressure/*, or `*.pressure` of a cgroup v2.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pressure {
    /// Waits for memory.
    pub memory: Option<Resource>,
    /// Waits for a CPU.
    pub cpu: Option<Resource>,
    /// Waits for block devices.
    pub io: Option<Resource>,
}

/// Stalls for one resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// At least one task was stalled.
    pub some: Option<Stall>,
    /// All tasks that were not idle were stalled at the same time.
    pub full: Option<Stall>,
}

/// One line of a pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// Share of the last 10 s, 0 to 1.
    pub avg10: f64,
    /// Share of the last 60 s, 0 to 1.
    pub avg60: f64,
    /// Share of the last 300 s, 0 to 1.
    pub avg300: f64,
    /// Stalled time since boot in seconds.
    pub total_seconds: f64,
}
