//! A profile: where page allocations come from, as a bounded time of sampling saw it.
//!
//! It is asked for by a person and printed once. It is not part of a [`Snapshot`](crate::snapshot::Snapshot) and not
//! recorded: the default probes never pay for stacks. This module does no I/O; [`crate::source::profile`] fills it and
//! [`crate::output::profile`] writes it.

mod weigh;

use serde::Serialize;

use crate::snapshot::{CgroupId, Name};

pub use weigh::{Group, Who, groups, labels, processes};

/// What was asked for, in words for the output.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Scope {
    /// Processes; empty: all of them.
    pub pids: Vec<u32>,
    /// Path of the memory cgroup, which stands for those below it too; `None`: all of them.
    pub cgroup: Option<Name>,
    /// Lowest order.
    pub min_order: u32,
    /// Highest order; `None`: no limit.
    pub max_order: Option<u32>,
}

/// What passed the filter, counted exactly in the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Requests that were met.
    pub allocations: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Requests that the kernel refused.
    pub failures: u64,
    /// Requests of both kinds whose stacks were taken.
    pub samples: u64,
}

/// What could not be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// Samples whose kernel stack could not be walked.
    pub kernel_walks_failed: u64,
    /// Samples whose user stack could not be walked.
    pub user_walks_failed: u64,
    /// Stacks that fell on the place of another one in the kernel's map.
    pub stack_collisions: u64,
    /// Stacks that found no place in the kernel's map.
    pub stacks_full: u64,
    /// Samples that are in no row: the kernel's map of counts was full.
    pub counts_full: u64,
    /// Requests that the program was not run for, because it ran on that CPU already; `None` on a kernel that does not
    /// count them.
    pub recursion_misses: Option<u64>,
}

impl Losses {
    /// Each loss with its words.
    pub fn each(&self) -> [(u64, &'static str); 6] {
        [
            (self.kernel_walks_failed, "kernel stacks could not be walked"),
            (self.user_walks_failed, "user stacks could not be walked"),
            (self.stack_collisions, "stacks fell on the place of another one in the kernel's map"),
            (self.stacks_full, "stacks found no place in the kernel's map"),
            (self.counts_full, "samples are in no row, the kernel's map of counts was full"),
            (self.recursion_misses.unwrap_or(0), "requests were missed, made while the program ran on that CPU"),
        ]
    }
}

/// One place in a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Frame {
    /// Address as it was in the process or the kernel.
    pub address: u64,
    /// Function; `None` if no symbol covers the address.
    pub function: Option<Name>,
    /// File that holds it, as /proc/PID/maps names it; `None` for the kernel and where it is not known.
    pub module: Option<Name>,
    /// Bytes from the begin of the function; without one, of the module's file.
    pub offset: Option<u64>,
    /// Build id of the module in hexadecimal, told where no symbol covers the address: with it and the offset the symbol
    /// can be found elsewhere.
    pub build_id: Option<String>,
    /// Why the function is not known.
    pub unknown: Option<Name>,
}

impl Frame {
    /// The frame in a few words: the function, else module and offset, else the address.
    pub fn label(&self) -> String {
        if let Some(function) = &self.function {
            return function.to_string();
        }
        match (&self.module, self.offset) {
            (Some(module), Some(offset)) => format!("[{}+{offset:#x}]", base_name(module)),
            (Some(module), None) => format!("[{}]", base_name(module)),
            (None, _) => format!("[unknown {:#x}]", self.address),
        }
    }
}

/// The last part of a path.
pub fn base_name(module: &Name) -> &str {
    module.as_str().rsplit('/').next().filter(|n| !n.is_empty()).unwrap_or(module.as_str())
}

/// One side of a sample's stack, the innermost frame first.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Trace {
    /// The frames, as indexes into [`Profile::frames`].
    pub frames: Vec<usize>,
    /// True if the outermost callers are missing: it is as deep as the kernel keeps.
    pub cut: bool,
    /// Why there are no frames.
    pub absent: Option<&'static str>,
}

/// Samples that are alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stack {
    /// Kernel side.
    pub kernel: Trace,
    /// User side.
    pub user: Trace,
    /// Process id, the kernel's tgid; 0 is the idle task.
    pub pid: u32,
    /// Name of the task.
    pub comm: Name,
    /// Memory cgroup; `None` if unknown.
    pub cgroup: Option<CgroupId>,
    /// Its path; `None` if it is gone or was never found.
    pub cgroup_path: Option<Name>,
    /// Order of the requests.
    pub order: u32,
    /// True for requests that the kernel refused.
    pub failed: bool,
    /// Samples.
    pub samples: u64,
}

/// A profile of page allocations.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Profile {
    /// What was asked for.
    pub scope: Scope,
    /// One request in so many was sampled, at random.
    pub every: u32,
    /// How long it sampled, in seconds.
    pub seconds: f64,
    /// Signal that ended it early.
    pub ended_by: Option<i32>,
    /// Bytes of an order-0 page.
    pub page_size: u64,
    /// What passed the filter, exactly.
    pub matched: Matched,
    /// What could not be kept.
    pub lost: Losses,
    /// What the reader must know to believe the names: why some are missing, and what mends it.
    pub notes: Vec<Name>,
    /// Every place once.
    pub frames: Vec<Frame>,
    /// The samples.
    pub stacks: Vec<Stack>,
}

impl Profile {
    /// Requests that one sample stands for: all that matched, shared among the samples that are in a row. `None` without
    /// samples.
    pub fn weight(&self) -> Option<f64> {
        let kept: u64 = self.stacks.iter().map(|s| s.samples).sum();
        let matched = self.matched.allocations + self.matched.failures;
        (kept > 0).then(|| matched as f64 / kept as f64)
    }

    /// Memory that a row asked for, estimated: bytes. Of refused requests what they did not get.
    pub fn bytes(&self, stack: &Stack) -> f64 {
        let request = self.page_size as f64 * 2_f64.powi(i32::try_from(stack.order).unwrap_or(0));
        stack.samples as f64 * f64::from(self.every) * request
    }
}
