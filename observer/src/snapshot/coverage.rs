//! What was seen, what was not and why, and what was lost.

use serde::{Deserialize, Serialize};

use super::Name;

/// Coverage of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// Every kernel probe, attached or not.
    pub probes: Vec<Probe>,
    /// Every source that was to be read, such as /proc/meminfo.
    pub sources: Vec<Source>,
    /// Everything that was lost, and where. A loss of 0 is listed too.
    pub losses: Vec<Loss>,
    /// CPU time that reading each source has cost observer since it started; of a source that was never read there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<Cost>,
}

impl Coverage {
    /// True if every probe is attached in its first form and every source was read.
    pub fn is_full(&self) -> bool {
        self.probes.iter().all(|p| matches!(p.state, ProbeState::Attached))
            && self.sources.iter().all(|s| s.missing.is_none())
    }

    /// Why the part of the snapshot that probes fill is missing: the reason of the first of its probes that has one.
    pub fn probe_reason(&self, feeds: &str) -> Option<&Name> {
        self.probes.iter().filter(|p| p.feeds == feeds).find_map(|p| match &p.state {
            ProbeState::Attached => None,
            ProbeState::Fallback { reason, .. } | ProbeState::Absent { reason, .. } => Some(reason),
        })
    }

    /// True if a probe that fills this part of the snapshot was asked for, whatever became of it.
    pub fn is_wanted(&self, feeds: &str) -> bool {
        self.probes.iter().any(|p| p.feeds == feeds)
    }

    /// Why a file or another source could not be read.
    pub fn source_reason(&self, name: &str) -> Option<&Name> {
        self.sources.iter().find(|s| s.name == name).and_then(|s| s.missing.as_ref())
    }
}

/// One kernel probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Name of the probe, such as `page_alloc`.
    pub name: String,
    /// Where it is attached, such as `tp_btf/mm_page_alloc`.
    pub attach: String,
    /// Part of the snapshot that it fills, such as `page_alloc`.
    pub feeds: String,
    /// Whether it works.
    pub state: ProbeState,
    /// Kernel structure fields that the running kernel does not have, or other things that its form of a tracepoint does
    /// not tell, and so are not reported.
    pub fields_missing: Vec<String>,
    /// Times it ran. `None` if the kernel does not tell: it counts only while `kernel.bpf_stats_enabled` is 1.
    pub runs: Option<u64>,
    /// Times it was skipped because it already ran on that CPU (`recursion_misses`): a loss.
    pub recursion_misses: Option<u64>,
}

/// State of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ProbeState {
    /// It is attached as intended.
    Attached,
    /// It is attached in a second form, which sees the same at a higher cost or with less detail.
    Fallback {
        /// The form that is in use, such as `tracepoint/kmem/mm_page_alloc`.
        with: String,
        /// Why the first form could not be used.
        reason: Name,
    },
    /// It is not attached.
    Absent {
        /// Why not, in the kernel's words where it said something.
        reason: Name,
        /// What tells part of the same, such as `/proc/vmstat allocstall_*`; `None` if nothing does.
        replaced_by: Option<String>,
        /// The command that would mend it, where there is one.
        remedy: Option<String>,
    },
}

/// One file, netlink family or hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What is read, such as `/proc/meminfo`.
    pub name: String,
    /// Why it could not be read; `None` if it was.
    pub missing: Option<Name>,
}

/// Names of the sources, for [`Coverage::source_reason`].
impl Source {
    /// Fills `memory.meminfo`.
    pub const MEMINFO: &'static str = "/proc/meminfo";
    /// Fills `memory.vmstat`.
    pub const VMSTAT: &'static str = "/proc/vmstat";
    /// Fills `memory.zones`.
    pub const ZONEINFO: &'static str = "/proc/zoneinfo";
    /// Fills `memory.buddy`.
    pub const BUDDYINFO: &'static str = "/proc/buddyinfo";
    /// Fills `memory.page_types`, and `free_highatomic` of zones on kernels whose zoneinfo lacks it.
    pub const PAGETYPEINFO: &'static str = "/proc/pagetypeinfo";
    /// Fills `memory.nodes`.
    pub const NODES: &'static str = "/sys/devices/system/node";
    /// Fills `memory.slabs`.
    pub const SLABINFO: &'static str = "/proc/slabinfo";
    /// Fills `memory.swap`.
    pub const SWAPS: &'static str = "/proc/swaps";
    /// Fills `memory.shmem.tmpfs`.
    pub const TMPFS: &'static str = "tmpfs mounts";
    /// Fills `memory.shmem.sysv`.
    pub const SYSVIPC: &'static str = "/proc/sysvipc/shm";
    /// Names the functions of `shrinkers`; listed only where it names one of them not.
    pub const KALLSYMS: &'static str = "/proc/kallsyms";
    /// Names the functions in `drops`; listed only where it names one of them not.
    pub const DROP_FUNCTIONS: &'static str = "functions that drop packets";
    /// Names the flags in `page_alloc.failures`; listed only where it does not.
    pub const GFP_FLAGS: &'static str = "names of gfp flags";
    /// Fills `memory.hugepages`.
    pub const HUGEPAGES: &'static str = "/sys/kernel/mm/hugepages";
    /// Fills `pressure.memory`.
    pub const PRESSURE_MEMORY: &'static str = "/proc/pressure/memory";
    /// Fills `pressure.cpu`.
    pub const PRESSURE_CPU: &'static str = "/proc/pressure/cpu";
    /// Fills `pressure.io`.
    pub const PRESSURE_IO: &'static str = "/proc/pressure/io";
    /// Fills `cpus`.
    pub const STAT: &'static str = "/proc/stat";
    /// Fills `softnet` of `cpus`.
    pub const SOFTNET: &'static str = "/proc/net/softnet_stat";
    /// Fills `tcp.memory`.
    pub const SOCKSTAT: &'static str = "/proc/net/sockstat";
    /// Fills the limits in `tcp.memory`.
    pub const TCP_MEM: &'static str = "/proc/sys/net/ipv4/tcp_mem";
    /// Fills `tcp.snmp`.
    pub const SNMP: &'static str = "/proc/net/snmp";
    /// Fills `tcp.netstat`.
    pub const NETSTAT: &'static str = "/proc/net/netstat";
    /// Fills `oom_watch`; listed only while observer watches for OOM kills.
    pub const KMSG: &'static str = "/dev/kmsg";
    /// What keeps observer itself alive when memory runs out; listed only by what watches for OOM kills.
    pub const PROTECTION: &'static str = "protection of observer";
    /// The folder of stored OOM kills; listed only where they are stored.
    pub const OOM_DIR: &'static str = "stored OOM kills";
    /// Fills `links`.
    pub const LINKS: &'static str = "rtnetlink";
    /// Fills `tcp.sockets` where BPF is not to be had; listed only there.
    pub const SOCK_DIAG: &'static str = "sock_diag";
    /// What `sock_diag` does not tell of a socket; listed only where it is read.
    pub const SOCK_DIAG_FIELDS: &'static str = "sock_diag, all fields";
    /// Fills `owner` of sockets where BPF is not to be had; listed only where some cannot be known.
    pub const SOCKET_OWNERS: &'static str = "/proc/PID/fd";
    /// Fills `network`.
    pub const NETWORK: &'static str = "network namespaces";
    /// Namespaces of `network`; listed only where one could not be entered.
    pub const NETWORK_PARTS: &'static str = "network namespaces, all of them";
    /// Counters in `network`; listed only where some are missing.
    pub const NETWORK_FILES: &'static str = "/proc/net of network namespaces";
    /// Interfaces in `network`; listed only where some are missing.
    pub const NETWORK_LINKS: &'static str = "interfaces of network namespaces";
    /// Peers of WireGuard interfaces; listed only where some are missing.
    pub const WIREGUARD: &'static str = "WireGuard peers";
    /// Peers of VXLAN interfaces; listed only where some are missing.
    pub const FDB: &'static str = "VXLAN forwarding databases";
    /// IPsec in `network`; listed only where some is missing.
    pub const XFRM: &'static str = "IPsec of network namespaces";
    /// Who holds tun and tap devices; listed only where that could not be looked for.
    pub const TUN: &'static str = "holders of tun devices";
    /// Routes of outer packets; listed only where some are missing.
    pub const ROUTES: &'static str = "routes of tunnels";
    /// Features of tunnels and of their underlay, as `ethtool -k` shows them; listed only where some are missing.
    pub const FEATURES: &'static str = "offloads of tunnels";
    /// Queues of tunnels and of their underlay; listed only where some are missing.
    pub const QDISCS: &'static str = "queues of tunnels";
    /// Fills `processes`.
    pub const PROCESSES: &'static str = "/proc/PID";
    /// Fills `cgroups`. A file that cgroups lack, or that cannot be read, is a further source: `cgroups memory.pressure`.
    pub const CGROUPS: &'static str = "cgroups";
}

impl Source {
    /// A source that could not be read.
    pub fn missing(name: &str, why: Name) -> Self {
        Self { name: name.to_owned(), missing: Some(why) }
    }
}

/// What a source has cost observer. Source: `CLOCK_THREAD_CPUTIME_ID` around each reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// What was read, by the name of [`Source`]; `bpf maps of page_alloc` for a part of the kernel side.
    pub source: String,
    /// CPU time of the reading thread since observer started, user and system, in nanoseconds.
    pub cpu_ns: u64,
}

impl Cost {
    /// Names containers, beside the reading of cgroups itself.
    pub const CONTAINERS: &'static str = "container runtimes";
}

/// Something that was seen and could not be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What was lost, such as `oom ring buffer events` or `page_alloc recursion misses`.
    pub what: String,
    /// How often since the probes were attached.
    pub count: u64,
}

impl Loss {
    /// Failed page allocations that are in the counts and not in `page_alloc.failures`.
    pub const ALLOC_FAILURES: &'static str = "page_alloc: flags of failures not kept, map full";
}
