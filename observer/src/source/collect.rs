//! One snapshot from all sources, each failure a reason in the coverage.

use std::os::fd::BorrowedFd;

use super::cgroup::{self, CgroupReader};
use super::container::Containers;
use super::cost::{Spent, counted};
use super::file::{Buffer, Root};
use super::kernel::{self, Kernel, encapsulation};
use super::link::LinkReader;
use super::memory::CostlyMemory;
use super::network;
use super::oom_paths::OomPaths;
use super::oom_watch::{Again, OomNews, OomWatch};
use super::process::{self, Units};
use super::sock_diag;
use super::{Malformed, SourceError, cpu, host, memory, pressure, tcp, tcp_memory};
use crate::snapshot::cgroup::Hierarchy;
use crate::snapshot::coverage::{Cost, Coverage, Source};
use crate::snapshot::oom::OomKill;
use crate::snapshot::oom_watch::OomCounts;
use crate::snapshot::tcp::Sockets;
use crate::snapshot::{Host, Snapshot};

/// What a collector reads, and how much of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the host's files are.
    pub root: Root,
    /// Cgroups that a snapshot reads at most.
    pub max_cgroups: usize,
    /// Processes that a snapshot lists at most.
    pub max_processes: usize,
    /// The eBPF object to load; `None` leaves the kernel side out altogether, and the coverage then lists no probe.
    pub object: Option<&'static [u8]>,
    /// True to watch for OOM kills in the kernel's log and in all counts as well.
    pub watch_oom: bool,
    /// How to load it.
    pub kernel: kernel::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: Root::default(),
            max_cgroups: cgroup::DEFAULT_LIMIT,
            max_processes: process::DEFAULT_LIMIT,
            object: Some(crate::object::OBJECT),
            watch_oom: false,
            kernel: kernel::Options::default(),
        }
    }
}

/// Reads snapshots of one host. It holds what is worth keeping between two of them: buffers, sockets, open folders.
#[derive(Debug)]
pub struct Collector {
    options: Options,
    units: Units,
    host: Host,
    buffer: Buffer,
    kernel: Option<Kernel>,
    cgroups: Option<CgroupReader>,
    containers: Containers,
    memory: CostlyMemory,
    links: Option<LinkReader>,
    network: Option<network::Reader>,
    encapsulation: Option<encapsulation::Reader>,
    sock_diag: Option<sock_diag::Reader>,
    oom_paths: OomPaths,
    oom_watch: Option<OomWatch>,
    /// Kills that a snapshot found, until they are asked for.
    kills: Vec<OomKill>,
    spent: Spent,
}

impl Collector {
    /// Loads the kernel side and prepares to read the rest. What is missing is said by each snapshot, and tried again for each.
    pub fn new(options: Options) -> Self {
        let units = host::units();
        let mut buffer = Buffer::default();
        let host = host::host(&options.root, &mut buffer, units);
        let oom_paths = OomPaths::new(options.max_cgroups);
        let kernel = options.object.map(|object| Kernel::load(object, &options.kernel).0);
        let encapsulation = options.object.map(|object| {
            let (btf, rest_above) = (options.kernel.btf.clone(), encapsulation::REST_ABOVE);
            encapsulation::Reader::new(encapsulation::Options { object, btf, rest_above })
        });
        let oom_watch = options.watch_oom.then(|| OomWatch::new(kernel.as_ref().and_then(Kernel::events_fd)));
        Self {
            options,
            units,
            host,
            buffer,
            kernel,
            cgroups: None,
            containers: Containers::default(),
            memory: CostlyMemory::default(),
            links: None,
            network: None,
            encapsulation,
            sock_diag: None,
            oom_paths,
            oom_watch,
            kills: Vec::new(),
            spent: Spent::default(),
        }
    }

    /// Reads everything now.
    pub fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = Snapshot { stamp: host::stamp(), host: self.host.clone(), ..Snapshot::default() };
        if let Some(kernel) = &mut self.kernel {
            let cgroups = self.cgroups.as_ref();
            kernel.read(&mut snapshot, &|id| cgroups.is_some_and(|reader| reader.is_gone(id)));
        }
        if self.oom_watch.is_some() {
            self.take_kills();
        }
        self.read_memory(&mut snapshot);
        self.read_network(&mut snapshot);
        self.read_cgroups(&mut snapshot);
        snapshot.processes = noted(&mut snapshot.coverage, Source::PROCESSES, || {
            process::read(&self.options.root, &mut self.buffer, self.units, self.options.max_processes)
        });
        if let Some(oom) = &mut snapshot.oom {
            let cgroups = self.cgroups.as_ref();
            self.oom_paths.fill(&mut oom.recent, |id| cgroups.and_then(|reader| reader.path_of(id)));
        }
        self.watch_oom(&mut snapshot);
        self.spent.add_up(&mut snapshot.coverage);
        snapshot
    }

    /// Reads the open connections alone, for what is to be known of them after a snapshot and before the next one. `None` where
    /// they cannot be read.
    pub fn sockets(&mut self, last: &Snapshot) -> Option<Sockets> {
        let mut snapshot = Snapshot::default();
        snapshot.tcp.namespaces.clone_from(&last.tcp.namespaces);
        if let Some(kernel) = &mut self.kernel {
            kernel.read_open(&mut snapshot);
        }
        if self.options.root.is_host() {
            self.read_sockets(&mut snapshot);
        }
        snapshot.tcp.sockets
    }

    /// Takes what there is to know of OOM kills since the last call; the kills are also in the next snapshot. To be called
    /// after each snapshot, and as soon as [`Self::events_fd`] is readable: while the cgroup is still there its path can be
    /// asked for, even if no snapshot has seen it.
    pub fn events(&mut self) -> OomNews {
        self.take_kills();
        let mut told = Vec::new();
        if let Some(watch) = &mut self.oom_watch {
            watch.read_log();
        }
        // The kernel marks a victim before it writes that it has killed: whatever the log has told, the event is there.
        self.take_kills();
        if let Some(watch) = &mut self.oom_watch {
            told = watch.news();
        }
        OomNews { kills: std::mem::take(&mut self.kills), told }
    }

    /// Kills by source since observer began to look, as the last snapshot has them.
    pub fn oom_counts(&self) -> Option<OomCounts> {
        self.oom_watch.as_ref().and_then(OomWatch::counts)
    }

    /// A descriptor that becomes readable when [`Self::events`] has something to take. `None` if there is nothing to wait for.
    pub fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.oom_watch {
            Some(watch) => watch.events_fd(),
            None => self.kernel.as_ref().and_then(Kernel::events_fd),
        }
    }

    fn take_kills(&mut self) {
        let mut kills = self.kernel.as_mut().map(Kernel::drain_events).unwrap_or_default();
        let cgroups = self.cgroups.as_ref();
        self.oom_paths.fill(&mut kills, |id| cgroups.and_then(|reader| reader.path_of(id)));
        if let Some(watch) = &mut self.oom_watch {
            kills.iter().for_each(|kill| watch.event(kill));
        }
        self.kills.append(&mut kills);
    }

    fn watch_oom(&mut self, snapshot: &mut Snapshot) {
        let Some(watch) = &mut self.oom_watch else { return };
        watch.read_log();
        let (buffer, root, page_size, kernel) =
            (&mut self.buffer, &self.options.root, self.units.page_size, self.kernel.as_ref());
        watch.fill(snapshot, || {
            let vmstat = buffer.parse(root, Source::VMSTAT, |b| memory::vmstat(b, page_size));
            Again {
                vmstat: vmstat.ok().and_then(|vmstat| vmstat.oom_kill),
                marked: kernel.and_then(Kernel::oom_marked),
            }
        });
    }

    fn read_memory(&mut self, snapshot: &mut Snapshot) {
        let page_size = self.units.page_size;
        let coverage = &mut snapshot.coverage;
        let memory = &mut snapshot.memory;
        memory.meminfo = self.file(coverage, Source::MEMINFO, memory::meminfo);
        memory.vmstat = self.file(coverage, Source::VMSTAT, |b| memory::vmstat(b, page_size));
        memory.zones = self.file(coverage, Source::ZONEINFO, |b| memory::zoneinfo(b, page_size));
        memory.buddy = self.file(coverage, Source::BUDDYINFO, memory::buddyinfo);
        let (root, buffer) = (&self.options.root, &mut self.buffer);
        self.memory.read(root, buffer, page_size, snapshot.stamp, memory, coverage);
        let stalls = crate::snapshot::pressure::Pressure {
            memory: self.file(coverage, Source::PRESSURE_MEMORY, pressure::resource),
            cpu: self.file(coverage, Source::PRESSURE_CPU, pressure::resource),
            io: self.file(coverage, Source::PRESSURE_IO, pressure::resource),
        };
        let any = stalls.memory.is_some() || stalls.cpu.is_some() || stalls.io.is_some();
        snapshot.pressure = any.then_some(stalls);
    }

    fn read_network(&mut self, snapshot: &mut Snapshot) {
        snapshot.tcp.snmp = self.file(&mut snapshot.coverage, Source::SNMP, tcp::snmp);
        snapshot.tcp.netstat = self.file(&mut snapshot.coverage, Source::NETSTAT, tcp::netstat);
        let (page_size, tick_ns) = (self.units.page_size, self.units.tick_ns);
        snapshot.tcp.memory = self.file(&mut snapshot.coverage, Source::SOCKSTAT, |b| tcp_memory::used(b, page_size));
        let limits = self.file(&mut snapshot.coverage, Source::TCP_MEM, |b| tcp_memory::limits(b, page_size));
        if let Some((memory, limits)) = snapshot.tcp.memory.as_mut().zip(limits) {
            limits.put_into(memory);
        }
        snapshot.cpus = self.file(&mut snapshot.coverage, Source::STAT, |b| cpu::times(b, tick_ns));
        let softnet = self.file(&mut snapshot.coverage, Source::SOFTNET, cpu::softnet);
        if let Some((cpus, softnet)) = snapshot.cpus.as_mut().zip(softnet) {
            cpu::join(cpus, &softnet);
        }
        // A folder that only looks like a host has no namespaces.
        let mut links = None;
        if self.options.root.is_host() {
            self.read_sockets(snapshot);
            let active: Vec<_> = snapshot.tcp.namespaces.iter().flatten().map(|n| (n.netns, n.events())).collect();
            let network = noted(&mut snapshot.coverage, Source::NETWORK, || {
                kept(&mut self.network, network::Reader::open, |reader| reader.read(&active))
            });
            if let Some((mut network, missing)) = network {
                links = network.namespaces.first_mut().and_then(|own| own.links.take());
                snapshot.coverage.sources.extend(missing);
                let open = snapshot.tcp.sockets.as_mut().zip(self.network.as_mut());
                let lost = open.map(|(open, reader)| reader.find_lost_routes(&mut open.list, &network));
                snapshot.coverage.sources.extend(lost.into_iter().flatten());
                let watched = encapsulation::watched(&network);
                let reader = self.encapsulation.as_mut();
                snapshot.encapsulation = reader.and_then(|reader| reader.read(&watched, &mut snapshot.coverage));
                snapshot.network = Some(network);
            }
        }
        snapshot.links = noted(&mut snapshot.coverage, Source::LINKS, || match links {
            Some(links) => Ok(links),
            None => kept(&mut self.links, LinkReader::open, LinkReader::read),
        });
    }

    /// Where the iterator could not tell of sockets.
    fn read_sockets(&mut self, snapshot: &mut Snapshot) {
        if snapshot.tcp.sockets.is_some() {
            return;
        }
        let (options, buffer) = (&self.options, &mut self.buffer);
        let open = || {
            let mount = cgroup::find::memory_mount(&options.root, buffer);
            let unified = mount.is_ok_and(|mount| mount.hierarchy == Hierarchy::V2);
            sock_diag::Reader::open(options.kernel.max_sockets, unified)
        };
        let read = noted(&mut snapshot.coverage, Source::SOCK_DIAG, || {
            kept(&mut self.sock_diag, open, sock_diag::Reader::read)
        });
        if let Some((sockets, missing)) = read {
            snapshot.tcp.sockets = Some(sockets);
            snapshot.coverage.sources.extend(missing);
        }
    }

    fn read_cgroups(&mut self, snapshot: &mut Snapshot) {
        let (options, page_size, buffer) = (&self.options, self.units.page_size, &mut self.buffer);
        let kills = snapshot.memory.vmstat.as_ref().and_then(|vmstat| vmstat.oom_kill);
        let cgroups = noted(&mut snapshot.coverage, Source::CGROUPS, || {
            // The reader's buffer is lent twice, one after the other.
            let mut reader = match self.cgroups.take() {
                Some(reader) => reader,
                None => CgroupReader::open(&options.root, buffer, options.max_cgroups, page_size)?,
            };
            let read = reader.read(buffer, kills)?;
            self.cgroups = Some(reader);
            Ok(read)
        });
        if let Some((mut cgroups, sources)) = cgroups {
            counted(&mut snapshot.coverage, Cost::CONTAINERS, || {
                self.containers.fill(&self.options.root, &mut cgroups.list);
            });
            self.oom_paths.learn(&cgroups);
            snapshot.coverage.sources.extend(sources);
            snapshot.cgroups = Some(cgroups);
        }
    }

    fn file<T>(
        &mut self,
        coverage: &mut Coverage,
        path: &'static str,
        parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Option<T> {
        noted(coverage, path, || self.buffer.parse(&self.options.root, path, parse))
    }
}

/// Uses what was kept from last time, or makes it. What failed is not kept: half an answer may still be in its socket.
fn kept<K, T>(
    slot: &mut Option<K>,
    make: impl FnOnce() -> Result<K, SourceError>,
    read: impl FnOnce(&mut K) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let mut kept = slot.take().map_or_else(make, Ok)?;
    let value = read(&mut kept)?;
    *slot = Some(kept);
    Ok(value)
}

/// Reads a source and lists it in the coverage: what it cost, and the reason if it could not be read.
pub(super) fn noted<T>(
    coverage: &mut Coverage,
    name: &str,
    read: impl FnOnce() -> Result<T, SourceError>,
) -> Option<T> {
    let (value, missing) = match counted(coverage, name, read) {
        Ok(value) => (Some(value), None),
        Err(e) => (None, Some(e.reason())),
    };
    coverage.sources.push(Source { name: name.to_owned(), missing });
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fixtures::{V2_6_12, host as fixture};

    /// Without the kernel side, which has its own tests.
    fn files_of(root: Root) -> Options {
        Options { root, object: None, ..Options::default() }
    }

    /// Why each source is missing, without the files of cgroups, which differ between hosts.
    fn missing(snapshot: &Snapshot) -> Vec<(&str, &str)> {
        // Without the kernel side sockets are read by sock_diag, which never tells everything.
        let aside = |s: &&Source| !s.name.starts_with("cgroups ") && s.name != Source::SOCK_DIAG_FIELDS;
        let sources = snapshot.coverage.sources.iter().filter(aside);
        sources.filter_map(|s| Some((s.name.as_str(), s.missing.as_ref()?.as_str()))).collect()
    }

    #[test]
    fn a_host_is_read_again_and_again() {
        let mut collector = Collector::new(files_of(Root::default()));
        let (first, second) = (collector.snapshot(), collector.snapshot());
        assert_eq!(missing(&first), []);
        assert!(second.stamp.monotonic_ns > first.stamp.monotonic_ns);
        assert_eq!(second.host, first.host);
        let faults = |s: &Snapshot| s.memory.vmstat.as_ref().and_then(|v| v.pgfault);
        assert!(faults(&second) >= faults(&first) && faults(&first).is_some());
        assert!(second.links.is_some_and(|l| !l.list.is_empty()));
        assert!(second.tcp.snmp.is_some() && second.tcp.netstat.is_some());
        assert!(second.cgroups.is_some_and(|c| !c.list.is_empty()));
    }

    #[test]
    fn a_folder_of_files_is_a_host() {
        let mut collector = Collector::new(files_of(Root::at(fixture(V2_6_12))));
        let snapshot = collector.snapshot();
        assert_eq!(missing(&snapshot), [], "{:?}", snapshot.coverage);
        assert_eq!(snapshot.cgroups.unwrap().list.len(), 4);
        assert_eq!(snapshot.host.cpus, None, "the folder has no sys/devices");
    }

    #[test]
    fn an_empty_folder_gives_a_reason_for_each_source_and_no_values() {
        let folder = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(files_of(Root::at(folder.path())));
        let snapshot = collector.snapshot();
        let missing = missing(&snapshot);
        assert_eq!(missing.len(), 21, "all but rtnetlink, which has no folder: {missing:?}");
        let reason = "cannot read /proc/meminfo: No such file or directory (os error 2)";
        assert_eq!(snapshot.coverage.source_reason(Source::MEMINFO).unwrap().as_str(), reason);
        assert_eq!(snapshot.memory, crate::snapshot::memory::Memory::default());
        assert!(snapshot.cgroups.is_none() && snapshot.processes.is_none() && snapshot.pressure.is_none());
        std::fs::create_dir_all(folder.path().join("proc")).unwrap();
        std::fs::write(folder.path().join("proc/meminfo"), "MemTotal: 1 kB\n").unwrap();
        assert_eq!(collector.snapshot().memory.meminfo.unwrap().total, Some(1024), "it is tried again");
    }
}
