//! Reads page allocations: asks each CPU for its slot, then reads the map of processes.

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use aya::Ebpf;
use observer_ebpf::abi::page_alloc::{BUSY, FAILED, Key, ORDERS, Value};

use super::{
    bpf_sys, cgroup,
    living::{Liveness, in_ticks, is_replaced, newest},
    maps::{Array, Table},
};
use crate::snapshot::{
    CgroupId, Name,
    page_alloc::{self as snapshot, AllocCounts, CgroupAlloc, PageAlloc, ProcessAlloc},
};

const _: () = assert!(ORDERS == snapshot::ORDERS, "the snapshot tells other orders apart than the kernel side");

/// How long a CPU is asked again when the flush interrupted the probe there. The probe is at work for some nanoseconds, but
/// where an interrupt came on top of it, the packets of that interrupt are handled before it goes on: some milliseconds.
const PATIENCE: Duration = Duration::from_millis(100);

/// Cgroups whose ended processes are kept apart before those that are gone are summed.
const MOST_EXITED: usize = 2048;

/// Reader of the page allocation maps.
#[derive(Debug)]
pub(super) struct Reader {
    processes: Table<Key, Value>,
    other: Array<Value>,
    cpus: u32,
    liveness: Liveness,
    /// Keys of processes that were gone at the last read already. Nothing can run in their name any more, no slot holds
    /// them after the flush of this read, and so a key is deleted without losing a count.
    gone: HashSet<Key>,
    /// Counts of ended processes, whose keys were deleted from the map.
    exited: HashMap<u64, AllocCounts>,
    /// Counts of ended processes of cgroups that are gone.
    vanished: AllocCounts,
    /// Times a slot could not be flushed, so that a snapshot lacks what it held.
    late: u64,
}

impl Reader {
    /// Opens the maps.
    pub(super) fn open(ebpf: &Ebpf, cpus: u32) -> io::Result<Self> {
        Ok(Self {
            processes: Table::open(ebpf, "obs_alloc_procs")?,
            other: Array::open(ebpf, "obs_alloc_other")?,
            cpus,
            liveness: Liveness::new(),
            gone: HashSet::new(),
            exited: HashMap::new(),
            vanished: AllocCounts::default(),
            late: 0,
        })
    }

    /// Times that a CPU's slot could not be moved into the map before a read: the counts came with a later read.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// Reads all counts. `flush` is the program that empties the slots; without it they come late.
    /// `is_gone` tells whether a cgroup surely is no more.
    pub(super) fn read(
        &mut self,
        flush: Option<BorrowedFd<'_>>,
        is_gone: &dyn Fn(CgroupId) -> bool,
    ) -> io::Result<PageAlloc> {
        for cpu in 0..self.cpus {
            let done = flush.is_some_and(|program| flush_cpu(program, cpu));
            self.late += u64::from(!done);
        }
        let mut rows = Vec::new();
        self.processes.for_each(|key, value| rows.push((*key, process(key, value))))?;
        let newest = newest(rows.iter().map(|(key, _)| (key.tgid, key.start_ns)));
        let (mut processes, mut gone) = (Vec::with_capacity(rows.len()), HashSet::new());
        for (key, row) in rows {
            if !is_replaced(&newest, key.tgid, key.start_ns) && !self.liveness.is_gone(key.tgid) {
                processes.push(row);
            } else if self.gone.contains(&key) {
                self.processes.delete(&key)?;
                self.exited.entry(key.cgroup).or_default().add(&row.counts);
            } else {
                gone.insert(key);
                processes.push(row);
            }
        }
        self.gone = gone;
        self.fold_vanished(&processes, is_gone);
        let exited = self.exited.iter().map(|(id, counts)| CgroupAlloc { cgroup: cgroup(*id), counts: *counts });
        Ok(PageAlloc {
            processes,
            exited: exited.collect(),
            other: counts(&self.other.get(0)?),
            vanished: self.vanished,
            // Another reader's.
            failures: None,
        })
    }

    /// Bounds the memory of [`Self::exited`]. A cgroup that still has a row of a process is kept: its sum must not shrink.
    fn fold_vanished(&mut self, processes: &[ProcessAlloc], is_gone: &dyn Fn(CgroupId) -> bool) {
        if self.exited.len() <= MOST_EXITED {
            return;
        }
        let in_use: HashSet<u64> = processes.iter().filter_map(|p| p.cgroup).map(|id| id.0).collect();
        let vanished = &mut self.vanished;
        self.exited.retain(|id, counts| {
            let keep = *id == 0 || in_use.contains(id) || !is_gone(CgroupId(*id));
            if !keep {
                vanished.add(counts);
            }
            keep
        });
    }
}

/// Empties the slot of one CPU. False if that did not work. What a CPU that is off line held comes when it
/// is back.
fn flush_cpu(program: BorrowedFd<'_>, cpu: u32) -> bool {
    let begun = Instant::now();
    loop {
        match bpf_sys::run_on_cpu(program, cpu) {
            Ok(BUSY) if begun.elapsed() < PATIENCE => std::thread::yield_now(),
            Ok(BUSY) => return false,
            Ok(_) => return true,
            Err(e) => return e.raw_os_error() == Some(libc::ENXIO),
        }
    }
}

fn process(key: &Key, value: &Value) -> ProcessAlloc {
    ProcessAlloc {
        cgroup: cgroup(key.cgroup),
        pid: key.tgid,
        start_ns: (key.start_ns != 0).then(|| in_ticks(key.start_ns)),
        comm: Name::from_c_bytes(&value.comm),
        counts: counts(value),
    }
}

fn counts(value: &Value) -> AllocCounts {
    let mut out = AllocCounts::default();
    out.allocated.iter_mut().zip(&value.counts).for_each(|(to, n)| *to = *n);
    out.failed.iter_mut().zip(value.counts.iter().skip(FAILED)).for_each(|(to, n)| *to = *n);
    out
}
