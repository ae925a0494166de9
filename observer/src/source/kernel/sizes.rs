//! How large the maps are, from one memory budget.

use observer_ebpf::abi::{Plain, kswapd, page_alloc, reclaim};

/// Bytes that the kernel adds to each element of a preallocated hash: `struct htab_elem` and its share of buckets.
const HASH_OVERHEAD: usize = 80;

/// Elements of every map whose size is chosen at load time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Processes that page allocations are counted for.
    pub(super) alloc_processes: u32,
    /// Processes that asked kswapd to work.
    pub(super) kswapd_requesters: u32,
    /// Processes that reclaim is counted for.
    pub(super) reclaim_processes: u32,
    /// Reclaims at one time.
    pub(super) reclaims_in_flight: u32,
    /// Cgroups that reclaim is counted for.
    pub(super) reclaim_cgroups: u32,
}

impl Sizes {
    /// Shares a budget in bytes: half to page allocations, an eighth to each kind of reclaim, a sixteenth to kswapd.
    pub(super) fn within(budget: usize) -> Self {
        Self {
            alloc_processes: share::<page_alloc::Key, page_alloc::Value>(budget / 2, 262_144),
            kswapd_requesters: share::<kswapd::RequesterKey, kswapd::Requester>(budget / 16, 16_384),
            reclaim_processes: share::<reclaim::ProcessKey, reclaim::ByProcess>(budget / 8, 32_768),
            reclaims_in_flight: share::<reclaim::InFlightKey, reclaim::InFlight>(budget / 16, 32_768),
            reclaim_cgroups: share::<reclaim::CgroupKey, reclaim::ByCgroup>(budget / 8, 16_384),
        }
    }

    /// Name and number of elements of each map.
    pub(super) fn entries(&self) -> [(&'static str, u32); 5] {
        let Self { alloc_processes, kswapd_requesters, reclaim_processes, reclaims_in_flight, reclaim_cgroups } = *self;
        [
            ("obs_alloc_procs", alloc_processes),
            ("obs_kswapd_reqs", kswapd_requesters),
            ("obs_rec_process", reclaim_processes),
            ("obs_rec_begun", reclaims_in_flight),
            ("obs_rec_cgroup", reclaim_cgroups),
        ]
    }
}

/// Elements that fit into some bytes, not fewer than are of any use and not more than are ever needed.
fn share<K: Plain, V: Plain>(bytes: usize, most: u32) -> u32 {
    const LEAST: u32 = 256;
    let element = size_of::<K>() + size_of::<V>() + HASH_OVERHEAD;
    u32::try_from(bytes / element).unwrap_or(u32::MAX).clamp(LEAST, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_stay_within_the_budget_and_never_vanish() {
        let sizes = Sizes::within(16 << 20);
        let element = size_of::<page_alloc::Key>() + size_of::<page_alloc::Value>() + HASH_OVERHEAD;
        assert!(sizes.alloc_processes as usize * element <= 8 << 20);
        assert!(sizes.alloc_processes > 16_384, "a busy host has that many processes");
        assert!(Sizes::within(0).entries().iter().all(|(_, n)| *n == 256));
    }
}
