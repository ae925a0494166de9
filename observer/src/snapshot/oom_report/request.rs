//! The request that could not be served.

use serde::{Deserialize, Serialize};

use crate::snapshot::Name;

/// Who asked for what. Sources: the lines `NAME invoked oom-killer: ...` and `CPU: ... PID: ... Comm: ...`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Name of the task.
    pub comm: Name,
    /// Its thread id, as the kernel prints its `pid`.
    pub tid: Option<u32>,
    /// Its user id.
    pub uid: Option<u32>,
    /// The CPU it ran on.
    pub cpu: Option<u32>,
    /// Its `oom_score_adj`, or `oom_adj` of kernels before 2.6.36.
    pub oom_score_adj: Option<i32>,
    /// What the allocation may do.
    pub gfp: Option<Gfp>,
    /// Power of two of the pages it wanted in one block; -1 for a kill by sysrq.
    pub order: Option<i32>,
    /// NUMA nodes that it may take pages from; `(null)` is every node. Kernels 4.x print it here, newer ones with the decision.
    pub nodemask: Option<Name>,
    /// `cpuset` of the task, of kernels that print it on a line of its own.
    pub cpuset: Option<Name>,
    /// What taints the kernel, such as `Not tainted` or `G        W  O`.
    pub taint: Option<Name>,
}

/// gfp flags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gfp {
    /// The kernel's bits, whose places differ between kernels.
    pub bits: u64,
    /// The names that the kernel gives them; empty for kernels before 4.6, which print the bits alone.
    pub names: Vec<Name>,
}

impl Gfp {
    /// True if a flag of that name is set, by itself or as a part of a name for several.
    pub fn has(&self, flag: &str) -> Option<bool> {
        if self.names.is_empty() {
            return None;
        }
        let direct = self.names.iter().any(|n| n.as_str() == flag);
        Some(direct || self.names.iter().any(|n| parts(n.as_str()).contains(&flag)))
    }
}

/// The flags that a name for several stands for. Source: `include/linux/gfp_types.h`, the same from 4.6 to 6.18.
fn parts(name: &str) -> &'static [&'static str] {
    const KERNEL: &[&str] = &["__GFP_RECLAIM", "__GFP_DIRECT_RECLAIM", "__GFP_KSWAPD_RECLAIM", "__GFP_IO", "__GFP_FS"];
    match name {
        "GFP_KERNEL" | "GFP_KERNEL_ACCOUNT" | "GFP_TEMPORARY" => KERNEL,
        "GFP_USER" | "GFP_HIGHUSER" | "GFP_HIGHUSER_MOVABLE" => {
            &["__GFP_RECLAIM", "__GFP_DIRECT_RECLAIM", "__GFP_KSWAPD_RECLAIM", "__GFP_IO", "__GFP_FS", "__GFP_HARDWALL"]
        }
        "GFP_NOFS" => &["__GFP_RECLAIM", "__GFP_DIRECT_RECLAIM", "__GFP_KSWAPD_RECLAIM", "__GFP_IO"],
        "GFP_NOIO" | "__GFP_RECLAIM" => &["__GFP_RECLAIM", "__GFP_DIRECT_RECLAIM", "__GFP_KSWAPD_RECLAIM"],
        "GFP_ATOMIC" => &["__GFP_HIGH", "__GFP_KSWAPD_RECLAIM"],
        "GFP_NOWAIT" => &["__GFP_KSWAPD_RECLAIM"],
        _ => &[],
    }
}

/// One function of the call chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// Name of the function.
    pub function: Name,
    /// Offset in it.
    pub offset: u64,
    /// Its size.
    pub size: u64,
    /// Module it is in; `None` for the kernel itself.
    pub module: Option<Name>,
    /// True if the kernel put a question mark before it: found on the stack, and perhaps not part of the chain.
    pub doubtful: bool,
}
