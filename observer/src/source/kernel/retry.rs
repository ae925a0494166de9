//! Reads the retries of the page allocator.

use std::io;

use aya::Ebpf;
use observer_ebpf::abi::retry::{Key, RECLAIM, Value};

use super::{
    cgroup,
    living::Liveness,
    maps::{Array, Table},
};
use crate::snapshot::{
    Name,
    retry::{Retries, Retry, RetryKind},
};

/// Reader of the map of retries.
#[derive(Debug)]
pub(super) struct Reader {
    retries: Table<Key, Value>,
    other: Array<u64>,
    liveness: Liveness,
    /// Retries of processes that have ended and were taken out to make room.
    ended: u64,
    capacity: u32,
    page_size: u64,
}

impl Reader {
    /// Opens the maps; `capacity` is the number of rows that the kernel side keeps.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32, page_size: u64) -> io::Result<Self> {
        Ok(Self {
            retries: Table::open(ebpf, "obs_retries")?,
            other: Array::open(ebpf, "obs_retries_rest")?,
            liveness: Liveness::new(),
            ended: 0,
            capacity,
            page_size,
        })
    }

    /// Reads all counts.
    pub(super) fn read(&mut self) -> io::Result<Retries> {
        let (living, gone) = self.liveness.rows(&mut self.retries, self.capacity, |key| (key.tgid, key.start_ns))?;
        self.ended += gone.iter().map(|(_, value)| value.count).sum::<u64>();
        let rows = living.iter().map(|(key, value)| retry(key, value, self.page_size)).collect();
        Ok(Retries { rows, other: self.other.get(0)? + self.ended })
    }
}

fn retry(key: &Key, value: &Value, page_size: u64) -> Retry {
    let reclaim = key.kind == RECLAIM;
    Retry {
        cgroup: cgroup(key.cgroup),
        pid: key.tgid,
        comm: Name::from_c_bytes(&value.comm),
        kind: if reclaim { RetryKind::Reclaim } else { RetryKind::Compact },
        count: value.count,
        refused: value.refused,
        last_order: value.order,
        last_loops: value.loops,
        last_available_bytes: reclaim.then(|| value.available.saturating_mul(page_size)),
        last_min_bytes: reclaim.then(|| value.min.saturating_mul(page_size)),
    }
}
