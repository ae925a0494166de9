//! Which machine, and when.

use serde::{Deserialize, Serialize};

use super::Name;

/// The moment of a snapshot, by two clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stamp {
    /// `CLOCK_MONOTONIC` in nanoseconds, the clock of `bpf_ktime_get_ns`. Intervals are measured with it, never assumed.
    pub monotonic_ns: u64,
    /// `CLOCK_BOOTTIME` in nanoseconds, the clock of process start times.
    pub boottime_ns: u64,
    /// `CLOCK_REALTIME` in nanoseconds since the Unix epoch, for people only.
    pub realtime_ns: u64,
}

/// The machine that a snapshot describes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// `uname -n`.
    pub hostname: Name,
    /// `uname -r`.
    pub kernel_release: Name,
    /// `uname -m`.
    pub machine: Name,
    /// /proc/sys/kernel/random/boot_id: two snapshots with different values have no common counters.
    pub boot_id: Name,
    /// CPUs on line.
    pub cpus: Option<u32>,
    /// Bytes of an order-0 page.
    pub page_size: Option<u64>,
}
