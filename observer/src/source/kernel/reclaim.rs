//! Reads reclaim: what ended by cgroup and by process, and what is in flight.

use std::io;

use aya::Ebpf;
use observer_ebpf::abi::reclaim::{
    ByCgroup, ByProcess, CgroupKey, DIRECT, InFlight as RawInFlight, InFlightKey, ProcessKey, Totals,
};

use super::{cgroup, histogram, living::Liveness, maps::Table};
use crate::snapshot::{
    Name,
    reclaim::{CgroupReclaim, InFlight, ProcessReclaim, Reclaim, ReclaimKind, ReclaimTotals},
};

/// Reader of the reclaim maps.
#[derive(Debug)]
pub(super) struct Reader {
    by_cgroup: Table<CgroupKey, ByCgroup>,
    by_process: Table<ProcessKey, ByProcess>,
    in_flight: Table<InFlightKey, RawInFlight>,
    liveness: Liveness,
    page_size: u64,
    capacity: u32,
}

impl Reader {
    /// Opens the maps; `capacity` is the number of processes that the kernel side keeps.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32, page_size: u64) -> io::Result<Self> {
        Ok(Self {
            by_cgroup: Table::open(ebpf, "obs_rec_cgroup")?,
            by_process: Table::open(ebpf, "obs_rec_process")?,
            in_flight: Table::open(ebpf, "obs_rec_begun")?,
            liveness: Liveness::new(),
            page_size,
            capacity,
        })
    }

    /// Reads everything.
    pub(super) fn read(&mut self) -> io::Result<Reclaim> {
        let mut out = Reclaim::default();
        let page_size = self.page_size;
        self.by_cgroup.for_each(|key, value| {
            out.by_cgroup.push(CgroupReclaim {
                cgroup: cgroup(key.cgroup),
                kind: kind(key.kind),
                totals: totals(&value.totals, page_size),
                latency_ns: histogram(&value.latency),
            });
        })?;
        // What ended processes did stays in the counts of their cgroup.
        let (processes, _) = self.liveness.rows(&mut self.by_process, self.capacity, |key| key.tgid)?;
        out.by_process = processes.iter().map(|(key, value)| process(key, value, page_size)).collect();
        self.in_flight.for_each(|key, value| out.in_flight.push(in_flight(key, value)))?;
        Ok(out)
    }
}

fn kind(kind: u32) -> ReclaimKind {
    if kind == DIRECT { ReclaimKind::Direct } else { ReclaimKind::Memcg }
}

fn totals(raw: &Totals, page_size: u64) -> ReclaimTotals {
    ReclaimTotals { count: raw.count, total_ns: raw.total_ns, reclaimed_bytes: raw.pages.saturating_mul(page_size) }
}

fn process(key: &ProcessKey, value: &ByProcess, page_size: u64) -> ProcessReclaim {
    ProcessReclaim {
        pid: key.tgid,
        comm: Name::from_c_bytes(&value.comm),
        cgroup: cgroup(key.cgroup),
        kind: kind(key.kind),
        totals: totals(&value.totals, page_size),
        latency_ns: histogram(&value.latency.map(u64::from)),
    }
}

fn in_flight(key: &InFlightKey, value: &RawInFlight) -> InFlight {
    InFlight {
        tid: key.tid,
        pid: value.tgid,
        comm: Name::from_c_bytes(&value.comm),
        cgroup: cgroup(value.cgroup),
        kind: kind(key.kind),
        begin_ns: value.begin_ns,
        order: value.order,
    }
}
