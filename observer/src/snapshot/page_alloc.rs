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
    /// How the requests that failed were made. `None` in recordings from before it was kept, and if it could not be read.
    pub failures: Option<Failures>,
}

/// Requests that failed, by process, order and flags; the same as the failures in the counts, told in another way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failures {
    /// By process, order and flags.
    pub rows: Vec<AllocFailure>,
    /// The kernel's names of the flags that are set in any row. Empty where they are not known: the coverage says why.
    pub flags: Vec<GfpFlag>,
}

/// Requests of one process that failed in one way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocFailure {
    /// Memory cgroup; `None` if unknown, and for processes that have ended.
    pub cgroup: Option<CgroupId>,
    /// Process id, the kernel's tgid; `None` for processes that have ended and made room, all together.
    pub pid: Option<u32>,
    /// Name of the task that last failed.
    pub comm: Option<Name>,
    /// Order of the request.
    pub order: u32,
    /// gfp flags of the request, as the kernel that ran encodes them.
    pub gfp: u32,
    /// How many.
    pub count: u64,
}

/// A gfp flag of the running kernel. Source: enumerators `___gfp_*_BIT` in BTF, or the print format of `kmem:mm_page_alloc`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GfpFlag {
    /// The flag in [`AllocFailure::gfp`].
    pub bit: u32,
    /// The kernel's name: `__GFP_NOWARN`.
    pub name: Name,
}

/// Allocations of one process in one cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessAlloc {
    /// Memory cgroup; `None` if the kernel has no memory controller or its structures could not be read.
    pub cgroup: Option<CgroupId>,
    /// Process id, the kernel's tgid. 0 is the idle task: allocations of interrupts on an idle CPU.
    pub pid: u32,
    /// Start in nanoseconds of `CLOCK_BOOTTIME`; `None` for the idle task, and if the kernel's structures could not be read.
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
        let mut out = *self;
        let each = out.allocated.iter_mut().zip(before.allocated).chain(out.failed.iter_mut().zip(before.failed));
        each.into_iter().try_for_each(|(count, before)| {
            *count = count.checked_sub(before)?;
            Some(())
        })?;
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
