//! Everything that a program could not keep, each with its counter.

/// Index of a counter in the map of losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Loss {
    /// Ended reclaims whose begin was not seen: they began before the probe.
    ReclaimBeginUnseen,
    /// Reclaims that found no place in the map of those in flight.
    ReclaimInFlightFull,
    /// Ended reclaims whose cgroup found no place.
    ReclaimCgroupsFull,
    /// Ended reclaims whose process found no place; they are counted by cgroup.
    ReclaimProcessesFull,
    /// Pages looked at or waits whose cgroup found no place.
    ReclaimScansFull,
    /// Ended compactions whose begin was not seen: they began before the probe, or found no place.
    CompactionBeginUnseen,
    /// Ended compactions whose cgroup found no place.
    CompactionCgroupsFull,
    /// Ended calls of shrinkers whose begin was not seen: they began before the probe, or found no place.
    ShrinkerBeginUnseen,
    /// Ended calls of shrinkers whose function found no place.
    ShrinkersFull,
    /// OOM events that found no place in the ring buffer; they are counted.
    OomRingFull,
    /// Events of network namespaces that found no place.
    TcpNamespacesFull,
    /// Failed page allocations whose flags found no place; they are counted by order.
    AllocFailuresFull,
}

/// Every loss with its words, in the order of the indexes.
pub const LOSSES: &[(Loss, &str)] = &[
    (Loss::ReclaimBeginUnseen, "reclaim: ended, but begun before the probe"),
    (Loss::ReclaimInFlightFull, "reclaim: not timed, map of those in flight full"),
    (Loss::ReclaimCgroupsFull, "reclaim: not counted, map of cgroups full"),
    (Loss::ReclaimProcessesFull, "reclaim: not counted by process, map full"),
    (Loss::ReclaimScansFull, "reclaim: scans or waits not counted, map full"),
    (Loss::CompactionBeginUnseen, "compaction: ended, but its begin was not seen"),
    (Loss::CompactionCgroupsFull, "compaction: not counted, map of cgroups full"),
    (Loss::ShrinkerBeginUnseen, "shrinkers: ended, but its begin was not seen"),
    (Loss::ShrinkersFull, "shrinkers: not counted, map full"),
    (Loss::OomRingFull, "oom: events lost, ring buffer full"),
    (Loss::TcpNamespacesFull, "tcp: events not counted, map of namespaces full"),
    (Loss::AllocFailuresFull, "page_alloc: flags of failures not kept, map full"),
];
