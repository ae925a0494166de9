//! Pools of huge pages.

use serde::{Deserialize, Serialize};

/// The pool of one size. Source: /sys/kernel/mm/hugepages/hugepages-SIZEkB.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HugePages {
    /// Bytes of one page.
    pub page_bytes: u64,
    /// Pages in the pool, `nr_hugepages`.
    pub total: Option<u64>,
    /// Pages that nobody holds, `free_hugepages`.
    pub free: Option<u64>,
    /// Free pages that are promised, `resv_hugepages`.
    pub reserved: Option<u64>,
    /// Pages above the size of the pool, `surplus_hugepages`.
    pub surplus: Option<u64>,
}
