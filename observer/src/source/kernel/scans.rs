//! Reads what reclaim looked at, and where it waited.

use std::io;

use aya::Ebpf;
use observer_ebpf::abi::reclaim::{self as abi, ScanKey, ThrottleKey};

use super::{cgroup, maps::Table, names::Words};
use crate::snapshot::reclaim::{Scan, Scanner, Throttle};

/// Reader of the map of scans.
#[derive(Debug)]
pub(super) struct ScanReader {
    scans: Table<ScanKey, abi::Scan>,
    page_size: u64,
}

impl ScanReader {
    /// Opens the map.
    pub(super) fn open(ebpf: &Ebpf, page_size: u64) -> io::Result<Self> {
        Ok(Self { scans: Table::open(ebpf, "obs_rec_scans")?, page_size })
    }

    /// Reads all sums.
    pub(super) fn read(&mut self) -> io::Result<Vec<Scan>> {
        let mut rows = Vec::new();
        let page_size = self.page_size;
        self.scans.for_each(|key, value| {
            rows.push(Scan {
                node: key.node,
                by: if u32::from(key.by) == abi::KSWAPD { Scanner::Kswapd } else { Scanner::Task },
                cgroup: cgroup(key.cgroup),
                file: key.file != 0,
                scanned_bytes: value.scanned.saturating_mul(page_size),
                reclaimed_bytes: value.reclaimed.saturating_mul(page_size),
            });
        })?;
        Ok(rows)
    }
}

/// Reader of the map of waits.
#[derive(Debug)]
pub(super) struct ThrottleReader {
    throttles: Table<ThrottleKey, abi::Throttle>,
    reasons: Words,
}

impl ThrottleReader {
    /// Opens the map; `reasons` are the words for the kernel's numbers.
    pub(super) fn open(ebpf: &Ebpf, reasons: Words) -> io::Result<Self> {
        Ok(Self { throttles: Table::open(ebpf, "obs_rec_waits")?, reasons })
    }

    /// Reads all sums.
    pub(super) fn read(&mut self) -> io::Result<Vec<Throttle>> {
        let mut rows = Vec::new();
        let reasons = &self.reasons;
        self.throttles.for_each(|key, value| {
            rows.push(Throttle {
                cgroup: cgroup(key.cgroup),
                reason: reasons.get(key.reason),
                count: value.count,
                total_ns: value.total_us.saturating_mul(1000),
            });
        })?;
        Ok(rows)
    }
}
