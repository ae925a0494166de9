//! What two snapshots say: rates, rankings and joins. Pure: no I/O, no clock.
//!
//! Live and replay call the same [`Model::new`]. A rate is per second of the interval that the kernel's monotonic clock
//! measured; it is `None` where there is no earlier snapshot of the same boot, where a part is missing, or where a counter
//! shrank. Rankings are sorted, largest first, and complete: an output cuts them and says so.

pub mod alloc_failure;
pub mod buffers;
pub mod cgroup;
pub mod compaction;
pub mod cpu;
pub mod drops;
pub mod eviction;
pub mod first_byte;
pub mod flow;
pub mod interval;
pub mod kswapd;
pub mod link;
pub mod listener;
pub mod memory;
pub mod namespace;
pub mod oom;
pub mod page_alloc;
pub mod process;
pub mod readings;
pub mod reclaim;
pub mod retry;
pub mod shrinker;
pub mod tcp;
pub mod traffic;
pub mod tunnel;

pub use interval::Interval;

use serde::Serialize;

use crate::snapshot::{Coverage, Host, Snapshot, Stamp, oom_watch::OomWatch, pressure::Pressure, process::Processes};
use cgroup::Paths;

/// The state of a host over one interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// End of the interval.
    pub stamp: Stamp,
    /// The machine.
    pub host: Host,
    /// Length of the interval; `None` if there is no earlier snapshot of the same boot.
    pub interval: Option<Interval>,
    /// Memory of the host.
    pub memory: memory::Memory,
    /// Stalls, as the kernel averages them.
    pub pressure: Option<Pressure>,
    /// CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<cpu::Cpus>,
    /// Memory cgroups, largest use first.
    pub cgroups: Option<Vec<cgroup::Cgroup>>,
    /// The hierarchy of cgroups as a whole.
    pub cgroup_summary: Option<cgroup::Summary>,
    /// Processes, largest resident set first.
    pub processes: Option<Processes>,
    /// Who reads from a device on faults, most first; a process whose count is not known is left out. `None` without an interval, or if no processes were read.
    pub major_faults: Option<Vec<process::MajorFaults>>,
    /// Page allocations.
    pub page_alloc: Option<page_alloc::PageAlloc>,
    /// Direct and memcg reclaim.
    pub reclaim: Option<reclaim::Reclaim>,
    /// kswapd.
    pub kswapd: Option<kswapd::Kswapd>,
    /// Compaction, most time first.
    pub compaction: Option<Vec<compaction::Compaction>>,
    /// Requests that took a block of another migrate type.
    pub extfrag: Option<compaction::Extfrag>,
    /// Shrinkers, most time first.
    pub shrinkers: Option<Vec<shrinker::Shrinker>>,
    /// Retries of the page allocator, most first.
    pub retries: Option<Vec<retry::Retry>>,
    /// Who pushed whose page cache out, one entry a limit that was met; empty if nobody refaulted, `None` if it cannot be
    /// told.
    pub evictions: Option<Vec<eviction::Eviction>>,
    /// OOM kills.
    pub oom: Option<oom::Oom>,
    /// OOM kills by each source that tells of them, and the reports of the kernel's log that came in the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_watch: Option<OomWatch>,
    /// Packets that were dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drops: Option<drops::Drops>,
    /// Buffers of sockets that had no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffers: Option<buffers::Buffers>,
    /// TCP.
    pub tcp: tcp::Tcp,
    /// Network interfaces.
    pub links: Option<Vec<link::Link>>,
    /// Network namespaces, busiest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<namespace::NetNamespace>>,
    /// Tunnels of every network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnels: Option<tunnel::Tunnels>,
    /// What to call each network namespace.
    #[serde(skip)]
    pub netns_titles: namespace::Titles,
    /// What was and was not seen.
    pub coverage: Coverage,
}

impl Model {
    /// Compares `now` with `before`. A `before` of another boot, or not earlier, is taken to be absent.
    pub fn new(now: &Snapshot, before: Option<&Snapshot>) -> Self {
        let interval = before.and_then(|b| Interval::between(b, now));
        let before = before.filter(|_| interval.is_some());
        let paths = Paths::new(now, before);
        let mut model = Self {
            stamp: now.stamp,
            host: now.host.clone(),
            interval,
            memory: memory::Memory::new(&now.memory, before.map(|b| &b.memory), interval, now.host.page_size),
            pressure: now.pressure.clone(),
            cpus: now.cpus.as_ref().map(|c| cpu::Cpus::new(c, before.and_then(|b| b.cpus.as_ref()), interval)),
            cgroups: now.cgroups.as_ref().map(|c| cgroup::rank(c, before.and_then(|b| b.cgroups.as_ref()), interval)),
            cgroup_summary: now.cgroups.as_ref().map(cgroup::Summary::new),
            processes: now.processes.clone(),
            major_faults: now.processes.as_ref().and_then(|p| process::major_faults(p, before, interval)),
            page_alloc: now
                .page_alloc
                .as_ref()
                .map(|p| page_alloc::PageAlloc::new(p, before.and_then(|b| b.page_alloc.as_ref()), interval, &paths)),
            reclaim: now.reclaim.as_ref().map(|r| {
                reclaim::Reclaim::new(
                    r,
                    before.and_then(|b| b.reclaim.as_ref()),
                    interval,
                    now.stamp.monotonic_ns,
                    &paths,
                )
            }),
            kswapd: kswapd::At::of(now)
                .map(|k| kswapd::Kswapd::new(k, before.and_then(kswapd::At::of), interval, &paths)),
            compaction: now
                .compaction
                .as_ref()
                .map(|c| compaction::rank(c, before.and_then(|b| b.compaction.as_ref()), interval, &paths)),
            extfrag: now
                .extfrag
                .as_ref()
                .map(|e| compaction::Extfrag::new(e, before.and_then(|b| b.extfrag.as_ref()), interval, &paths)),
            shrinkers: now
                .shrinkers
                .as_ref()
                .map(|s| shrinker::rank(s, before.and_then(|b| b.shrinkers.as_ref()), interval)),
            retries: now
                .retries
                .as_ref()
                .map(|r| retry::rank(r, before.and_then(|b| b.retries.as_ref()), interval, &paths)),
            evictions: None,
            oom: now
                .oom
                .as_ref()
                .map(|o| oom::Oom::new(o, before.and_then(|b| b.oom.as_ref()), now.stamp.monotonic_ns, &paths)),
            oom_watch: now.oom_watch.clone(),
            drops: now.drops.as_ref().map(|d| drops::Drops::new(d, before.and_then(|b| b.drops.as_ref()), interval)),
            buffers: now
                .buffers
                .as_ref()
                .map(|b| buffers::Buffers::new(b, before.and_then(|b| b.buffers.as_ref()), interval, &paths)),
            tcp: tcp::Tcp::new(now, before, interval, &paths),
            links: now.links.as_ref().map(|l| link::rank(l, before.and_then(|b| b.links.as_ref()), interval)),
            namespaces: now.network.as_ref().map(|n| {
                let before = before.and_then(|b| b.network.as_ref()).map(|b| b.namespaces.as_slice());
                namespace::rank(&n.namespaces, before, interval)
            }),
            tunnels: None,
            netns_titles: namespace::Titles::new(now.network.as_ref()),
            coverage: now.coverage.clone(),
        };
        model.tunnels = tunnel::Tunnels::new(now, before, interval, model.tcp.sockets.as_ref());
        // Without an earlier count of reclaims there is no rate of them.
        let reclaim = model.reclaim.as_ref().filter(|_| before.is_some_and(|b| b.reclaim.is_some()));
        if let Some((cgroups, reclaim)) = model.cgroups.as_mut().zip(reclaim) {
            cgroup::attribute(cgroups, reclaim);
        }
        model.evictions = eviction::find(&model);
        model
    }
}
