//! How large the maps are, from one memory budget.

use observer_ebpf::abi::{Plain, buffers, compaction, drops, first_byte, kswapd, page_alloc, reclaim, retry, tcp};

/// Bytes that the kernel adds to each element of a preallocated hash: `struct htab_elem` and its share of buckets.
const HASH_OVERHEAD: usize = 80;

/// Elements of every map whose size is chosen at load time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Processes that page allocations are counted for.
    pub(super) alloc_processes: u32,
    /// Processes, orders and flags that failed page allocations are counted for.
    pub(super) alloc_failures: u32,
    /// Processes that asked kswapd to work.
    pub(super) kswapd_requesters: u32,
    /// Processes that reclaim is counted for.
    pub(super) reclaim_processes: u32,
    /// Reclaims at one time.
    pub(super) reclaims_in_flight: u32,
    /// Cgroups that reclaim is counted for.
    pub(super) reclaim_cgroups: u32,
    /// Sums of pages looked at.
    pub(super) scans: u32,
    /// Sums of waits inside of reclaim.
    pub(super) throttles: u32,
    /// Cgroups that compaction is counted for.
    pub(super) compacting_cgroups: u32,
    /// Processes, orders and types that fallbacks are counted for.
    pub(super) fallbacks: u32,
    /// Processes that retries are counted for.
    pub(super) retries: u32,
    /// Network namespaces that TCP is counted for, one value a possible CPU.
    pub(super) namespaces: u32,
    /// Open connections whose begin is remembered.
    pub(super) births: u32,
    /// Groups of closed connections.
    pub(super) closed: u32,
    /// Bytes of the ring buffer of connections that ended: a power of two.
    pub(super) ended: u32,
    /// Connections that wait for their first byte.
    pub(super) pending: u32,
    /// Sums of first bytes.
    pub(super) first_bytes: u32,
    /// Places at which packets are dropped, one value a possible CPU.
    pub(super) drops: u32,
    /// Groups of sockets whose buffers had no room, one value a possible CPU.
    pub(super) buffers: u32,
}

impl Sizes {
    /// Shares a budget in bytes on a machine of so many possible CPUs, in 80ths: a quarter to page allocations, which every
    /// process has.
    pub(super) fn within(budget: usize, cpus: usize) -> Self {
        let part = |n: usize| budget / 80 * n;
        Self {
            alloc_processes: share::<page_alloc::Key, page_alloc::Value>(part(40) / 2, 262_144),
            alloc_failures: share::<page_alloc::FailureKey, page_alloc::Failure>(part(1) / 2, 8192),
            kswapd_requesters: share::<kswapd::RequesterKey, kswapd::Requester>(part(3), 16_384),
            reclaim_processes: share::<reclaim::ProcessKey, reclaim::ByProcess>(part(7), 32_768),
            reclaims_in_flight: share::<reclaim::InFlightKey, reclaim::InFlight>(part(3), 32_768),
            reclaim_cgroups: share::<reclaim::CgroupKey, reclaim::ByCgroup>(part(7), 16_384),
            scans: share::<reclaim::ScanKey, reclaim::Scan>(part(1) / 2, 16_384),
            throttles: share::<reclaim::ThrottleKey, reclaim::Throttle>(part(1) / 2, 16_384),
            compacting_cgroups: share::<compaction::Key, compaction::Value>(part(2), 8192),
            fallbacks: share::<compaction::FallbackKey, compaction::Fallback>(part(1), 16_384),
            retries: share::<retry::Key, retry::Value>(part(1), 16_384),
            namespaces: share_bytes(part(4), size_of::<tcp::Counts>() * cpus, 4096),
            births: share::<u64, tcp::Birth>(part(7), 65_536),
            closed: share::<tcp::ClosedKey, tcp::Closed>(part(4), 16_384),
            ended: ring(part(16)),
            pending: share::<u64, first_byte::Pending>(part(1), 32_768),
            first_bytes: share::<first_byte::Key, first_byte::Value>(part(2), 4096),
            drops: share_bytes(part(1) / 4, size_of::<drops::Key>() + size_of::<u64>() * cpus, 2048),
            buffers: share_bytes(part(1) / 4, size_of::<buffers::Key>() + size_of::<buffers::Value>() * cpus, 1024),
        }
    }

    /// Name and number of elements of each map.
    pub(super) fn entries(&self) -> [(&'static str, u32); 19] {
        [
            ("obs_tcp_netns", self.namespaces),
            ("obs_tcp_births", self.births),
            ("obs_tcp_closed", self.closed),
            ("obs_tcp_ended", self.ended),
            ("obs_alloc_procs", self.alloc_processes),
            ("obs_alloc_fails", self.alloc_failures),
            ("obs_kswapd_reqs", self.kswapd_requesters),
            ("obs_rec_process", self.reclaim_processes),
            ("obs_rec_begun", self.reclaims_in_flight),
            ("obs_rec_cgroup", self.reclaim_cgroups),
            ("obs_rec_scans", self.scans),
            ("obs_rec_waits", self.throttles),
            ("obs_cmp_cgroup", self.compacting_cgroups),
            ("obs_extfrag_who", self.fallbacks),
            ("obs_retries", self.retries),
            ("obs_fb_pending", self.pending),
            ("obs_fb_groups", self.first_bytes),
            ("obs_drops", self.drops),
            ("obs_buffers", self.buffers),
        ]
    }
}

/// Elements that fit into some bytes, not fewer than are of any use and not more than are ever needed.
fn share<K: Plain, V: Plain>(bytes: usize, most: u32) -> u32 {
    share_bytes(bytes, size_of::<K>() + size_of::<V>(), most)
}

fn share_bytes(bytes: usize, element: usize, most: u32) -> u32 {
    const LEAST: u32 = 256;
    u32::try_from(bytes / (element + HASH_OVERHEAD)).unwrap_or(u32::MAX).clamp(LEAST, most)
}

/// Bytes of a ring buffer, which the kernel wants to be a power of two and whole pages, of whatever size those are.
fn ring(bytes: usize) -> u32 {
    const LEAST: u32 = 64 << 10;
    const MOST: u32 = 64 << 20;
    let bytes = u32::try_from(bytes).unwrap_or(MOST).clamp(LEAST, MOST);
    1 << bytes.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_stay_within_the_budget_and_never_vanish() {
        let sizes = Sizes::within(20 << 20, 8);
        let element = size_of::<page_alloc::Key>() + size_of::<page_alloc::Value>() + HASH_OVERHEAD;
        assert!(sizes.alloc_processes as usize * element <= 6 << 20);
        assert!(sizes.alloc_processes > 10_000, "a busy host has that many processes");
        assert!(Sizes::within(0, 512).entries().iter().all(|(name, n)| *n == 256 || *name == "obs_tcp_ended"));
        assert_eq!((sizes.ended, Sizes::within(0, 1).ended), (4 << 20, 64 << 10));
    }
}
