//! What has to be remembered between two snapshots so that counters by name never go back.

mod first_byte;
mod network;
mod pressure;
mod traffic;
mod tunnel;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    reclaim::kind_word,
    sockets::SocketSums,
    tcp::NAMESPACE_FIELDS,
    top_k::{Counts, Row, TopK},
};
use crate::{
    diagnose::oom::{Memory, limit},
    model::Model,
    output::oom::known::limit_word,
    snapshot::{
        CgroupId, Log2Histogram, Name, Snapshot,
        oom::{Oom, OomKill},
        oom_watch::OomWatch,
        page_alloc::{AllocCounts, PageAlloc},
        tcp::ClosedTotals,
    },
};
use first_byte::FirstByteSeries;
pub(super) use first_byte::{
    CONNECT_BUCKETS, CONNECT_NS, FAILED, FIRST_BYTE_BUCKETS, FIRST_STAGE, RUN_DELAY_NS, RUN_DELAYS, STAGES,
    SYN_RETRANS, histogram as first_byte_histogram,
};
use network::NetworkSeries;
pub(super) use network::{IRQ_NS, SOFTIRQ_NS, SOFTNET_DROPPED, SOFTNET_PACKETS, STEAL_NS, TIME_SQUEEZE};
pub(super) use pressure::{COMPACTION_FIRST_BUCKET, COMPACTION_NS, LIMIT_HITS, LIMIT_OOMS, Pressure};
pub(super) use traffic::{CGROUP, DEVICE, NETWORK, PROCESS, RECEIVED, SENT, SERVICE, TrafficSeries};
use tunnel::TunnelSeries;
pub(super) use tunnel::{
    LATENCY_FIRST_BUCKET, LATENCY_NS, MADE, REASSEMBLED, RX_BYTES, RX_PACKETS, TX_BYTES, TX_PACKETS,
};

/// Label of a cgroup whose path nobody knows: it came and went between two snapshots. No path, as those begin with `/`.
const UNKNOWN: &str = "unknown";

pub(super) const ALLOC_ALLOCATIONS: usize = 0;
pub(super) const ALLOC_BYTES: usize = 1;
pub(super) const ALLOC_COSTLY: usize = 2;
pub(super) const ALLOC_FAILURES: usize = 3;

/// Orders above this one are costly: the kernel does not retry for them as it does below (PAGE_ALLOC_COSTLY_ORDER).
const COSTLY_ORDER: usize = 3;

pub(super) const RECLAIM_NS: usize = 0;
pub(super) const RECLAIM_BYTES: usize = 1;
pub(super) const RECLAIM_FIRST_BUCKET: usize = 2;
pub(super) const RECLAIM_COUNTS: usize = RECLAIM_FIRST_BUCKET + BUCKETS;
/// log2 of the first and of the last finite bound in nanoseconds: 16 us and 17 s.
const FIRST_BOUND: usize = 14;
const LAST_BOUND: usize = 34;
const BUCKETS: usize = LAST_BOUND - FIRST_BOUND + 2;

pub(super) const CLOSED_CONNECTIONS: usize = 0;
pub(super) const CLOSED_ACKED: usize = 1;
pub(super) const CLOSED_RECEIVED: usize = 2;
pub(super) const CLOSED_SEGS: usize = 3;
pub(super) const CLOSED_RETRANS: usize = 4;
pub(super) const CLOSED_SRTT_NS: usize = 5;

pub(super) const SOCKET_BUSY: usize = 0;
pub(super) const SOCKET_RWND: usize = 1;
pub(super) const SOCKET_SNDBUF: usize = 2;

/// Upper bounds of the latency buckets in seconds, the last one infinity.
pub(super) fn latency_bounds() -> impl Iterator<Item = f64> {
    (FIRST_BOUND..=LAST_BOUND).map(|i| Log2Histogram::upper_bound(i) / 1e9).chain([f64::INFINITY])
}

/// A histogram of nanoseconds in the buckets that every latency has here.
pub(super) fn buckets(histogram: &Log2Histogram) -> Vec<(f64, u64)> {
    latency_bounds().zip(bucket_counts(histogram)).collect()
}

/// The counts of those buckets.
fn bucket_counts(histogram: &Log2Histogram) -> [u64; BUCKETS] {
    let mut counts = [0; BUCKETS];
    for (i, n) in histogram.buckets.iter().enumerate() {
        counts[i.clamp(FIRST_BOUND, LAST_BOUND + 1) - FIRST_BOUND] += n;
    }
    counts
}

/// Names a process for good: cgroup, pid, start.
type ProcessKey = (Option<CgroupId>, u32, Option<u64>);
/// Names a group of closed connections: namespace, port, direction, cgroup; `None` is what found no place in the map.
type ClosedKey = Option<(u64, u16, bool, Option<CgroupId>)>;

/// The state of all series that are named by what comes and goes.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) alloc_cgroups: TopK<Option<CgroupId>, 4>,
    pub(super) alloc_processes: TopK<ProcessKey, 4>,
    pub(super) reclaim: TopK<(Option<CgroupId>, &'static str), RECLAIM_COUNTS>,
    pub(super) kswapd_requesters: TopK<(u32, u32, Option<CgroupId>), 1>,
    pub(super) oom_cgroups: TopK<(), 1>,
    /// Kills by whose limit it was, and the cgroup that has the limit.
    pub(super) oom_limits: TopK<(), 1>,
    pub(super) namespaces: TopK<u64, 9>,
    pub(super) closed: TopK<ClosedKey, 6>,
    pub(super) sockets: SocketSums,
    pub(super) traffic: TrafficSeries,
    pub(super) first_bytes: FirstByteSeries,
    pub(super) network: NetworkSeries,
    pub(super) tunnels: TunnelSeries,
    pub(super) pressure: Pressure,
    pub(super) last_kill: Option<LastKill>,
    kills: u64,
    reports_not_kept: u64,
    paths: HashMap<CgroupId, Name>,
}

/// The last OOM kill.
#[derive(Debug)]
pub(super) struct LastKill {
    pub(super) kill: OomKill,
    /// Unix time, fixed when the kill was first seen: the two clocks drift, and a stamp must not.
    pub(super) unix_seconds: f64,
}

impl Tracked {
    /// Nothing seen yet; each metric names at most `top` of each label.
    pub(super) fn new(top: usize) -> Self {
        Self {
            alloc_cgroups: TopK::new(top, |c| c[ALLOC_BYTES]),
            alloc_processes: TopK::new(top, |c| c[ALLOC_BYTES]),
            reclaim: TopK::new(top, |c| c[RECLAIM_NS]),
            kswapd_requesters: TopK::new(top, |c| c[0]),
            oom_cgroups: TopK::new(top, |c| c[0]),
            oom_limits: TopK::new(top, |c| c[0]),
            namespaces: TopK::new(top, |c| c.iter().sum()),
            closed: TopK::new(top, |c| c[CLOSED_ACKED] + c[CLOSED_RECEIVED] + c[CLOSED_CONNECTIONS]),
            sockets: SocketSums::default(),
            traffic: TrafficSeries::new(top),
            first_bytes: FirstByteSeries::new(top),
            network: NetworkSeries::new(top),
            tunnels: TunnelSeries::new(top),
            pressure: Pressure::new(top),
            last_kill: None,
            kills: 0,
            reports_not_kept: 0,
            paths: HashMap::new(),
        }
    }

    /// Takes what has grown since the last snapshot.
    pub(super) fn update(&mut self, now: &Snapshot) {
        self.learn_paths(now);
        let at = now.stamp.monotonic_ns;
        if let Some(page_alloc) = &now.page_alloc {
            self.page_alloc(at, page_alloc, now);
        }
        let paths = &self.paths;
        if let Some(reclaim) = &now.reclaim {
            let rows = reclaim.by_cgroup.iter().map(|c| {
                let kind = kind_word(c.kind);
                let mut counts = [0; RECLAIM_COUNTS];
                counts[RECLAIM_NS] = c.totals.total_ns;
                counts[RECLAIM_BYTES] = c.totals.reclaimed_bytes;
                let buckets = counts.iter_mut().skip(RECLAIM_FIRST_BUCKET);
                buckets.zip(bucket_counts(&c.latency_ns)).for_each(|(count, n)| *count = n);
                Row { key: (c.cgroup, kind), label: Some(vec![path(paths, c.cgroup), kind.into()]), counts }
            });
            self.reclaim.update(at, rows, None);
        }
        if let Some(kswapd) = &now.kswapd {
            let rows = kswapd.requesters.iter().map(|r| Row {
                key: (r.node, r.pid, r.cgroup),
                label: Some(vec![path(paths, r.cgroup), r.comm.to_string()]),
                counts: [r.requests],
            });
            self.kswapd_requesters.update(at, rows, Some([kswapd.requests()]));
        }
        if let Some(namespaces) = &now.tcp.namespaces {
            let rows = namespaces.iter().map(|n| Row {
                key: n.netns,
                label: Some(vec![n.netns.to_string()]),
                counts: NAMESPACE_FIELDS.map(|field| field(n).unwrap_or(0)),
            });
            self.namespaces.update(at, rows, None);
        }
        if let Some(closed) = &now.tcp.closed {
            let rows = closed.list.iter().map(|g| Row {
                key: Some((g.netns, g.port, g.outgoing, g.cgroup)),
                label: Some(vec![g.port.to_string(), if g.outgoing { "out" } else { "in" }.into()]),
                counts: closed_counts(&g.totals),
            });
            let rest = Row { key: None, label: None, counts: closed_counts(&closed.other) };
            self.closed.update(at, rows.chain([rest]), None);
        }
        self.sockets.update(now.tcp.sockets.as_ref());
        self.traffic.update(now, &self.paths);
        if let Some(first_bytes) = &now.tcp.first_bytes {
            self.first_bytes.update(at, first_bytes);
        }
        self.network.update(now);
        self.pressure.update(now, &self.paths);
        if let Some(oom) = &now.oom {
            self.oom(now, oom);
        }
        if let Some(watch) = &now.oom_watch {
            self.oom_limits(now.stamp.monotonic_ns, watch);
        }
    }

    /// Takes an interval that no other one overlaps.
    pub(super) fn interval(&mut self, model: &Model) {
        self.pressure.evicted(model);
        self.tunnels.update(model);
    }

    /// Paths of the cgroups that some metric names.
    pub(super) fn named_cgroups(&self) -> HashSet<&str> {
        let carrying = self.traffic.of(CGROUP).into_iter().flat_map(TopK::labels);
        let labels = self.alloc_cgroups.labels().chain(self.reclaim.labels()).chain(carrying);
        labels.filter_map(|l| l.first()).map(String::as_str).chain(self.pressure.named_cgroups()).collect()
    }

    /// A cgroup keeps the name under which it was last seen: its last counts may come after it is gone.
    fn learn_paths(&mut self, now: &Snapshot) {
        let Some(cgroups) = &now.cgroups else { return };
        let counted: HashSet<_> = now
            .page_alloc
            .iter()
            .flat_map(|p| p.processes.iter().map(|p| p.cgroup).chain(p.exited.iter().map(|c| c.cgroup)))
            .chain(now.reclaim.iter().flat_map(|r| r.by_cgroup.iter().map(|c| c.cgroup)))
            .flatten()
            .chain(pressure::retrying(now))
            .chain(now.tcp.traffic.iter().flat_map(|t| t.cgroups.iter().filter_map(|share| share.key)))
            .collect();
        self.paths.retain(|id, _| counted.contains(id));
        self.paths.extend(cgroups.list.iter().map(|c| (c.id, c.path.clone())));
    }

    fn page_alloc(&mut self, at: u64, page_alloc: &PageAlloc, now: &Snapshot) {
        // Without a page size the metrics in bytes are left out; the weight needs no unit.
        let page_size = now.host.page_size.unwrap_or(1);
        let total = alloc_counts(&page_alloc.total(), page_size);
        let mut cgroups: BTreeMap<Option<CgroupId>, AllocCounts> = BTreeMap::new();
        let living = page_alloc.processes.iter().map(|p| (p.cgroup, &p.counts));
        let ended = page_alloc.exited.iter().map(|c| (c.cgroup, &c.counts));
        living.chain(ended).for_each(|(cgroup, counts)| cgroups.entry(cgroup).or_default().add(counts));
        let paths = &self.paths;
        let rows = cgroups.into_iter().map(|(cgroup, counts)| Row {
            key: cgroup,
            label: Some(vec![path(paths, cgroup)]),
            counts: alloc_counts(&counts, page_size),
        });
        self.alloc_cgroups.update(at, rows, Some(total));
        // The kernel side knows the thread that allocated last, and threads have names of their own: the process's is
        // taken where /proc was read for it, so that its counts do not wander from one thread's name to another's.
        let listed: HashMap<_, _> = now.processes.iter().flat_map(|p| &p.list).map(|p| (p.pid, &p.comm)).collect();
        let rows = page_alloc.processes.iter().map(|p| Row {
            key: (p.cgroup, p.pid, p.start_ns),
            label: Some(vec![path(paths, p.cgroup), (*listed.get(&p.pid).unwrap_or(&&p.comm)).to_string()]),
            counts: alloc_counts(&p.counts, page_size),
        });
        self.alloc_processes.update(at, rows, Some(total));
    }

    fn oom(&mut self, now: &Snapshot, oom: &Oom) {
        if oom.kills < self.kills {
            self.kills = 0;
        }
        let mut by_cgroup: BTreeMap<Vec<String>, Counts<1>> = BTreeMap::new();
        for kill in oom.recent.iter().filter(|k| k.sequence > self.kills) {
            let known = kill.victim.cgroup_path.as_ref().map(ToString::to_string);
            let cgroup = known.unwrap_or_else(|| path(&self.paths, kill.victim.cgroup));
            by_cgroup.entry(vec![cgroup]).or_default()[0] += 1;
            let age = now.stamp.monotonic_ns.saturating_sub(kill.monotonic_ns);
            let unix_seconds = now.stamp.realtime_ns.saturating_sub(age) as f64 / 1e9;
            self.last_kill = Some(LastKill { kill: kill.clone(), unix_seconds });
        }
        // A kill outlives its cgroup: its series is only given up for another that needs the place.
        self.oom_cgroups.credit(now.stamp.monotonic_ns, by_cgroup, [oom.kills - self.kills], |_| true);
        self.kills = oom.kills;
    }

    /// Each report is in one snapshot only, and tells of one process or of all that were killed with it.
    fn oom_limits(&mut self, at: u64, watch: &OomWatch) {
        let mut by_limit: BTreeMap<Vec<String>, Counts<1>> = BTreeMap::new();
        for report in &watch.reports {
            let limit = limit(report);
            let cgroup = match &limit.memory {
                Memory::Cgroup { path, .. } if path.is_empty() => UNKNOWN.to_owned(),
                Memory::Cgroup { path, .. } => path.to_string(),
                _ => String::new(),
            };
            let label = vec![limit_word(&limit).unwrap_or(UNKNOWN).to_owned(), cgroup];
            by_limit.entry(label).or_default()[0] += report.kills.len() as u64;
        }
        let not_kept = watch.counts.log.map_or(0, |l| l.not_kept);
        let told: u64 = by_limit.values().map(|c| c[0]).sum();
        let total = [told + not_kept.saturating_sub(self.reports_not_kept)];
        self.oom_limits.credit(at, by_limit, total, |_| true);
        self.reports_not_kept = not_kept;
    }
}

fn path(paths: &HashMap<CgroupId, Name>, cgroup: Option<CgroupId>) -> String {
    cgroup.and_then(|id| paths.get(&id)).map_or_else(|| UNKNOWN.to_owned(), ToString::to_string)
}

fn alloc_counts(counts: &AllocCounts, page_size: u64) -> Counts<4> {
    let costly = counts.allocated.iter().skip(COSTLY_ORDER + 1).sum();
    [counts.allocations(), counts.pages().saturating_mul(page_size), costly, counts.failures()]
}

fn closed_counts(t: &ClosedTotals) -> Counts<6> {
    [t.connections, t.bytes_acked, t.bytes_received, t.segs_out, t.retrans_segs, t.srtt_ns_sum]
}
