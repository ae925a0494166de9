//! Memory of the host, file by file.

mod basic;
mod hugepages;
mod nodes;
mod paced;
mod pagetypeinfo;
mod shm;
mod slabinfo;
mod swap;
mod tmpfs;
mod zoneinfo;

pub use basic::{buddyinfo, meminfo, vmstat};
pub use pagetypeinfo::pagetypeinfo;
pub use shm::sysv;
pub use slabinfo::slabinfo;
pub use zoneinfo::zoneinfo;

use std::time::Instant;

use super::{
    SourceError,
    collect::noted,
    file::{Buffer, Root},
};
use crate::snapshot::{
    Stamp,
    coverage::{Coverage, Source},
    memory::{Memory, PageTypes, Shmem, Slabs},
};
use paced::Paced;

/// Share of the time that may go into a file whose reading costs the kernel something.
const SHARE: f64 = 0.01;
/// The same for /proc/pagetypeinfo, whose reading walks free lists with a zone locked and interrupts off.
const SHARE_LOCKED: f64 = 0.001;

/// Reads what costs more than a glance, each no more often than its cost allows: what is read again in a later snapshot
/// carries the moment of its reading.
#[derive(Debug)]
pub struct CostlyMemory {
    slabs: Paced<Slabs>,
    page_types: Paced<PageTypes>,
    shmem: Paced<Shmem>,
}

impl Default for CostlyMemory {
    fn default() -> Self {
        Self { slabs: Paced::new(SHARE), page_types: Paced::new(SHARE_LOCKED), shmem: Paced::new(SHARE) }
    }
}

impl CostlyMemory {
    /// Fills in slab caches, migrate types, tmpfs and shared memory, swap devices, nodes and huge pages.
    pub fn read(
        &mut self,
        root: &Root,
        buffer: &mut Buffer,
        page_size: u64,
        stamp: Stamp,
        memory: &mut Memory,
        coverage: &mut Coverage,
    ) {
        let (now, read_ns) = (Instant::now(), stamp.monotonic_ns);
        memory.slabs = self.slabs.read(now, Source::SLABINFO, coverage, || {
            buffer.parse(root, Source::SLABINFO, |b| slabinfo(b, page_size)).map(|slabs| Slabs { read_ns, ..slabs })
        });
        memory.page_types = self.page_types.read(now, Source::PAGETYPEINFO, coverage, || {
            let read = buffer.parse(root, Source::PAGETYPEINFO, |b| pagetypeinfo(b, page_size));
            read.map(|types| PageTypes { read_ns, ..types })
        });
        memory.shmem = self
            .shmem
            .read(now, Source::TMPFS, coverage, || tmpfs::read(root, buffer).map(|shmem| Shmem { read_ns, ..shmem }));
        if let Some(shmem) = &mut memory.shmem {
            shmem.sysv = noted(coverage, Source::SYSVIPC, || buffer.parse(root, Source::SYSVIPC, sysv));
        }
        memory.swap = noted(coverage, Source::SWAPS, || swap::read(root, buffer));
        memory.nodes = noted(coverage, Source::NODES, || nodes::read(root, buffer));
        memory.hugepages = noted(coverage, Source::HUGEPAGES, || hugepages::read(root, buffer));
        zoneinfo::fill_highatomic(memory, page_size);
    }
}

/// Names of the entries of a folder that begin with `prefix`, without it, in order.
fn entries(root: &Root, folder: &str, prefix: &str) -> Result<Vec<String>, SourceError> {
    let list = std::fs::read_dir(root.path(folder)).map_err(|e| SourceError::io("list", folder, e))?;
    let names = list.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter_map(|name| name.strip_prefix(prefix).map(str::to_owned)).collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    Ok(names)
}
