//! The kernel side, loaded and read: eBPF maps, the ring buffer, iterators.
//!
//! [`Kernel::load`] never fails as a whole. What this kernel refuses is in the coverage, with the reason, what replaces it
//! and the command that would grant it.

mod bpf_sys;
pub mod btf;
mod fields;
mod living;
mod load;
mod maps;
mod page_alloc;
pub mod probes;
mod sizes;

use std::{io, os::fd::AsFd, path::PathBuf};

use load::Object;

use crate::snapshot::{
    Coverage, Name, Snapshot,
    coverage::{Loss, Source},
};

/// How to load.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes that the maps may take, roughly. Beyond it counts go to "other", exact in sum.
    pub memory_budget: usize,
    /// The running kernel's type information.
    pub btf: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { memory_budget: 16 << 20, btf: PathBuf::from("/sys/kernel/btf/vmlinux") }
    }
}

/// The kernel side. Dropping it, or the end of the process for any reason, detaches everything.
#[derive(Debug)]
pub struct Kernel {
    object: Object,
    page_alloc: Option<page_alloc::Reader>,
}

impl Kernel {
    /// Loads the eBPF object and attaches what this kernel takes.
    pub fn load(object: &[u8], options: &Options) -> (Self, Coverage) {
        let object = Object::load(object, options);
        let cpus = maps::possible_cpus().ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
        let page_alloc = object
            .ebpf
            .as_ref()
            .filter(|_| object.works("page_alloc"))
            .and_then(|ebpf| page_alloc::Reader::open(ebpf, cpus).ok());
        let kernel = Self { object, page_alloc };
        let mut coverage = Coverage::default();
        kernel.describe(&mut coverage);
        (kernel, coverage)
    }

    /// Reads every map into its part of the snapshot and adds probes and losses to the coverage.
    pub fn read(&mut self, snapshot: &mut Snapshot) {
        let flush = self.object.program("page_alloc_flush").map(AsFd::as_fd);
        let read = self.page_alloc.as_mut().map(|r| r.read(flush));
        snapshot.page_alloc = keep(read, "bpf map obs_alloc_procs", &mut snapshot.coverage);
        self.describe(&mut snapshot.coverage);
    }

    fn describe(&self, coverage: &mut Coverage) {
        let probes = self.object.coverage();
        let misses = probes.iter().filter_map(|p| Some((p, p.recursion_misses?)));
        coverage.losses.extend(misses.map(|(p, n)| loss(format!("{}: events missed by recursion", p.name), n)));
        coverage.probes.extend(probes);
        if let Some(reader) = &self.page_alloc {
            coverage.losses.push(loss("page_alloc: slots read late".to_owned(), reader.late()));
        }
    }
}

fn loss(what: String, count: u64) -> Loss {
    Loss { what, count }
}

/// Notes a read that failed, and gives what there is.
fn keep<T>(read: Option<io::Result<T>>, name: &str, coverage: &mut Coverage) -> Option<T> {
    let error = match read? {
        Ok(value) => return Some(value),
        Err(e) => e,
    };
    coverage
        .sources
        .push(Source { name: name.to_owned(), missing: Some(Name::from_bytes(error.to_string().as_bytes())) });
    None
}
