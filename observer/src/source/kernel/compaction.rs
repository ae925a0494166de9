//! Reads compaction, and the fallbacks that mix migrate types.

use std::io;

use aya::Ebpf;
use observer_ebpf::abi::compaction::{self as abi, FallbackKey, Key, Value};

use super::{
    cgroup, histogram,
    living::Liveness,
    maps::{Array, Table},
    names::{Enums, Words},
    room::CgroupTable,
};
use crate::snapshot::{
    CgroupId, Name,
    compaction::{CgroupCompaction, CompactResult, Compaction, Compactor, Extfrag, Fallback},
};

/// Reader of the map of compactions.
#[derive(Debug)]
pub(super) struct CompactionReader {
    by_cgroup: CgroupTable<Key, Value>,
    results: Words,
}

impl CompactionReader {
    /// Opens the map; `capacity` is the number of rows that the kernel side keeps.
    pub(super) fn open(ebpf: &Ebpf, enums: &Enums, capacity: u32) -> io::Result<Self> {
        let by_cgroup = CgroupTable::open(ebpf, "obs_cmp_cgroup", capacity)?;
        Ok(Self { by_cgroup, results: enums.compact_result.clone() })
    }

    /// Reads all sums. `is_gone` tells whether a cgroup surely is no more.
    pub(super) fn read(&mut self, is_gone: &dyn Fn(CgroupId) -> bool) -> io::Result<Compaction> {
        let rows = self.by_cgroup.read(|key| key.cgroup, is_gone)?;
        let row = |(key, value): &(Key, Value)| {
            let ended = (0u32..).zip(&value.results).filter(|(_, count)| **count > 0);
            CgroupCompaction {
                cgroup: cgroup(key.cgroup),
                by: if key.by == abi::DIRECT { Compactor::Direct } else { Compactor::Kcompactd },
                results: ended.map(|(n, count)| CompactResult { result: self.results.get(n), count: *count }).collect(),
                total_ns: value.total_ns,
                latency_ns: histogram(&value.latency),
            }
        };
        Ok(Compaction { by_cgroup: rows.iter().map(row).collect() })
    }
}

/// Reader of the map of fallbacks.
#[derive(Debug)]
pub(super) struct ExtfragReader {
    fallbacks: Table<FallbackKey, abi::Fallback>,
    other: Array<u64>,
    types: Words,
    liveness: Liveness,
    /// Fallbacks of processes that have ended and were taken out to make room.
    ended: u64,
    capacity: u32,
}

impl ExtfragReader {
    /// Opens the maps; `capacity` is the number of rows that the kernel side keeps.
    pub(super) fn open(ebpf: &Ebpf, enums: &Enums, capacity: u32) -> io::Result<Self> {
        Ok(Self {
            fallbacks: Table::open(ebpf, "obs_extfrag_who")?,
            other: Array::open(ebpf, "obs_extfrag_rest")?,
            types: enums.migrate_type.clone(),
            liveness: Liveness::new(),
            ended: 0,
            capacity,
        })
    }

    /// Reads all counts.
    pub(super) fn read(&mut self) -> io::Result<Extfrag> {
        let (living, gone) = self.liveness.rows(&mut self.fallbacks, self.capacity, |key| (key.tgid, key.start_ns))?;
        self.ended += gone.iter().map(|(_, value)| value.count).sum::<u64>();
        let row = |(key, value): &(FallbackKey, abi::Fallback)| Fallback {
            cgroup: cgroup(key.cgroup),
            pid: key.tgid,
            comm: Name::from_c_bytes(&value.comm),
            order: key.order.into(),
            wanted: self.types.get(key.wanted.into()),
            taken: self.types.get(key.taken.into()),
            count: value.count,
        };
        Ok(Extfrag { rows: living.iter().map(row).collect(), other: self.other.get(0)? + self.ended })
    }
}
