//! What was asked for.

use serde::Serialize;

use crate::{
    snapshot::{
        Name,
        oom_report::{OomReport, Request},
    },
    units,
};

/// The request, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Name of the task that asked.
    pub comm: Name,
    /// Its thread id.
    pub tid: Option<u32>,
    /// Bytes in one block; `None` where nobody asked: a kill by sysrq.
    pub bytes: Option<u64>,
    /// Power of two of its pages.
    pub order: Option<i32>,
    /// The kernel's names of the flags.
    pub gfp: Vec<Name>,
    /// What the flags mean, each in words.
    pub means: Vec<&'static str>,
    /// What the task did when it asked, from its call chain.
    pub context: Context,
}

/// What a task did when it asked for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// It touched memory of its own for the first time, or memory that was swapped out.
    AnonymousFault,
    /// It touched a mapped file.
    FileFault,
    /// It touched memory; of which kind is not told: kernels 3.12 and older kill for a cgroup after the fault.
    Fault,
    /// It wrote to shared memory or a tmpfs.
    Tmpfs,
    /// It read a file.
    Read,
    /// It wrote a file.
    Write,
    /// It started a process or a thread.
    Fork,
    /// It sent or received by a socket.
    Network,
    /// It filled a pipe.
    Pipe,
    /// It is a thread of the kernel.
    KernelThread,
    /// Somebody pressed the key, or wrote `f` to /proc/sysrq-trigger.
    Sysrq,
    /// The call chain is of none of these.
    Other,
    /// There is no call chain.
    Unknown,
}

impl Context {
    /// In words, after "while".
    pub fn words(self) -> &'static str {
        match self {
            Self::AnonymousFault => "touching memory of its own",
            Self::FileFault => "touching a mapped file",
            Self::Fault => "touching memory",
            Self::Tmpfs => "writing to shared memory or a tmpfs",
            Self::Read => "reading a file",
            Self::Write => "writing a file",
            Self::Fork => "starting a process or a thread",
            Self::Network => "using a socket",
            Self::Pipe => "writing to a pipe",
            Self::KernelThread => "working as a thread of the kernel",
            Self::Sysrq => "being told to by sysrq",
            Self::Other => "doing something that its call chain does not tell",
            Self::Unknown => "doing something unknown",
        }
    }
}

/// Functions that tell a context, the most telling first.
const FUNCTIONS: &[(&str, Context)] = &[
    ("moom_callback", Context::Sysrq),
    ("sysrq_handle_moom", Context::Sysrq),
    ("shmem_fault", Context::Tmpfs),
    ("shmem_get_folio_gfp", Context::Tmpfs),
    ("shmem_getpage_gfp", Context::Tmpfs),
    ("shmem_alloc_and_add_folio", Context::Tmpfs),
    ("shmem_write_begin", Context::Tmpfs),
    ("shmem_file_write_iter", Context::Tmpfs),
    ("do_anonymous_page", Context::AnonymousFault),
    ("do_huge_pmd_anonymous_page", Context::AnonymousFault),
    ("do_swap_page", Context::AnonymousFault),
    ("wp_page_copy", Context::AnonymousFault),
    ("do_wp_page", Context::AnonymousFault),
    ("filemap_fault", Context::FileFault),
    ("copy_process", Context::Fork),
    ("dup_mm", Context::Fork),
    ("kernel_clone", Context::Fork),
    ("_do_fork", Context::Fork),
    ("do_fork", Context::Fork),
    ("alloc_skb_with_frags", Context::Network),
    ("sock_alloc_send_pskb", Context::Network),
    ("tcp_sendmsg_locked", Context::Network),
    ("sk_page_frag_refill", Context::Network),
    ("pipe_write", Context::Pipe),
    ("anon_pipe_write", Context::Pipe),
    ("generic_perform_write", Context::Write),
    ("vfs_write", Context::Write),
    ("page_cache_ra_unbounded", Context::Read),
    ("page_cache_ra_order", Context::Read),
    ("__do_page_cache_readahead", Context::Read),
    ("filemap_read", Context::Read),
    ("generic_file_read_iter", Context::Read),
    ("vfs_read", Context::Read),
    ("__handle_mm_fault", Context::AnonymousFault),
    ("handle_mm_fault", Context::AnonymousFault),
    ("pagefault_out_of_memory", Context::Fault),
    ("kthread", Context::KernelThread),
];

pub(super) fn asked(report: &OomReport, request: &Request) -> Asked {
    let order = request.order;
    let bytes = order.and_then(|o| u32::try_from(o).ok()).map(|o| super::block(report.page_size.bytes, o));
    let gfp = request.gfp.clone().unwrap_or_default();
    let mut means = Vec::new();
    let has = |flag: &str| gfp.has(flag);
    for (flag, set, unset) in FLAGS {
        match has(flag) {
            Some(true) if !set.is_empty() => means.push(*set),
            Some(false) if !unset.is_empty() => means.push(*unset),
            _ => {}
        }
    }
    Asked {
        comm: request.comm.clone(),
        tid: request.tid,
        bytes,
        order,
        gfp: gfp.names,
        means,
        context: context(report, request),
    }
}

/// Flags that explain something: what it means that one is set, and that one is not.
const FLAGS: &[(&str, &str, &str)] = &[
    ("__GFP_DIRECT_RECLAIM", "", "it may not wait for reclaim"),
    ("__GFP_FS", "", "reclaim on its behalf may not enter file systems"),
    ("__GFP_IO", "", "reclaim on its behalf may start no I/O"),
    ("__GFP_NOFAIL", "it may not fail", ""),
    ("__GFP_DMA32", "it needs memory below 4 GiB", ""),
    ("__GFP_DMA", "it needs memory below 16 MiB", ""),
    ("GFP_DMA32", "it needs memory below 4 GiB", ""),
    ("GFP_DMA", "it needs memory below 16 MiB", ""),
    ("GFP_HIGHUSER_MOVABLE", "it can be moved later: it may use movable and CMA memory", ""),
    ("__GFP_THISNODE", "it may come from one node only", ""),
    ("__GFP_ACCOUNT", "it is kernel memory that is charged to the cgroup", ""),
    ("GFP_KERNEL_ACCOUNT", "it is kernel memory that is charged to the cgroup", ""),
];

fn context(report: &OomReport, request: &Request) -> Context {
    if request.order == Some(-1) {
        return Context::Sysrq;
    }
    if report.trace.is_empty() {
        return Context::Unknown;
    }
    // Where every function is doubtful, the kernel was built so that it cannot be sure of any.
    let all_doubtful = report.trace.iter().all(|f| f.doubtful);
    let chain = || report.trace.iter().filter(|f| all_doubtful || !f.doubtful).map(|f| f.function.as_str());
    let known = |function: &str| {
        // Compilers add `.constprop.0`, and new kernels `_noprof`.
        let plain = function.split('.').next().unwrap_or(function);
        let plain = plain.strip_suffix("_noprof").unwrap_or(plain);
        FUNCTIONS.iter().position(|(name, _)| *name == plain)
    };
    let best = chain().filter_map(known).min();
    best.and_then(|at| FUNCTIONS.get(at)).map_or(Context::Other, |(_, context)| *context)
}

impl Asked {
    /// In one sentence.
    pub fn sentence(&self) -> String {
        let who = super::process(&self.comm, self.tid);
        match self.bytes {
            _ if self.context == Context::Sysrq => format!("Somebody asked for a kill by sysrq; {who} carried it out."),
            Some(bytes) => {
                let block = if self.order.unwrap_or(0) > 0 { " in one block" } else { "" };
                if self.context == Context::Unknown {
                    return format!(
                        "{who} asked for {}{block}; what it did then is not known.",
                        units::bytes(bytes as f64)
                    );
                }
                format!("{who} asked for {}{block} while {}.", units::bytes(bytes as f64), self.context.words())
            }
            None if self.context == Context::Unknown => format!("{who} asked for memory; how much is not known."),
            None => format!("{who} asked for memory while {}.", self.context.words()),
        }
    }
}
