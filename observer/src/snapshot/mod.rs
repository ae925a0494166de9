//! What was read from the kernel at one moment: raw, cumulative, serialisable, and the only thing that is recorded.
//!
//! Nothing here reads a file, a clock or a map; sources fill it and [`crate::model`] turns two of them into rates.
//! A value that could not be read is `None`, and [`Coverage`] says why. Sizes are bytes, times nanoseconds where the
//! name ends in `_ns`, else seconds. A counter only grows between two snapshots of the same boot.

pub mod buffers;
pub mod cgroup;
pub mod compaction;
pub mod container;
pub mod coverage;
pub mod cpu;
pub mod drops;
pub mod encapsulation;
pub mod fields;
pub mod histogram;
pub mod host;
pub mod ip;
pub mod kswapd;
pub mod link;
pub mod memory;
pub mod name;
pub mod network;
pub mod oom;
pub mod oom_record;
pub mod oom_report;
pub mod oom_watch;
pub mod page_alloc;
pub mod pressure;
pub mod process;
pub mod reclaim;
pub mod retry;
pub mod shrinker;
pub mod tcp;
pub mod tunnel;

pub use cgroup::{Cgroup, CgroupId, Cgroups};
pub use coverage::Coverage;
pub use histogram::Log2Histogram;
pub use host::{Host, Stamp};
pub use name::Name;

use serde::{Deserialize, Serialize};

/// Everything that was seen at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// When it was taken.
    pub stamp: Stamp,
    /// Which machine and kernel it describes.
    pub host: Host,
    /// Memory of the whole host.
    pub memory: memory::Memory,
    /// Pressure stall information of the host. Source: /proc/pressure.
    pub pressure: Option<pressure::Pressure>,
    /// CPUs. Source: /proc/stat, /proc/net/softnet_stat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<cpu::Cpus>,
    /// Memory cgroups, v1, v2 or hybrid.
    pub cgroups: Option<Cgroups>,
    /// Processes that hold memory. Source: /proc/PID.
    pub processes: Option<process::Processes>,
    /// Page allocations by cgroup and process. Source: `kmem:mm_page_alloc`.
    pub page_alloc: Option<page_alloc::PageAlloc>,
    /// Direct and memcg reclaim. Source: `vmscan:mm_vmscan_*_reclaim_{begin,end}`.
    pub reclaim: Option<reclaim::Reclaim>,
    /// kswapd by node. Source: `vmscan:mm_vmscan_kswapd_{wake,sleep}`, `vmscan:mm_vmscan_wakeup_kswapd`.
    pub kswapd: Option<kswapd::Kswapd>,
    /// Compaction. Source: `compaction:mm_compaction_{begin,end}`.
    pub compaction: Option<compaction::Compaction>,
    /// Requests that took a block of another migrate type. Source: `kmem:mm_page_alloc_extfrag`.
    pub extfrag: Option<compaction::Extfrag>,
    /// Calls of shrinkers by function. Source: `vmscan:mm_shrink_slab_{start,end}`.
    pub shrinkers: Option<Vec<shrinker::Shrinker>>,
    /// Retries that precede an OOM kill. Source: `oom:reclaim_retry_zone`, `oom:compact_retry`.
    pub retries: Option<retry::Retries>,
    /// OOM kills. Source: `oom:mark_victim`.
    pub oom: Option<oom::Oom>,
    /// OOM kills by each source that tells of them, and the reports of the kernel's log. Filled while observer watches for
    /// kills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_watch: Option<oom_watch::OomWatch>,
    /// Packets that were dropped. Source: `skb:kfree_skb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drops: Option<drops::Drops>,
    /// Buffers of sockets that had no room. Source: `sock:sock_rcvqueue_full` and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffers: Option<buffers::Buffers>,
    /// TCP: counters of the kernel, life cycle, sockets.
    pub tcp: tcp::Tcp,
    /// Network interfaces of observer's own network namespace. Source: rtnetlink `RTM_GETLINK`.
    pub links: Option<link::Links>,
    /// Network namespaces, with their interfaces, counters and tunnels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<network::Network>,
    /// Packets on their way through tunnels; `None` also where there is no tunnel. Source: `net:net_dev_start_xmit` and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encapsulation: Option<encapsulation::Encapsulation>,
    /// What was and was not seen, and what was lost.
    pub coverage: Coverage,
}
