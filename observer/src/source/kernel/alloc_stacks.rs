//! Samples of stacks of page allocations, taken on demand. The maps are read here; who asks for names has them in
//! [`crate::source::profile`].

use std::{
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{Ebpf, maps::HashMap};
use observer_ebpf::abi::alloc_stacks as abi;

use super::{
    bpf_sys,
    load::{Object, Plan},
    maps::{Array, Table, descriptor, possible_cpus},
    probes::ALLOC_STACKS,
};
use crate::{
    profile::Losses,
    snapshot::{CgroupId, Name, coverage::ProbeState},
};

pub use abi::{DEPTH, Key, NO_USER_STACK};

/// Processes that a filter takes at most.
pub const MAX_PIDS: usize = 1024;
/// Cgroups that a filter takes at most.
pub const MAX_CGROUPS: usize = 65_536;
/// Different stacks that are kept at most: 33 MiB of the kernel's memory while it samples.
pub const MAX_STACKS: u32 = 32_768;
/// Different counts that are kept at most: 4 MiB of the kernel's memory while it samples.
pub const MAX_COUNTS: u32 = 32_768;

/// What to sample.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Processes, by the kernel's tgid; empty: all of them.
    pub pids: Vec<u32>,
    /// Memory cgroups; `None`: all of them. Those below are to be named too.
    pub cgroups: Option<Vec<CgroupId>>,
    /// Lowest and highest order.
    pub orders: (u32, u32),
    /// One request in so many is sampled.
    pub every: u32,
    /// Different stacks that are kept; what finds no place is in the losses.
    pub max_stacks: u32,
    /// Different counts that are kept; what finds no place is in the losses.
    pub max_counts: u32,
}

/// Why nothing can be sampled.
#[derive(Debug, thiserror::Error)]
pub enum StacksError {
    /// The kernel refused the program.
    #[error("cannot sample stacks: {}: {reason}{}", ALLOC_STACKS.place(), .remedy.as_ref().map(|r| format!("; to mend it: {r}")).unwrap_or_default())]
    Refused {
        /// What it said.
        reason: Name,
        /// What grants it.
        remedy: Option<String>,
    },
    /// A map could not be opened or read.
    #[error("cannot read the bpf map of {what}: {cause}")]
    Map {
        /// What it holds.
        what: &'static str,
        /// What the kernel answered.
        cause: io::Error,
    },
}

/// Programs at work. Dropping it, or the end of the process for any reason, detaches everything.
pub struct Sampler {
    object: Object,
    cgroups: Option<HashMap<aya::maps::MapData, u64, u32>>,
    counts: Table<Key, u64>,
    stacks: Array<abi::Frames>,
    matched: OwnedFd,
    cpus: usize,
    lost: Array<u64>,
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler").field("object", &self.object).finish_non_exhaustive()
    }
}

impl Sampler {
    /// Begins to sample. `btf` is the running kernel's type information.
    pub fn start(object: &[u8], btf: &Path, filter: &Filter) -> Result<Self, StacksError> {
        let threshold = u32::MAX / filter.every.max(1);
        let cgroups = filter.cgroups.as_ref().map_or(1, |_| u32::try_from(MAX_CGROUPS).unwrap_or(u32::MAX));
        let plan = Plan {
            btf,
            specs: vec![&ALLOC_STACKS],
            entries: vec![
                ("obs_stk_tgids", u32::try_from(filter.pids.len().clamp(1, MAX_PIDS)).unwrap_or(1)),
                ("obs_stk_cgroups", cgroups),
                ("obs_stk_stacks", filter.max_stacks),
                ("obs_stk_counts", filter.max_counts),
            ],
            globals: vec![
                ("STACKS_THRESHOLD", threshold),
                ("STACKS_ORDER_MIN", filter.orders.0),
                ("STACKS_ORDER_MAX", filter.orders.1),
                ("STACKS_BY_TGID", u32::from(!filter.pids.is_empty())),
                ("STACKS_BY_CGROUP", u32::from(filter.cgroups.is_some())),
            ],
        };
        let mut object = Object::load_plan(object, &plan, |ebpf| fill(ebpf, filter));
        for probe in object.coverage() {
            if let ProbeState::Absent { reason, remedy, .. } = probe.state {
                return Err(StacksError::Refused { reason, remedy });
            }
        }
        let Some(ebpf) = object.ebpf.as_mut() else {
            return Err(StacksError::Refused { reason: Name::from("nothing was loaded"), remedy: None });
        };
        let map = |what: &'static str| move |cause: io::Error| StacksError::Map { what, cause };
        let cgroups = ebpf.take_map("obs_stk_cgroups").and_then(|map| HashMap::try_from(map).ok());
        Ok(Self {
            cgroups,
            counts: Table::open(ebpf, "obs_stk_counts").map_err(map("counts"))?,
            stacks: Array::open(ebpf, "obs_stk_stacks").map_err(map("stacks"))?,
            matched: descriptor(ebpf, "obs_stk_matched").map_err(map("what was matched"))?,
            cpus: possible_cpus().map_err(map("what was matched"))?,
            lost: Array::open(ebpf, "obs_stk_lost").map_err(map("losses"))?,
            object,
        })
    }

    /// Adds a cgroup to the filter, such as one that was made meanwhile.
    pub fn add_cgroup(&mut self, id: CgroupId) -> Result<(), StacksError> {
        let Some(map) = &mut self.cgroups else { return Ok(()) };
        map.insert(id.0, 1, 0).map_err(|e| StacksError::Map { what: "cgroups", cause: io::Error::other(e) })
    }

    /// Calls `each` with every count.
    pub fn counts(&mut self, mut each: impl FnMut(&Key, u64)) -> Result<(), StacksError> {
        self.counts.for_each(|k, v| each(k, *v)).map_err(|cause| StacksError::Map { what: "counts", cause })
    }

    /// Addresses of a stack, the innermost first; `None` for a number that is none.
    pub fn stack(&self, id: i32) -> Option<Vec<u64>> {
        let frames = self.stacks.get(u32::try_from(id).ok()?).ok()?;
        Some(frames.addresses.into_iter().take_while(|a| *a != 0).collect())
    }

    /// Ends the programs; what they counted stays readable.
    pub fn stop(&mut self) {
        self.object.detach();
    }

    /// What passed the filter until now.
    pub fn matched(&self) -> Result<abi::Matched, StacksError> {
        const WORDS: usize = size_of::<abi::Matched>() / 8;
        let mut buffer = vec![0; self.cpus * WORDS];
        let read = bpf_sys::lookup(self.matched.as_fd(), &0_u32, &mut buffer);
        read.map_err(|cause| StacksError::Map { what: "what was matched", cause })?;
        let mut sum = abi::Matched { allocations: 0, pages: 0, failures: 0, samples: 0 };
        for cpu in buffer.chunks_exact(WORDS) {
            let [allocations, pages, failures, samples] = *cpu else { continue };
            sum.allocations += allocations;
            sum.pages += pages;
            sum.failures += failures;
            sum.samples += samples;
        }
        Ok(sum)
    }

    /// What could not be kept until now.
    pub fn losses(&self) -> Result<Losses, StacksError> {
        let get =
            |what: abi::Loss| self.lost.get(what as u32).map_err(|cause| StacksError::Map { what: "losses", cause });
        let probe = self.object.coverage().into_iter().next();
        Ok(Losses {
            kernel_walks_failed: get(abi::Loss::KernelWalk)?,
            user_walks_failed: get(abi::Loss::UserWalk)?,
            stack_collisions: get(abi::Loss::Collision)?,
            stacks_full: get(abi::Loss::StacksFull)?,
            counts_full: get(abi::Loss::CountsFull)?,
            recursion_misses: probe.and_then(|p| p.recursion_misses),
        })
    }
}

/// Fills the maps of the filter.
fn fill(ebpf: &mut Ebpf, filter: &Filter) -> io::Result<()> {
    if !filter.pids.is_empty() {
        let map = ebpf.map_mut("obs_stk_tgids").ok_or_else(|| io::Error::other("the object has no obs_stk_tgids"))?;
        let mut map: HashMap<_, u32, u32> = HashMap::try_from(map).map_err(io::Error::other)?;
        filter.pids.iter().try_for_each(|pid| map.insert(pid, 1, 0)).map_err(io::Error::other)?;
    }
    if let Some(cgroups) = &filter.cgroups {
        let map =
            ebpf.map_mut("obs_stk_cgroups").ok_or_else(|| io::Error::other("the object has no obs_stk_cgroups"))?;
        let mut map: HashMap<_, u64, u32> = HashMap::try_from(map).map_err(io::Error::other)?;
        cgroups.iter().try_for_each(|id| map.insert(id.0, 1, 0)).map_err(io::Error::other)?;
    }
    Ok(())
}

/// The running kernel's type information.
pub fn kernel_btf() -> PathBuf {
    super::Options::default().btf
}
