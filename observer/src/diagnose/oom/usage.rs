//! What used the memory.

use serde::Serialize;

use super::limit::Limit;
use crate::{
    snapshot::{
        Name,
        oom_report::{
            OomReport, Task, UseKind,
            memcg::{MemcgState, MemcgStats},
        },
    },
    units,
};

/// Memory by kind and by process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Usage {
    /// What is divided: the RAM that the kernel manages, or what the cgroup uses. `None` if the report does not tell.
    pub total: Option<u64>,
    /// Its kinds, the largest first. They do not overlap.
    pub kinds: Vec<Kind>,
    /// What no line of the report accounts for; negative where counters overlap.
    pub unaccounted: Option<i64>,
    /// Processes with most in RAM and swap, the largest first.
    pub processes: Vec<ProcessUse>,
    /// Processes of the report.
    pub process_count: usize,
    /// What cannot be told, each with why.
    pub missing: Vec<String>,
}

/// Bytes of one kind of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// What it is.
    pub what: What,
    /// Bytes.
    pub bytes: u64,
    /// Lines of the report that tell it.
    pub source: &'static str,
}

/// A kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Heap, stacks, private mappings.
    Anonymous,
    /// tmpfs, shared mappings without a file, System V shared memory.
    Shared,
    /// Page cache.
    Cache,
    /// Locked, or of drivers.
    Unevictable,
    /// Slab that shrinkers can give back.
    SlabReclaimable,
    /// Slab that they cannot.
    SlabUnreclaimable,
    /// Page tables.
    PageTables,
    /// Page tables of virtual machines and of the IOMMU.
    GuestPageTables,
    /// Stacks of tasks in the kernel.
    KernelStacks,
    /// Other memory of the kernel that shrinkers can give back.
    KernelReclaimable,
    /// All kernel memory of a cgroup, of kernels that tell no parts.
    Kernel,
    /// Kernel memory of a cgroup beside its parts.
    KernelOther,
    /// Per-CPU memory of the kernel.
    PerCpu,
    /// vmalloc.
    Vmalloc,
    /// Buffers of sockets.
    Sockets,
    /// Pools of huge pages, used or not.
    HugePages,
    /// Copies for devices that do not reach all of RAM.
    Bounce,
    /// Free.
    Free,
    /// Free, in the list of a CPU.
    FreePerCpu,
}

impl What {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Shared => "tmpfs and shared memory",
            Self::Cache => "page cache of files",
            Self::Unevictable => "locked or otherwise unevictable",
            Self::SlabReclaimable => "slab, reclaimable",
            Self::SlabUnreclaimable => "slab, unreclaimable",
            Self::PageTables => "page tables",
            Self::GuestPageTables => "page tables of guests",
            Self::KernelStacks => "kernel stacks",
            Self::KernelReclaimable => "kernel, other reclaimable",
            Self::Kernel => "kernel",
            Self::KernelOther => "kernel, other",
            Self::PerCpu => "per-CPU memory of the kernel",
            Self::Vmalloc => "vmalloc",
            Self::Sockets => "socket buffers",
            Self::HugePages => "huge page pools",
            Self::Bounce => "bounce buffers",
            Self::Free => "free",
            Self::FreePerCpu => "free, in the lists of the CPUs",
        }
    }

    /// In more words, for who never heard of it.
    fn plain(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous (heaps and stacks of processes)",
            Self::SlabUnreclaimable => "slab (objects of the kernel) that nothing can take",
            Self::HugePages => "set aside in pools of huge pages",
            Self::Kernel => "memory of the kernel",
            Self::KernelOther => "other memory of the kernel",
            other => other.words(),
        }
    }

    /// True if nobody has it.
    fn is_free(self) -> bool {
        matches!(self, Self::Free | Self::FreePerCpu)
    }
}

/// What one name's processes had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessUse {
    /// Name.
    pub comm: Name,
    /// Processes of that name.
    pub count: usize,
    /// Process id of the largest.
    pub pid: u32,
    /// Bytes in RAM of all of them; what they share counts for each.
    pub rss: u64,
    /// Bytes in swap of all of them.
    pub swap: u64,
    /// Bytes of their page tables.
    pub page_tables: u64,
}

/// Names that are kept.
const MOST_PROCESSES: usize = 10;

pub(super) fn usage(report: &OomReport, limit: &Limit) -> Usage {
    let (total, kinds) = match &report.memcg {
        Some(memcg) if limit.is_of_cgroup() => (limit.usage, of_cgroup(memcg, &report.tasks)),
        _ if limit.is_of_cgroup() => (None, Vec::new()),
        _ if limit.is_of_nodes() => (limit.limit, of_nodes(report)),
        _ => (limit.limit, of_host(report)),
    };
    let mut kinds: Vec<Kind> = kinds.into_iter().filter(|k| k.bytes > 0).collect();
    kinds.sort_by_key(|k| std::cmp::Reverse(k.bytes));
    let sum = kinds.iter().map(|k| k.bytes).fold(0, u64::saturating_add);
    let unaccounted = total.filter(|_| !kinds.is_empty()).map(|t| signed(t).saturating_sub(signed(sum)));
    let mut missing = Vec::new();
    if kinds.is_empty() {
        missing.push("What kinds of memory were in use: the report has no counters.".to_owned());
    }
    if limit.is_of_nodes() {
        missing.push(
            "How much slab and how many page tables lie on those nodes, and which processes do: the report tells both for all nodes together."
                .to_owned(),
        );
    }
    if report.tasks.is_empty() {
        missing.push(
            "Which processes used memory: the report has no table of tasks (vm.oom_dump_tasks=0, or it was cut off)."
                .to_owned(),
        );
    }
    Usage { total, kinds, unaccounted, processes: processes(report), process_count: report.tasks.len(), missing }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Kinds that are one line each, of the host and of a cgroup of version 2 alike.
const PLAIN: [(What, &str); 9] = [
    (What::SlabReclaimable, "slab_reclaimable"),
    (What::SlabUnreclaimable, "slab_unreclaimable"),
    (What::PageTables, "pagetables"),
    (What::GuestPageTables, "sec_pagetables"),
    (What::KernelStacks, "kernel_stack"),
    (What::PerCpu, "percpu"),
    (What::Vmalloc, "vmalloc"),
    (What::Sockets, "sock"),
    (What::KernelReclaimable, "kernel_misc_reclaimable"),
];

fn plain<'a>(of: impl Fn(&str) -> u64 + 'a) -> impl Iterator<Item = Kind> + 'a {
    PLAIN.iter().map(move |(what, line)| Kind { what: *what, bytes: of(line), source: line })
}

/// Of the host, in bytes. Sources: `Mem-Info:`; the lines of nodes tell what it lacks.
fn of_host(report: &OomReport) -> Vec<Kind> {
    if report.counters.is_empty() {
        return Vec::new();
    }
    let of = |name: &str| report.counter(name).or_else(|| in_nodes(report, name)).unwrap_or(0);
    let huge = report.huge_pages.iter().map(|h| h.size.saturating_mul(h.total)).fold(0, u64::saturating_add);
    let mut all = on_lists(of);
    all.push(Kind { what: What::HugePages, bytes: huge, source: "hugepages_total x hugepages_size" });
    all.extend(plain(of));
    all
}

/// The sum of a counter over the lines of nodes.
fn in_nodes(report: &OomReport, name: &str) -> Option<u64> {
    let values = report.nodes.iter().filter_map(|n| crate::snapshot::oom_report::counter(&n.values, name));
    values.reduce(u64::saturating_add)
}

/// Of the nodes that the report has lines of.
fn of_nodes(report: &OomReport) -> Vec<Kind> {
    if report.nodes.is_empty() {
        return Vec::new();
    }
    let in_zones = |name: &str| report.zones.iter().filter_map(|z| z.value(name)).reduce(u64::saturating_add);
    let of = |name: &str| in_nodes(report, name).or_else(|| in_zones(name)).unwrap_or(0);
    let mut all = on_lists(of);
    all.extend(plain(of));
    all
}

/// What lies on the lists of the LRU, and what is free.
fn on_lists(of: impl Fn(&str) -> u64) -> Vec<Kind> {
    let sum = |names: &[&str]| names.iter().map(|name| of(name)).fold(0, u64::saturating_add);
    let shmem = of("shmem");
    // tmpfs lies on the lists of anonymous memory, and counts as page cache nevertheless.
    let anon_lists = sum(&["active_anon", "inactive_anon", "isolated_anon"]);
    let on_lists = shmem.min(anon_lists);
    let kind = |what, bytes, source| Kind { what, bytes, source };
    vec![
        kind(What::Anonymous, anon_lists - on_lists, "active_anon + inactive_anon - shmem"),
        kind(What::Shared, shmem, "shmem"),
        kind(What::Cache, sum(&["active_file", "inactive_file", "isolated_file"]), "active_file + inactive_file"),
        kind(What::Unevictable, of("unevictable").saturating_sub(shmem - on_lists), "unevictable"),
        kind(What::Bounce, of("bounce"), "bounce"),
        kind(What::Free, of("free"), "free"),
        kind(What::FreePerCpu, of("free_pcp"), "free_pcp"),
    ]
}

/// Of a cgroup and those below it. Sources: `memory.stat` as the report has it, and `kmem:`.
fn of_cgroup(memcg: &MemcgState, tasks: &[Task]) -> Vec<Kind> {
    let kind = |what, bytes, source| Kind { what, bytes, source };
    // v2: bytes of the whole tree.
    if let Some(anon) = memcg.stat("anon") {
        let of = |name: &str| memcg.stat(name).unwrap_or(0);
        let parts = ["kernel_stack", "pagetables", "sec_pagetables", "percpu", "vmalloc", "slab"];
        let known = parts.iter().map(|part| of(part)).fold(0, u64::saturating_add);
        let mut all = vec![
            kind(What::Anonymous, anon, "anon"),
            kind(What::Shared, of("shmem"), "shmem"),
            kind(What::Cache, of("file").saturating_sub(of("shmem")), "file - shmem"),
            kind(What::KernelOther, of("kernel").saturating_sub(known), "kernel - its parts"),
        ];
        all.extend(plain(of));
        return all;
    }
    // v1: the `total_` lines are of the whole tree; before 5.3 each cgroup has its own line.
    let sum = |name: &str| -> Option<u64> {
        let own = |s: &MemcgStats| s.values.iter().find(|(n, _)| n.as_str() == name).map(|(_, v)| *v);
        memcg.stat(&format!("total_{name}")).or_else(|| memcg.stats.iter().filter_map(own).reduce(u64::saturating_add))
    };
    let Some(rss) = sum("rss") else { return Vec::new() };
    let shmem = sum("shmem").unwrap_or(0);
    let kmem = memcg.of(UseKind::Kmem).map_or(0, |k| k.usage);
    // Of its parts only the tasks tell one.
    let tables = tasks.iter().filter_map(|t| t.page_tables).fold(0, u64::saturating_add).min(kmem);
    vec![
        kind(What::Anonymous, rss, "total_rss"),
        kind(What::Shared, shmem, "total_shmem"),
        kind(What::Cache, sum("cache").unwrap_or(0).saturating_sub(shmem), "total_cache - total_shmem"),
        kind(What::PageTables, tables, "pgtables_bytes of the tasks"),
        kind(What::Kernel, kmem - tables, "kmem: usage - pgtables_bytes"),
    ]
}

/// Processes by name: many workers of one name are one user of memory.
fn processes(report: &OomReport) -> Vec<ProcessUse> {
    let mut rows: Vec<ProcessUse> = Vec::new();
    let mut at = std::collections::HashMap::new();
    let mut largest = Vec::new();
    for task in &report.tasks {
        let row = *at.entry(&task.comm).or_insert_with(|| {
            rows.push(ProcessUse { comm: task.comm.clone(), count: 0, pid: task.pid, rss: 0, swap: 0, page_tables: 0 });
            largest.push(0);
            rows.len() - 1
        });
        if let (Some(row), Some(largest)) = (rows.get_mut(row), largest.get_mut(row)) {
            row.count += 1;
            row.rss = row.rss.saturating_add(task.rss);
            row.swap = row.swap.saturating_add(task.swap.unwrap_or(0));
            row.page_tables = row.page_tables.saturating_add(task.page_tables.unwrap_or(0));
            if task.rss >= *largest {
                (row.pid, *largest) = (task.pid, task.rss);
            }
        }
    }
    rows.sort_by_key(|r| std::cmp::Reverse(r.rss.saturating_add(r.swap)));
    rows.truncate(MOST_PROCESSES);
    rows
}

impl Usage {
    /// Bytes of a kind.
    pub fn of(&self, what: What) -> u64 {
        self.kinds.iter().find(|k| k.what == what).map_or(0, |k| k.bytes)
    }

    /// True if that is a good part of all; what no process has is not ended by the end of one.
    pub fn holds_much(&self, process: &ProcessUse) -> bool {
        self.total.is_none_or(|total| process.rss.saturating_add(process.swap) >= total / 3)
    }

    /// The largest kinds and the largest process, in one sentence.
    pub fn sentence(&self) -> Option<String> {
        let total = self.total?.max(1) as f64;
        let share = |bytes: u64| format!("{} ({})", units::bytes(bytes as f64), units::percent(bytes as f64 / total));
        let kinds: Vec<_> = self.kinds.iter().filter(|k| !k.what.is_free()).take(2).collect();
        let largest = kinds.first()?;
        let mut text =
            format!("Of {} in all, {} was {}", units::bytes(total), share(largest.bytes), largest.what.plain());
        if let Some(next) = kinds.get(1).filter(|k| k.bytes as f64 > total / 20.0) {
            text += &format!(", {} {}", share(next.bytes), next.what.plain());
        }
        if let Some(p) = self.processes.first() {
            let many = if p.count > 1 {
                format!("{} processes {}", p.count, p.comm)
            } else {
                super::process(&p.comm, Some(p.pid))
            };
            let who = if self.holds_much(p) { "most was held by" } else { "no process has much of it: the largest is" };
            text += &format!("; {who} {many}: {} in RAM", units::bytes(p.rss as f64));
            if p.swap > 0 {
                text += &format!(", {} in swap", units::bytes(p.swap as f64));
            }
        }
        Some(text + ".")
    }
}
