//! What the kernel says of an OOM kill in its log, typed. Source: `mm/oom_kill.c`, `mm/show_mem.c`, `mm/memcontrol.c`.
//!
//! Bytes, except where a doc comment says other: the kernel's pages were multiplied by [`OomReport::page_size`]. A part that
//! this kernel does not print, or that was cut off, is `None` or empty; [`OomReport::cut`] says so in the second case.

mod event;
pub mod kill;
pub mod memcg;
pub mod request;
pub mod task;
pub mod zone;

use serde::{Deserialize, Serialize};

pub use kill::{Constraint, Decision, Exiting, Kill, Reaped};
pub use memcg::{MemcgState, MemcgUse, UseKind};
pub use request::{Frame, Gfp, Request};
pub use task::Task;
pub use zone::{FreeBlocks, HugePages, NodeState, Zone};

use super::Name;

/// One report, from `invoked oom-killer` to the kill and the reaper.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OomReport {
    /// Where it was read.
    pub origin: Origin,
    /// Release of the kernel, such as `6.12.117+deb12-cloud-amd64`.
    pub kernel: Option<Name>,
    /// The machine, from `Hardware name:`.
    pub hardware: Option<Name>,
    /// Bytes of a page.
    pub page_size: PageSize,
    /// What was asked for, and by whom.
    pub request: Option<Request>,
    /// Call chain of the request, innermost first.
    pub trace: Vec<Frame>,
    /// Lines of registers and code that stand in the trace and say nothing of memory.
    pub register_lines: u32,
    /// The memory cgroup whose limit it was.
    pub memcg: Option<MemcgState>,
    /// Global counters of `Mem-Info:`.
    pub counters: Vec<Counter>,
    /// Counters by NUMA node.
    pub nodes: Vec<NodeState>,
    /// Zones with watermarks and free lists.
    pub zones: Vec<Zone>,
    /// Pools of huge pages.
    pub huge_pages: Vec<HugePages>,
    /// Totals at the end of `Mem-Info:`.
    pub totals: Totals,
    /// Slab caches of `Unreclaimable slab info:`, which is printed only where they are more than all that processes have.
    pub slabs: Vec<Slab>,
    /// Largest allocation sites, of kernels with memory allocation profiling.
    pub allocations: Vec<AllocationSite>,
    /// Processes that could have been killed.
    pub tasks: Vec<Task>,
    /// Which limit, and who was chosen.
    pub decision: Option<Decision>,
    /// What was killed: one process, or all of a cgroup with `memory.oom.group`.
    pub kills: Vec<Kill>,
    /// What was chosen and was ending already: nothing was killed then.
    pub exiting: Option<Exiting>,
    /// Memory that was taken from victims at once.
    pub reaped: Vec<Reaped>,
    /// Cgroup all of whose tasks are killed, because `memory.oom.group` is set.
    pub group: Option<Name>,
    /// True if the kernel said that there was no process to kill.
    pub no_killable: bool,
    /// Key and value pairs that are not known here, kept as they are.
    pub unknown_fields: Vec<Name>,
    /// Lines between the report's first and last that are no part of it as far as is known.
    pub unread: Vec<Name>,
    /// Why the report is not whole; `None` if it is.
    pub cut: Option<Cut>,
}

/// Where a report was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// File, `-` for standard input, `/dev/kmsg` or `journal`; empty where it came from memory.
    pub source: Name,
    /// Number of the first line, from 1; 0 if lines have no numbers.
    pub line: u64,
    /// The host that a log of several hosts names.
    pub host: Option<Name>,
    /// Time of the first line.
    pub begin: Stamp,
    /// Time of the last line that was read as part of it.
    pub end: Stamp,
}

/// What a line says of its time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stamp {
    /// Nanoseconds since the boot, of the kernel's `printk` clock.
    pub boot_ns: Option<u64>,
    /// Time of day, as the logger wrote it.
    pub wall: Option<Name>,
}

/// Bytes of a page, and how they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageSize {
    /// Bytes.
    pub bytes: u64,
    /// True if the report says it in two units; false: the usual size was taken.
    pub known: bool,
}

impl Default for PageSize {
    fn default() -> Self {
        Self { bytes: 4096, known: false }
    }
}

/// A named amount of bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The kernel's name of it, such as `slab_unreclaimable`.
    pub name: Name,
    /// Bytes.
    pub bytes: u64,
}

/// The value of a counter by its name.
pub fn counter(list: &[Counter], name: &str) -> Option<u64> {
    list.iter().find(|c| c.name.as_str() == name).map(|c| c.bytes)
}

/// Totals of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Page cache, tmpfs and swap cache (`total pagecache pages`).
    pub page_cache: Option<u64>,
    /// Pages in the swap cache.
    pub swap_cache: Option<u64>,
    /// Free swap.
    pub swap_free: Option<u64>,
    /// All swap.
    pub swap_total: Option<u64>,
    /// RAM.
    pub ram: Option<u64>,
    /// RAM above the part that the kernel maps for itself, or kept for what can be moved.
    pub high_mem: Option<u64>,
    /// RAM that the kernel does not manage.
    pub reserved: Option<u64>,
    /// Of CMA.
    pub cma: Option<u64>,
    /// Faulty pages.
    pub hwpoisoned: Option<u64>,
    /// Other lines, such as `Swap cache stats`.
    pub other: Vec<Name>,
}

/// A slab cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slab {
    /// Name of the cache.
    pub name: Name,
    /// Bytes of its objects in use.
    pub used: u64,
    /// Bytes of its pages.
    pub total: u64,
}

/// A place in the kernel that allocated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationSite {
    /// Bytes that are allocated there; rounded by the kernel to three digits.
    pub bytes: u64,
    /// Allocations.
    pub calls: u64,
    /// `file:line [module] func:name`.
    pub site: Name,
}

/// Why a report is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// The input ended before the kill.
    End,
    /// Another report of the same host began before the kill.
    Overtaken,
    /// The input has no begin of it: only the line of the kill, as where the kernel's rate limit held the rest back.
    NoBegin,
    /// Too many lines came that belong to something else.
    Drowned,
    /// There is no log of it: only the event of the probe.
    EventOnly,
}

impl OomReport {
    /// A global counter.
    pub fn counter(&self, name: &str) -> Option<u64> {
        counter(&self.counters, name)
    }

    /// The process that was chosen, as the table of tasks has it.
    pub fn victim_task(&self) -> Option<&Task> {
        let pid = self.victim_pid()?;
        self.tasks.iter().find(|t| t.pid == pid)
    }

    /// Process id of the process that was killed, or would have been.
    pub fn victim_pid(&self) -> Option<u32> {
        let chosen = self.decision.as_ref().and_then(|d| d.pid);
        // Before 5.1 a child could be killed in the place of its parent.
        let killed = self.kills.iter().find(|k| Some(k.pid) == chosen).or(self.kills.first()).map(|k| k.pid);
        killed.or(chosen).or_else(|| self.exiting.as_ref().map(|e| e.pid))
    }
}
