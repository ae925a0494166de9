//! Swap devices, zram and zswap.

use serde::{Deserialize, Serialize};

use crate::snapshot::Name;

/// Where swap goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Swap {
    /// Devices and files in use. Source: /proc/swaps.
    pub devices: Vec<SwapDevice>,
    /// zram devices that were set up. Source: /sys/block/zramN/mm_stat.
    pub zram: Vec<Zram>,
    /// True if zswap is on. Source: /sys/module/zswap/parameters/enabled.
    pub zswap_enabled: Option<bool>,
}

/// A swap device or file. Source: /proc/swaps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwapDevice {
    /// Its path.
    pub path: Name,
    /// `partition` or `file`.
    pub kind: Name,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes in use.
    pub used: u64,
    /// The higher is used first.
    pub priority: i32,
}

/// A zram device. Source: /sys/block/zramN/mm_stat and disksize.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Zram {
    /// `zram0`.
    pub device: Name,
    /// Size that it shows, in bytes.
    pub disk_size: Option<u64>,
    /// Bytes that were stored, before compression.
    pub original: u64,
    /// Bytes after compression.
    pub compressed: u64,
    /// RAM that it takes, metadata and fragmentation included.
    pub memory_used: u64,
    /// RAM that it may take; 0 for no limit.
    pub memory_limit: u64,
}
