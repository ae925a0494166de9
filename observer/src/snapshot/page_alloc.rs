//! Page allocations by memory cgroup and process. Source: tracepoint `kmem:mm_page_alloc`.

use serde::{Deserialize, Serialize};

use super::{CgroupId, Name};

/// Orders that are told apart; the last one also counts all that are larger.
pub const ORDERS: usize = 12;

/// Counts since the probes were attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageAlloc {
    /// Living processes, in no order.
    pub processes: Vec<ProcessAlloc>,
    /// Processes that have ended, summed by cgroup.
    pub exited: Vec<CgroupAlloc>,
    /// What found no place in the kernel's map, whoever asked for it.
    pub other: AllocCounts,
    /// Ended processes of cgroups that are gone, beyond those that [`Self::exited`] keeps: memory must not grow with every
    /// cgroup that ever was.
    pub vanished: AllocCounts,
}

/// Allocations of one process in one cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessAlloc {
    /// Memory cgroup; `None` if the kernel has no memory controller or its structures could not be read.
    pub cgroup: Option<CgroupId>,
    /// Process id, the kernel's tgid. 0 is the idle task: allocations of interrupts on an idle CPU.
    pub pid: u32,
    /// Start in nanoseconds of `CLOCK_BOOTTIME`; `None` if the kernel's structures could not be read.
    pub start_ns: Option<u64>,
    /// Name of the task that was last seen to allocate.
    pub comm: Name,
    /// What it asked for.
    pub counts: AllocCounts,
}

/// Allocations of the ended processes of one cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CgroupAlloc {
    /// Memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// What they asked for.
    pub counts: AllocCounts,
}

/// Requests by order: index `o` stands for blocks of `2^o` pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocCounts {
    /// Requests that were met.
    pub allocated: [u64; ORDERS],
    /// Requests that got no page.
    pub failed: [u64; ORDERS],
}

impl AllocCounts {
    /// Requests that were met, of any order.
    pub fn allocations(&self) -> u64 {
        self.allocated.iter().sum()
    }

    /// Requests that failed, of any order.
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Pages that were handed out. At least: the last order stands for larger ones too.
    pub fn pages(&self) -> u64 {
        self.allocated.iter().enumerate().map(|(order, n)| n << order).sum()
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        self.allocated.iter_mut().zip(other.allocated).for_each(|(a, b)| *a += b);
        self.failed.iter_mut().zip(other.failed).for_each(|(a, b)| *a += b);
    }

    /// What was counted since `before`; `None` if a count shrank.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let mut out = Self::default();
        for order in 0..ORDERS {
            out.allocated[order] = self.allocated[order].checked_sub(before.allocated[order])?;
            out.failed[order] = self.failed[order].checked_sub(before.failed[order])?;
        }
        Some(out)
    }
}

impl PageAlloc {
    /// All requests since the probes were attached.
    pub fn total(&self) -> AllocCounts {
        let mut sum = self.other;
        sum.add(&self.vanished);
        self.processes.iter().for_each(|p| sum.add(&p.counts));
        self.exited.iter().for_each(|c| sum.add(&c.counts));
        sum
    }
}
