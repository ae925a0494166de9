//! tmpfs and shared memory over an interval.

use std::collections::HashMap;

use serde::Serialize;

use super::growth::{between, per_second};
use crate::{
    model::interval::{ratio, sort_descending},
    snapshot::{
        self,
        memory::{Meminfo, SysvShm},
    },
};

/// Memory of tmpfs and shared memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shmem {
    /// Every tmpfs, most bytes first.
    pub tmpfs: Vec<Tmpfs>,
    /// System V segments.
    pub sysv: Option<SysvShm>,
    /// Shared memory in RAM that is in no tmpfs seen and in no System V segment: memfd, shared anonymous mappings, the
    /// kernel's own, a tmpfs without a limit, or a mount namespace that was not read. What of a tmpfs is in swap makes it too low.
    pub outside: Option<u64>,
    /// Mount namespaces that were not looked into.
    pub namespaces_not_read: u64,
}

/// One tmpfs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tmpfs {
    /// The tmpfs as it stands.
    #[serde(flatten)]
    pub now: snapshot::memory::Tmpfs,
    /// Growth in bytes a second, negative while it shrinks.
    pub growth: Option<f64>,
    /// Bytes in use as a share of its size, 0 to 1. `None` without a limit.
    pub used_ratio: Option<f64>,
}

impl Tmpfs {
    /// True if it is known to hold nothing.
    pub fn is_empty(&self) -> bool {
        self.now.used == Some(0)
    }
}

impl Shmem {
    pub(super) fn new(
        now: &snapshot::memory::Shmem,
        before: Option<&snapshot::memory::Shmem>,
        meminfo: Option<&Meminfo>,
    ) -> Self {
        let interval = before.and_then(|b| between(now.read_ns, b.read_ns));
        let old: HashMap<_, _> =
            before.map(|b| b.tmpfs.iter().map(|t| (&t.device, t.used)).collect()).unwrap_or_default();
        let mut tmpfs: Vec<_> = now
            .tmpfs
            .iter()
            .map(|t| Tmpfs {
                growth: interval.and_then(|i| per_second(i, t.used, old.get(&t.device).copied().flatten())),
                used_ratio: t.used.zip(t.size).and_then(|(used, size)| ratio(used, size)),
                now: t.clone(),
            })
            .collect();
        sort_descending(&mut tmpfs, |t| t.now.used.unwrap_or(0) as f64);
        let seen = tmpfs.iter().filter_map(|t| t.now.used).sum::<u64>() + now.sysv.as_ref().map_or(0, |s| s.rss);
        Self {
            tmpfs,
            sysv: now.sysv.clone(),
            outside: meminfo.and_then(|m| m.shmem).map(|shmem| shmem.saturating_sub(seen)),
            namespaces_not_read: now.namespaces_not_read,
        }
    }
}
