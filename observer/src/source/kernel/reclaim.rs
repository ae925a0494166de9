//! Reads reclaim: what ended by cgroup and by process, and what is in flight.

use std::{collections::HashSet, io};

use aya::Ebpf;
use observer_ebpf::abi::reclaim::{
    ByCgroup, ByProcess, CgroupKey, DIRECT, InFlight as RawInFlight, InFlightKey, ProcessKey, Totals,
};

use super::{cgroup, histogram, living::Liveness, maps::Table};
use crate::snapshot::{
    CgroupId, Name,
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
    /// Cgroups that the kernel side keeps.
    cgroups: u32,
    /// Keys of cgroups that were gone at the last read already: no task reclaims in their name any more.
    gone: HashSet<CgroupKey>,
    /// What was reclaimed in cgroups whose rows were taken out.
    vanished: Vec<CgroupReclaim>,
}

impl Reader {
    /// Opens the maps; `capacity` is the number of processes that the kernel side keeps, `cgroups` that of cgroups.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32, cgroups: u32, page_size: u64) -> io::Result<Self> {
        Ok(Self {
            by_cgroup: Table::open(ebpf, "obs_rec_cgroup")?,
            by_process: Table::open(ebpf, "obs_rec_process")?,
            in_flight: Table::open(ebpf, "obs_rec_begun")?,
            liveness: Liveness::new(),
            page_size,
            capacity,
            cgroups,
            gone: HashSet::new(),
            vanished: Vec::new(),
        })
    }

    /// Reads everything. `is_gone` tells whether a cgroup surely is no more.
    pub(super) fn read(&mut self, is_gone: &dyn Fn(CgroupId) -> bool) -> io::Result<Reclaim> {
        let mut out = Reclaim { by_cgroup: self.read_cgroups(is_gone)?, ..Reclaim::default() };
        out.vanished.clone_from(&self.vanished);
        let page_size = self.page_size;
        // What ended processes did stays in the counts of their cgroup.
        let (processes, _) = self.liveness.rows(&mut self.by_process, self.capacity, |key| (key.tgid, key.start_ns))?;
        out.by_process = processes.iter().map(|(key, value)| process(key, value, page_size)).collect();
        let liveness = self.liveness;
        self.in_flight.for_each(|key, value| {
            if !liveness.is_gone(value.tgid) {
                out.in_flight.push(in_flight(key, value));
            }
        })?;
        Ok(out)
    }

    /// When the map is more than half full, rows of cgroups that are gone are summed and taken out.
    fn read_cgroups(&mut self, is_gone: &dyn Fn(CgroupId) -> bool) -> io::Result<Vec<CgroupReclaim>> {
        let (mut rows, page_size) = (Vec::new(), self.page_size);
        self.by_cgroup.for_each(|key, value| rows.push((*key, by_cgroup(key, value, page_size))))?;
        if rows.len() <= self.cgroups as usize / 2 {
            return Ok(rows.into_iter().map(|(_, row)| row).collect());
        }
        let (mut kept, mut gone) = (Vec::with_capacity(rows.len()), HashSet::new());
        for (key, row) in rows {
            if key.cgroup == 0 || !is_gone(CgroupId(key.cgroup)) {
                kept.push(row);
            } else if self.gone.contains(&key) {
                self.by_cgroup.delete(&key)?;
                self.forget(row);
            } else {
                gone.insert(key);
                kept.push(row);
            }
        }
        self.gone = gone;
        Ok(kept)
    }

    fn forget(&mut self, row: CgroupReclaim) {
        match self.vanished.iter_mut().find(|v| v.kind == row.kind) {
            Some(sum) => {
                sum.totals.add(&row.totals);
                sum.latency_ns.add(&row.latency_ns);
            }
            None => self.vanished.push(CgroupReclaim { cgroup: None, ..row }),
        }
    }
}

fn by_cgroup(key: &CgroupKey, value: &ByCgroup, page_size: u64) -> CgroupReclaim {
    CgroupReclaim {
        cgroup: cgroup(key.cgroup),
        kind: kind(key.kind),
        totals: totals(&value.totals, page_size),
        latency_ns: histogram(&value.latency),
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
