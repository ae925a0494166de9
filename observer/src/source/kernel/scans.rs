//! Reads what reclaim looked at, and where it waited.

use std::io;

use aya::Ebpf;
use observer_ebpf::abi::reclaim::{self as abi, ScanKey, ThrottleKey};

use super::{cgroup, names::Words, room::CgroupTable};
use crate::snapshot::{
    CgroupId,
    reclaim::{Scan, Scanner, Throttle},
};

/// Reader of the map of scans.
#[derive(Debug)]
pub(super) struct ScanReader {
    scans: CgroupTable<ScanKey, abi::Scan>,
    page_size: u64,
}

impl ScanReader {
    /// Opens the map; `capacity` is the number of rows that the kernel side keeps.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32, page_size: u64) -> io::Result<Self> {
        Ok(Self { scans: CgroupTable::open(ebpf, "obs_rec_scans", capacity)?, page_size })
    }

    /// Reads all sums. `is_gone` tells whether a cgroup surely is no more.
    pub(super) fn read(&mut self, is_gone: &dyn Fn(CgroupId) -> bool) -> io::Result<Vec<Scan>> {
        let rows = self.scans.read(|key| key.cgroup, is_gone)?;
        let scan = |(key, value): &(ScanKey, abi::Scan)| Scan {
            node: key.node,
            by: if u32::from(key.by) == abi::KSWAPD { Scanner::Kswapd } else { Scanner::Task },
            cgroup: cgroup(key.cgroup),
            file: key.file != 0,
            scanned_bytes: value.scanned.saturating_mul(self.page_size),
            reclaimed_bytes: value.reclaimed.saturating_mul(self.page_size),
        };
        Ok(rows.iter().map(scan).collect())
    }
}

/// Reader of the map of waits.
#[derive(Debug)]
pub(super) struct ThrottleReader {
    throttles: CgroupTable<ThrottleKey, abi::Throttle>,
    reasons: Words,
}

impl ThrottleReader {
    /// Opens the map; `capacity` is the number of rows that the kernel side keeps, `reasons` are the words for the
    /// kernel's numbers.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32, reasons: Words) -> io::Result<Self> {
        Ok(Self { throttles: CgroupTable::open(ebpf, "obs_rec_waits", capacity)?, reasons })
    }

    /// Reads all sums. `is_gone` tells whether a cgroup surely is no more.
    pub(super) fn read(&mut self, is_gone: &dyn Fn(CgroupId) -> bool) -> io::Result<Vec<Throttle>> {
        let rows = self.throttles.read(|key| key.cgroup, is_gone)?;
        let throttle = |(key, value): &(ThrottleKey, abi::Throttle)| Throttle {
            cgroup: cgroup(key.cgroup),
            reason: self.reasons.get(key.reason),
            count: value.count,
            total_ns: value.total_us.saturating_mul(1000),
        };
        Ok(rows.iter().map(throttle).collect())
    }
}
