//! Reads how page allocations that failed were asked for.

use std::{collections::HashMap, io};

use aya::Ebpf;
use observer_ebpf::abi::page_alloc::{Failure, FailureKey};

use super::{cgroup, gfp::GfpNames, living::Liveness, maps::Table};
use crate::snapshot::{
    Name,
    coverage::Source,
    page_alloc::{AllocFailure, Failures},
};

/// Reader of the map of failures.
#[derive(Debug)]
pub(super) struct Reader {
    failures: Table<FailureKey, Failure>,
    liveness: Liveness,
    names: GfpNames,
    /// Failures of processes that have ended and were taken out to make room, by order and flags.
    ended: HashMap<(u32, u32), u64>,
    capacity: u32,
}

impl Reader {
    /// Opens the map; `capacity` is the number of rows that the kernel side keeps.
    pub(super) fn open(ebpf: &Ebpf, names: GfpNames, capacity: u32) -> io::Result<Self> {
        Ok(Self {
            failures: Table::open(ebpf, "obs_alloc_fails")?,
            liveness: Liveness::new(),
            names,
            ended: HashMap::new(),
            capacity,
        })
    }

    /// Reads all counts.
    pub(super) fn read(&mut self) -> io::Result<Failures> {
        let (living, gone) = self.liveness.rows(&mut self.failures, self.capacity, |key| (key.tgid, key.start_ns))?;
        for (key, value) in gone {
            *self.ended.entry((key.order, key.gfp)).or_default() += value.count;
        }
        let of_ended = self.ended.iter().map(|((order, gfp), count)| AllocFailure {
            order: *order,
            gfp: *gfp,
            count: *count,
            ..AllocFailure::default()
        });
        let rows: Vec<_> = living.iter().map(|(key, value)| failure(key, value)).chain(of_ended).collect();
        let flags = self.names.of(rows.iter().fold(0, |all, row| all | row.gfp));
        Ok(Failures { rows, flags })
    }

    /// Says why the flags have no names, if they have none.
    pub(super) fn source(&self) -> Option<Source> {
        self.names.missing().map(|why| Source { name: Source::GFP_FLAGS.to_owned(), missing: Some(why.clone()) })
    }
}

fn failure(key: &FailureKey, value: &Failure) -> AllocFailure {
    AllocFailure {
        cgroup: cgroup(key.cgroup),
        pid: Some(key.tgid),
        comm: Some(Name::from_c_bytes(&value.comm)),
        order: key.order,
        gfp: key.gfp,
        count: value.count,
    }
}
