//! Where RAM is, and what no counter explains.

use serde::Serialize;

use crate::{
    model::interval::{Interval, ratio},
    snapshot::memory::{Meminfo, Memory},
};

/// RAM by use. The parts do not overlap.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Breakdown {
    /// RAM that the kernel manages.
    pub total: u64,
    /// Every use that a counter tells, in a fixed order; together with [`Self::unexplained`] they are the total.
    pub parts: Vec<Part>,
    /// What is left when every part is taken from the total: pages that a driver or another part of the kernel took for
    /// itself. Negative where counters that are read one after the other overlap.
    pub unexplained: i64,
    /// Counters that this kernel lacks or that could not be read: their memory is in [`Self::unexplained`].
    pub not_counted: Vec<&'static str>,
}

/// One use of RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is, such as `anonymous`.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// The counters that tell it, such as `/proc/meminfo AnonPages`.
    pub source: &'static str,
}

/// A part: its name, its counters, and how to read it.
type Row = (&'static str, &'static str, fn(&Memory) -> Option<u64>);

/// The parts, in the order in which they are shown.
const ROWS: &[Row] = &[
    ("free", "/proc/meminfo MemFree", |m| info(m)?.free),
    ("free, in the lists of the CPUs", "/proc/zoneinfo pagesets count", |m| {
        // A zone without memory has no such lists.
        m.zones.as_ref()?.iter().filter(|z| z.managed != Some(0)).map(|z| z.per_cpu).sum()
    }),
    ("anonymous", "/proc/meminfo AnonPages", |m| info(m)?.anon_pages),
    ("page cache of files", "/proc/meminfo Cached - Shmem + Buffers", |m| {
        let info = info(m)?;
        Some(info.cached?.saturating_sub(info.shmem?) + info.buffers.unwrap_or(0))
    }),
    ("tmpfs and shared memory", "/proc/meminfo Shmem", |m| info(m)?.shmem),
    ("swap cache", "/proc/meminfo SwapCached", |m| {
        let info = info(m)?;
        // Anonymous pages that are mapped as well are in AnonPages already: only the rest is memory of its own.
        Some(info.swap_cached?.min(lru(info)?.saturating_sub(info.anon_pages? + cache(info)?)))
    }),
    ("slab, reclaimable", "/proc/meminfo SReclaimable", |m| info(m)?.slab_reclaimable),
    ("slab, unreclaimable", "/proc/meminfo SUnreclaim", |m| info(m)?.slab_unreclaimable),
    ("kernel stacks", "/proc/meminfo KernelStack", |m| info(m)?.kernel_stack),
    ("page tables", "/proc/meminfo PageTables", |m| info(m)?.page_tables),
    ("page tables of guests", "/proc/meminfo SecPageTables", |m| {
        // Kernels that count the page tables of the IOMMU apart count them here as well.
        let iommu = m.vmstat.as_ref().and_then(|v| v.nr_iommu_pages_bytes);
        Some(info(m)?.sec_page_tables?.saturating_sub(iommu.unwrap_or(0)))
    }),
    ("vmalloc, without the stacks in it", "/proc/meminfo VmallocUsed - KernelStack", |m| {
        let info = info(m)?;
        Some(info.vmalloc_used?.saturating_sub(info.kernel_stack?))
    }),
    ("per-CPU allocations", "/proc/meminfo Percpu", |m| info(m)?.percpu),
    ("huge page pools", "/proc/meminfo Hugetlb", |m| info(m)?.hugetlb),
    ("compressed pages of zram and zswap", "/proc/vmstat nr_zspages", |m| m.vmstat.as_ref()?.nr_zspages_bytes),
    ("kernel, other reclaimable", "/proc/meminfo KReclaimable - SReclaimable", |m| {
        let info = info(m)?;
        Some(info.kernel_reclaimable?.saturating_sub(info.slab_reclaimable?))
    }),
    ("bounce buffers", "/proc/meminfo Bounce", |m| info(m)?.bounce),
    ("page tables of the IOMMU", "/proc/vmstat nr_iommu_pages", |m| m.vmstat.as_ref()?.nr_iommu_pages_bytes),
    ("given to the hypervisor", "/proc/meminfo Balloon", |m| info(m)?.balloon),
];

/// Counters that came late to the kernel and count little: without them nothing is said to be missing.
const MAY_LACK: &[&str] =
    &["/proc/meminfo SecPageTables", "/proc/vmstat nr_iommu_pages", "/proc/meminfo Balloon", "/proc/vmstat nr_zspages"];

fn info(memory: &Memory) -> Option<&Meminfo> {
    memory.meminfo.as_ref()
}

/// Pages on the LRU lists: anonymous, of files, tmpfs and swap cache, each once.
fn lru(info: &Meminfo) -> Option<u64> {
    Some(info.active? + info.inactive? + info.unevictable?)
}

fn cache(info: &Meminfo) -> Option<u64> {
    Some(info.cached? + info.buffers.unwrap_or(0))
}

impl Breakdown {
    pub(super) fn new(now: &Memory) -> Option<Self> {
        let total = info(now)?.total?;
        let (mut parts, mut not_counted) = (Vec::with_capacity(ROWS.len()), Vec::new());
        for (name, source, bytes) in ROWS {
            match bytes(now) {
                Some(bytes) => parts.push(Part { name, bytes, source }),
                None if MAY_LACK.contains(source) => {}
                None => not_counted.push(*source),
            }
        }
        let sum: u64 = parts.iter().map(|p| p.bytes).sum();
        Some(Self { total, parts, unexplained: total.cast_signed() - sum.cast_signed(), not_counted })
    }

    /// Growth of what is unexplained, in bytes a second. `None` where a counter is missing on either side: it would be taken
    /// for growth when it comes or goes.
    pub(super) fn growth_since(&self, before: &Self, interval: Interval) -> Option<f64> {
        let complete = self.not_counted.is_empty() && before.not_counted.is_empty();
        complete.then(|| (self.unexplained - before.unexplained) as f64 / interval.seconds)
    }

    /// What is unexplained as a share of RAM; 0 where counters overlap.
    pub fn unexplained_ratio(&self) -> Option<f64> {
        ratio(u64::try_from(self.unexplained).unwrap_or(0), self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(unexplained: u64) -> Memory {
        let info = Meminfo {
            total: Some(990 + unexplained),
            free: Some(100),
            anon_pages: Some(300),
            cached: Some(250),
            shmem: Some(50),
            buffers: Some(10),
            active: Some(400),
            inactive: Some(160),
            unevictable: Some(0),
            swap_cached: Some(0),
            slab_reclaimable: Some(60),
            slab_unreclaimable: Some(80),
            kernel_reclaimable: Some(70),
            kernel_stack: Some(20),
            page_tables: Some(30),
            vmalloc_used: Some(60),
            percpu: Some(50),
            hugetlb: Some(40),
            bounce: Some(0),
            ..Meminfo::default()
        };
        Memory { meminfo: Some(info), ..Memory::default() }
    }

    #[test]
    fn parts_and_the_unexplained_are_the_total() {
        let breakdown = Breakdown::new(&memory(77)).unwrap();
        let sum: u64 = breakdown.parts.iter().map(|p| p.bytes).sum();
        assert_eq!((sum, breakdown.unexplained), (990, 77));
        assert_eq!(breakdown.not_counted, ["/proc/zoneinfo pagesets count"], "zones were not read");
    }

    #[test]
    fn counters_that_overlap_give_less_than_nothing() {
        let mut memory = memory(0);
        memory.meminfo.as_mut().unwrap().anon_pages = Some(310);
        let breakdown = Breakdown::new(&memory).unwrap();
        assert_eq!((breakdown.unexplained, breakdown.unexplained_ratio()), (-10, Some(0.0)));
        assert_eq!(Breakdown::new(&Memory::default()), None);
    }
}
