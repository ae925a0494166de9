//! The kernel side, loaded and read: eBPF maps, the ring buffer, iterators.
//!
//! [`Kernel::load`] never fails as a whole. What this kernel refuses is in the coverage, with the reason, what replaces it
//! and the command that would grant it.

mod alloc_failures;
pub mod alloc_stacks;
mod bpf_sys;
pub mod btf;
mod buffers;
mod busiest;
mod compaction;
mod connections;
mod drops;
pub mod encapsulation;
mod fields;
mod first_byte;
mod gfp;
mod iterator;
mod kswapd;
mod listeners;
mod living;
mod load;
mod maps;
mod names;
mod oom;
mod owners;
mod page_alloc;
pub mod probes;
mod reclaim;
mod retry;
mod ring;
mod room;
mod scans;
mod shrinker;
mod sizes;
mod socket;
mod sockets;
mod sockstat;
mod tcp;
mod traffic;
mod tunnel_probes;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use connections::Connections;
use load::Object;
use maps::Array;
use nix::unistd::SysconfVar;
use observer_ebpf::abi::losses::{LOSSES, Loss as RawLoss};
use sizes::Sizes;
use socket::Decoder;

use crate::{
    snapshot::{
        CgroupId, Coverage, Log2Histogram, Name, Snapshot,
        coverage::{Loss, Source},
        oom::OomKill,
    },
    source::{self, cost::counted, netns::Known},
};

/// How to load.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes that the maps may take, roughly. Beyond it counts go to "other", exact in sum.
    pub memory_budget: usize,
    /// Sockets that a snapshot lists at most; the others are summed.
    pub max_sockets: usize,
    /// How the traffic of all connections is added up.
    pub traffic: source::traffic::Options,
    /// The running kernel's type information.
    pub btf: PathBuf,
    /// Names of the probes to load, by [`probes::PROBES`]. None: all of them.
    pub only: Option<&'static [&'static str]>,
    /// True to see the stages of first bytes, and not handshakes alone: two programs that run at each segment of TCP and at
    /// each reading.
    pub first_byte: bool,
    /// True to see how long packets wait for their soft interrupt as well: three programs that run at each interrupt.
    pub softirq_wait: bool,
}

impl Default for Options {
    fn default() -> Self {
        let btf = PathBuf::from("/sys/kernel/btf/vmlinux");
        Self {
            memory_budget: 20 << 20,
            max_sockets: 1000,
            traffic: source::traffic::Options::default(),
            btf,
            only: None,
            first_byte: false,
            softirq_wait: false,
        }
    }
}

/// The kernel side. Dropping it, or the end of the process for any reason, detaches everything.
#[derive(Debug)]
pub struct Kernel {
    readers: Readers,
    object: Object,
}

/// What reads the maps; a reader is `None` if its probes are not attached.
#[derive(Debug, Default)]
struct Readers {
    page_alloc: Option<page_alloc::Reader>,
    alloc_failures: Option<alloc_failures::Reader>,
    reclaim: Option<reclaim::Reader>,
    kswapd: Option<kswapd::Reader>,
    scans: Option<scans::ScanReader>,
    throttles: Option<scans::ThrottleReader>,
    compaction: Option<compaction::CompactionReader>,
    extfrag: Option<compaction::ExtfragReader>,
    shrinkers: Option<shrinker::Reader>,
    retries: Option<retry::Reader>,
    oom: Option<oom::Reader>,
    namespaces: Option<tcp::Namespaces>,
    closed: Option<tcp::ClosedReader>,
    first_bytes: Option<first_byte::Reader>,
    drops: Option<drops::Reader>,
    connections: Connections,
    losses: Option<Array<u64>>,
    /// Readers that are wanted and could not be opened.
    failures: Vec<Source>,
}

impl Readers {
    fn open(object: &mut Object, sizes: Sizes, cpus: u32, options: &Options) -> Self {
        let page_size = sysconf(SysconfVar::PAGE_SIZE).unwrap_or(4096);
        let works = |probes: &[&str]| probes.iter().all(|probe| object.works(probe));
        let [page_alloc, reclaim, kswapd, oom, closed] =
            ["page_alloc", "reclaim", "kswapd", "oom", "tcp.closed"].map(|part| object.feeds(part));
        let [scans, throttles, compaction, extfrag, shrinkers, retries] =
            ["reclaim.scans", "reclaim.throttles", "compaction", "extfrag", "shrinkers", "retries"]
                .map(|part| object.feeds(part));
        let enums = object.enums().clone();
        let (kswapd_nodes, namespaces) = (works(&["kswapd_wake", "kswapd_sleep"]), works(&["tcp_states"]));
        let counted = tcp::Counted {
            retransmits: works(&["tcp_retransmits", "tcp_synack_retransmits"])
                && !object.missing().iter().any(|symbol| ["SKB_CB", "CB_GSO_SEGS"].contains(symbol)),
            resets_sent: object.works("tcp_resets_sent"),
            resets_received: object.works("tcp_resets_received"),
        };
        let has = |symbols: &[&str]| !object.missing().iter().any(|symbol| symbols.contains(symbol));
        let seen = first_byte::Seen {
            stages: works(&["first_byte_segments", "first_byte_reads"])
                && has(&["SKB_CB", "CB_SEQ", "CB_END_SEQ", "TP_RCV_NXT", "TP_FIRST_TX"]),
            softirq: works(&["softirq_raise", "softirq_entry", "softirq_exit"]),
        };
        let (drops, buffers) = (object.feeds("drops"), object.feeds("buffers"));
        let listeners = object.program("tcp_listeners").and_then(|fd| fd.try_clone().ok());
        let missing = object.missing().to_vec();
        let decoder = Decoder { missing: object.missing().to_vec(), tick_ns: tick_ns() };
        let iterator = object.program("tcp_sockets").and_then(|fd| fd.try_clone().ok());
        let sockets = iterator.is_some();
        let owners = object.program("tcp_owners").and_then(|fd| fd.try_clone().ok());
        let Some(ebpf) = object.ebpf.as_mut() else { return Self::default() };
        let mut failures = Vec::new();
        let mut readers = Self {
            page_alloc: opened(page_alloc, "page_alloc", &mut failures, || page_alloc::Reader::open(ebpf, cpus)),
            alloc_failures: opened(page_alloc, "page_alloc failures", &mut failures, || {
                alloc_failures::Reader::open(ebpf, enums.gfp.clone(), sizes.alloc_failures)
            }),
            reclaim: opened(reclaim, "reclaim", &mut failures, || {
                reclaim::Reader::open(ebpf, sizes.reclaim_processes, sizes.reclaim_cgroups, page_size)
            }),
            kswapd: opened(kswapd, "kswapd", &mut failures, || {
                kswapd::Reader::open(ebpf, sizes.kswapd_requesters, kswapd_nodes)
            }),
            scans: opened(scans, "reclaim.scans", &mut failures, || {
                scans::ScanReader::open(ebpf, sizes.scans, page_size)
            }),
            throttles: opened(throttles, "reclaim.throttles", &mut failures, || {
                scans::ThrottleReader::open(ebpf, sizes.throttles, enums.throttle.clone())
            }),
            compaction: opened(compaction, "compaction", &mut failures, || {
                compaction::CompactionReader::open(ebpf, &enums, sizes.compacting_cgroups)
            }),
            extfrag: opened(extfrag, "extfrag", &mut failures, || {
                compaction::ExtfragReader::open(ebpf, &enums, sizes.fallbacks)
            }),
            shrinkers: opened(shrinkers, "shrinkers", &mut failures, || shrinker::Reader::open(ebpf)),
            retries: opened(retries, "retries", &mut failures, || retry::Reader::open(ebpf, sizes.retries, page_size)),
            oom: opened(oom, "oom", &mut failures, || oom::Reader::open(ebpf, page_size)),
            namespaces: opened(namespaces, "tcp.namespaces", &mut failures, || {
                tcp::Namespaces::open(ebpf, sizes.namespaces, counted)
            }),
            closed: opened(closed, "tcp.closed", &mut failures, || tcp::ClosedReader::open(ebpf)),
            first_bytes: opened(namespaces, "tcp.first_bytes", &mut failures, || {
                first_byte::Reader::open(ebpf, sizes.first_bytes, seen)
            }),
            drops: opened(drops, "drops", &mut failures, || {
                drops::Reader::open(ebpf, sizes.drops, enums.drop_reason.clone())
            }),
            connections: Connections {
                known: opened(listeners.is_some() || sockets, "network namespaces", &mut failures, Known::new),
                listeners: listeners.and_then(|fd| {
                    opened(true, "tcp.listeners", &mut failures, || listeners::Reader::open(fd.as_fd(), missing))
                }),
                sockets: iterator.and_then(|fd| {
                    opened(true, "tcp.sockets", &mut failures, || {
                        sockets::Reader::open(ebpf, fd.as_fd(), decoder, options.max_sockets)
                    })
                }),
                owners: owners
                    .and_then(|fd| opened(true, "tcp.owners", &mut failures, || owners::Reader::open(fd.as_fd()))),
                buffers: opened(buffers, "buffers", &mut failures, || buffers::Reader::open(ebpf, sizes.buffers)),
                traffic: opened(sockets, "tcp.traffic", &mut failures, || {
                    traffic::Reader::open(ebpf, options.traffic, closed)
                }),
            },
            losses: opened(true, "losses", &mut failures, || Array::open(ebpf, "obs_losses")),
            failures: Vec::new(),
        };
        readers.failures = failures;
        readers
    }
}

/// Opens a reader that is wanted; a failure is kept for the coverage.
fn opened<T>(wanted: bool, part: &str, failures: &mut Vec<Source>, open: impl FnOnce() -> io::Result<T>) -> Option<T> {
    wanted.then(open)?.map_err(|error| failures.push(unread(part, &error))).ok()
}

impl Kernel {
    /// Loads the eBPF object and attaches what this kernel takes.
    pub fn load(object: &[u8], options: &Options) -> (Self, Coverage) {
        let cpus = maps::possible_cpus().unwrap_or(1);
        let sizes = Sizes::within(options.memory_budget, cpus);
        let mut object = Object::load(object, options, sizes);
        let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
        let kernel = Self { readers: Readers::open(&mut object, sizes, cpus, options), object };
        let mut coverage = Coverage::default();
        kernel.describe(&mut coverage);
        (kernel, coverage)
    }

    /// Reads every map into its part of the snapshot and adds probes and losses to the coverage. `is_gone` tells whether a
    /// cgroup surely is no more; what was counted for it makes room when it must.
    pub fn read(&mut self, snapshot: &mut Snapshot, is_gone: &dyn Fn(CgroupId) -> bool) {
        let flush = self.object.program("page_alloc_flush").map(AsFd::as_fd);
        let oom_lost = self.loss(RawLoss::OomRingFull);
        let (readers, coverage) = (&mut self.readers, &mut snapshot.coverage);
        snapshot.page_alloc =
            keep(coverage, "page_alloc", readers.page_alloc.as_mut(), |reader| reader.read(flush, is_gone));
        if let Some(page_alloc) = &mut snapshot.page_alloc {
            let failures = readers.alloc_failures.as_mut();
            page_alloc.failures = keep(coverage, "page_alloc failures", failures, alloc_failures::Reader::read);
        }
        snapshot.reclaim = keep(coverage, "reclaim", readers.reclaim.as_mut(), |reader| reader.read(is_gone));
        snapshot.kswapd = keep(coverage, "kswapd", readers.kswapd.as_mut(), kswapd::Reader::read);
        if let Some(reclaim) = &mut snapshot.reclaim {
            reclaim.scans = keep(coverage, "reclaim.scans", readers.scans.as_mut(), |reader| reader.read(is_gone));
            reclaim.throttles =
                keep(coverage, "reclaim.throttles", readers.throttles.as_mut(), |reader| reader.read(is_gone));
        }
        snapshot.compaction = keep(coverage, "compaction", readers.compaction.as_mut(), |reader| reader.read(is_gone));
        snapshot.extfrag = keep(coverage, "extfrag", readers.extfrag.as_mut(), compaction::ExtfragReader::read);
        snapshot.shrinkers = keep(coverage, "shrinkers", readers.shrinkers.as_mut(), shrinker::Reader::read);
        snapshot.retries = keep(coverage, "retries", readers.retries.as_mut(), retry::Reader::read);
        snapshot.oom = keep(coverage, "oom", readers.oom.as_mut(), |reader| reader.read(oom_lost));
        let tcp = &mut snapshot.tcp;
        tcp.namespaces = keep(coverage, "tcp.namespaces", readers.namespaces.as_mut(), tcp::Namespaces::read);
        tcp.closed = keep(coverage, "tcp.closed", readers.closed.as_mut(), tcp::ClosedReader::read);
        let first_bytes = readers.first_bytes.as_mut();
        tcp.first_bytes = keep(coverage, "tcp.first_bytes", first_bytes, |reader| reader.read(is_gone));
        snapshot.drops = keep(coverage, "drops", readers.drops.as_mut(), drops::Reader::read);
        readers.connections.read(snapshot);
        self.describe(&mut snapshot.coverage);
    }

    /// Reads the open connections alone; the namespaces in which some were seen are there already.
    pub fn read_open(&mut self, snapshot: &mut Snapshot) {
        self.readers.connections.open(&mut snapshot.tcp, &mut snapshot.coverage);
    }

    /// Takes the events that have come since the last call. They are also in the next snapshot.
    pub fn drain_events(&mut self) -> Vec<OomKill> {
        self.readers.oom.as_mut().map(oom::Reader::drain).unwrap_or_default()
    }

    /// Victims of the OOM killer that were counted until now; `None` without the probe.
    pub fn oom_marked(&self) -> Option<u64> {
        self.readers.oom.as_ref().and_then(|reader| reader.marked().ok())
    }

    /// A descriptor that becomes readable when an event has come; `None` without the OOM probe.
    pub fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        self.readers.oom.as_ref().map(AsFd::as_fd)
    }

    fn describe(&self, coverage: &mut Coverage) {
        let probes = self.object.coverage();
        let misses = probes.iter().filter_map(|p| Some((p, p.recursion_misses?)));
        coverage.losses.extend(misses.map(|(p, n)| loss(format!("{}: events missed by recursion", p.name), n)));
        coverage.probes.extend(probes);
        coverage.sources.extend_from_slice(&self.readers.failures);
        coverage.sources.extend(self.readers.shrinkers.as_ref().and_then(shrinker::Reader::source));
        coverage.sources.extend(self.readers.drops.as_ref().and_then(drops::Reader::source));
        coverage.sources.extend(self.readers.alloc_failures.as_ref().and_then(alloc_failures::Reader::source));
        if let Some(reader) = &self.readers.page_alloc {
            coverage.losses.push(loss("page_alloc: slots read late".to_owned(), reader.late()));
        }
        if self.readers.losses.is_some() {
            coverage.losses.extend(LOSSES.iter().map(|(what, words)| loss((*words).to_owned(), self.loss(*what))));
        }
    }

    fn loss(&self, what: RawLoss) -> u64 {
        self.readers.losses.as_ref().and_then(|map| map.get(what as u32).ok()).unwrap_or(0)
    }
}

fn loss(what: String, count: u64) -> Loss {
    Loss { what, count }
}

/// Reads a part if there is a reader for it, counts what that cost, and notes a failure.
fn keep<R, T>(
    coverage: &mut Coverage,
    part: &str,
    reader: Option<R>,
    read: impl FnOnce(R) -> io::Result<T>,
) -> Option<T> {
    let reader = reader?;
    match counted(coverage, &maps_of(part), || read(reader)) {
        Ok(value) => Some(value),
        Err(error) => {
            coverage.sources.push(unread(part, &error));
            None
        }
    }
}

fn maps_of(part: &str) -> String {
    format!("bpf maps of {part}")
}

fn unread(part: &str, error: &io::Error) -> Source {
    let missing = Some(Name::from_bytes(error.to_string().as_bytes()));
    Source { name: maps_of(part), missing }
}

/// A cgroup id of the ABI, where 0 is unknown.
fn cgroup(id: u64) -> Option<CgroupId> {
    (id != 0).then_some(CgroupId(id))
}

/// A histogram of the ABI, without the empty buckets at its end.
fn histogram(buckets: &[u64]) -> Log2Histogram {
    let used = buckets.iter().rposition(|n| *n > 0).map_or(0, |last| last + 1);
    Log2Histogram { buckets: buckets.iter().take(used).copied().collect() }
}

fn sysconf(what: SysconfVar) -> Option<u64> {
    nix::unistd::sysconf(what).ok().flatten().and_then(|value| u64::try_from(value).ok())
}

/// Nanoseconds of a timer tick (`1 / HZ`), which is the resolution of the kernel's coarse clock.
fn tick_ns() -> u64 {
    let resolution = nix::time::clock_getres(nix::time::ClockId::CLOCK_MONOTONIC_COARSE);
    resolution.map_or(0, |tick| tick.tv_nsec().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_that_a_rule_looks_for_is_there() {
        let words = LOSSES.iter().find(|(loss, _)| *loss == RawLoss::AllocFailuresFull).map(|(_, words)| *words);
        assert_eq!(words, Some(Loss::ALLOC_FAILURES));
    }

    #[test]
    fn a_histogram_ends_with_its_last_count() {
        assert_eq!(histogram(&[0, 2, 0, 1, 0, 0]).buckets, [0, 2, 0, 1]);
        assert_eq!(histogram(&[0; 64]), Log2Histogram::default());
    }
}
