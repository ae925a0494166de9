//! What used the memory.

use serde::Serialize;

use super::limit::Limit;
use crate::{
    snapshot::{
        Name,
        oom_report::{OomReport, memcg::MemcgState},
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

/// A kind of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// What it is.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// Lines of the report that tell it.
    pub source: &'static str,
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
        Some(memcg) if limit.is_of_cgroup() => (limit.usage, of_cgroup(memcg)),
        _ if limit.is_of_cgroup() => (None, Vec::new()),
        _ => (limit.limit, of_host(report)),
    };
    let mut kinds: Vec<Kind> = kinds.into_iter().filter(|k| k.bytes > 0).collect();
    kinds.sort_by_key(|k| std::cmp::Reverse(k.bytes));
    let sum: u64 = kinds.iter().map(|k| k.bytes).sum();
    let unaccounted = total.filter(|_| !kinds.is_empty()).map(|t| t.cast_signed() - sum.cast_signed());
    let mut missing = Vec::new();
    if kinds.is_empty() {
        missing.push("What kinds of memory were in use: the report has no counters.".to_owned());
    }
    if report.tasks.is_empty() {
        missing.push(
            "Which processes used memory: the report has no table of tasks (vm.oom_dump_tasks=0, or it was cut off)."
                .to_owned(),
        );
    }
    Usage { total, kinds, unaccounted, processes: processes(report), process_count: report.tasks.len(), missing }
}

/// Of the host, in bytes. Sources: `Mem-Info:` and the lines of nodes.
fn of_host(report: &OomReport) -> Vec<Kind> {
    let of = |name: &str| report.counter(name);
    if report.counters.is_empty() {
        return Vec::new();
    }
    let node = |name: &str| {
        report.nodes.iter().filter_map(|n| crate::snapshot::oom_report::counter(&n.values, name)).reduce(|a, b| a + b)
    };
    let shmem = of("shmem").unwrap_or(0);
    // tmpfs lies on the lists of anonymous memory, and counts as page cache nevertheless.
    let anon_lists =
        of("active_anon").unwrap_or(0) + of("inactive_anon").unwrap_or(0) + of("isolated_anon").unwrap_or(0);
    let on_lists = shmem.min(anon_lists);
    let huge = report.huge_pages.iter().map(|h| h.size.saturating_mul(h.total)).sum();
    vec![
        Kind { name: "anonymous", bytes: anon_lists - on_lists, source: "active_anon + inactive_anon - shmem" },
        Kind { name: "tmpfs and shared memory", bytes: shmem, source: "shmem" },
        Kind {
            name: "page cache of files",
            bytes: of("active_file").unwrap_or(0) + of("inactive_file").unwrap_or(0) + of("isolated_file").unwrap_or(0),
            source: "active_file + inactive_file",
        },
        Kind {
            name: "locked or otherwise unevictable",
            bytes: of("unevictable").unwrap_or(0).saturating_sub(shmem - on_lists),
            source: "unevictable",
        },
        Kind { name: "slab, reclaimable", bytes: of("slab_reclaimable").unwrap_or(0), source: "slab_reclaimable" },
        Kind {
            name: "slab, unreclaimable",
            bytes: of("slab_unreclaimable").unwrap_or(0),
            source: "slab_unreclaimable",
        },
        Kind { name: "page tables", bytes: of("pagetables").unwrap_or(0), source: "pagetables" },
        Kind { name: "page tables of guests", bytes: of("sec_pagetables").unwrap_or(0), source: "sec_pagetables" },
        Kind { name: "kernel stacks", bytes: node("kernel_stack").unwrap_or(0), source: "kernel_stack of the nodes" },
        Kind {
            name: "kernel, other reclaimable",
            bytes: of("kernel_misc_reclaimable").unwrap_or(0),
            source: "kernel_misc_reclaimable",
        },
        Kind { name: "huge page pools", bytes: huge, source: "hugepages_total x hugepages_size" },
        Kind { name: "bounce buffers", bytes: of("bounce").unwrap_or(0), source: "bounce" },
        Kind { name: "free", bytes: of("free").unwrap_or(0), source: "free" },
        Kind { name: "free, in the lists of the CPUs", bytes: of("free_pcp").unwrap_or(0), source: "free_pcp" },
    ]
}

/// Of a cgroup and those below it. Sources: `memory.stat` as the report has it, and `kmem:`.
fn of_cgroup(memcg: &MemcgState) -> Vec<Kind> {
    let of = |name: &str| memcg.stat(name);
    // v2: bytes of the whole tree.
    if let Some(anon) = of("anon") {
        let shmem = of("shmem").unwrap_or(0);
        let parts = ["kernel_stack", "pagetables", "sec_pagetables", "percpu", "vmalloc", "slab"];
        let known: u64 = parts.iter().filter_map(|p| of(p)).sum();
        let kernel = of("kernel").map_or(0, |all| all.saturating_sub(known));
        return vec![
            Kind { name: "anonymous", bytes: anon, source: "anon" },
            Kind { name: "tmpfs and shared memory", bytes: shmem, source: "shmem" },
            Kind {
                name: "page cache of files",
                bytes: of("file").unwrap_or(0).saturating_sub(shmem),
                source: "file - shmem",
            },
            Kind { name: "slab, reclaimable", bytes: of("slab_reclaimable").unwrap_or(0), source: "slab_reclaimable" },
            Kind {
                name: "slab, unreclaimable",
                bytes: of("slab_unreclaimable").unwrap_or(0),
                source: "slab_unreclaimable",
            },
            Kind { name: "page tables", bytes: of("pagetables").unwrap_or(0), source: "pagetables" },
            Kind { name: "kernel stacks", bytes: of("kernel_stack").unwrap_or(0), source: "kernel_stack" },
            Kind { name: "per-CPU memory of the kernel", bytes: of("percpu").unwrap_or(0), source: "percpu" },
            Kind { name: "vmalloc", bytes: of("vmalloc").unwrap_or(0), source: "vmalloc" },
            Kind { name: "socket buffers", bytes: of("sock").unwrap_or(0), source: "sock" },
            Kind { name: "kernel, other", bytes: kernel, source: "kernel - its parts" },
        ];
    }
    // v1: the `total_` lines are of the whole tree; before 5.3 each cgroup has its own line.
    let sum = |name: &str| -> Option<u64> {
        let total = format!("total_{name}");
        let own = || {
            let all =
                memcg.stats.iter().filter_map(|s| s.values.iter().find(|(n, _)| n.as_str() == name).map(|(_, v)| *v));
            all.reduce(|a, b| a + b)
        };
        of(&total).or_else(own)
    };
    let Some(rss) = sum("rss") else { return Vec::new() };
    let shmem = sum("shmem").unwrap_or(0);
    let kmem = memcg.of(crate::snapshot::oom_report::UseKind::Kmem).map_or(0, |k| k.usage);
    vec![
        Kind { name: "anonymous", bytes: rss, source: "total_rss" },
        Kind { name: "tmpfs and shared memory", bytes: shmem, source: "total_shmem" },
        Kind {
            name: "page cache of files",
            bytes: sum("cache").unwrap_or(0).saturating_sub(shmem),
            source: "total_cache - total_shmem",
        },
        Kind { name: "kernel", bytes: kmem, source: "kmem: usage" },
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
            row.rss += task.rss;
            row.swap += task.swap.unwrap_or(0);
            row.page_tables += task.page_tables.unwrap_or(0);
            if task.rss >= *largest {
                (row.pid, *largest) = (task.pid, task.rss);
            }
        }
    }
    rows.sort_by_key(|r| std::cmp::Reverse(r.rss + r.swap));
    rows.truncate(MOST_PROCESSES);
    rows
}

impl Usage {
    /// Bytes of a kind.
    pub fn of(&self, name: &str) -> u64 {
        self.kinds.iter().find(|k| k.name == name).map_or(0, |k| k.bytes)
    }

    /// The largest kinds and the largest process, in one sentence.
    pub fn sentence(&self) -> Option<String> {
        let total = self.total?.max(1) as f64;
        let share = |bytes: u64| format!("{} ({})", units::bytes(bytes as f64), units::percent(bytes as f64 / total));
        let kinds: Vec<_> = self.kinds.iter().filter(|k| !k.name.starts_with("free")).take(2).collect();
        let largest = kinds.first()?;
        let mut text = format!("Of {} in all {} was {}", units::bytes(total), share(largest.bytes), largest.name);
        if let Some(next) = kinds.get(1).filter(|k| k.bytes as f64 > total / 20.0) {
            text += &format!(", {} {}", share(next.bytes), next.name);
        }
        if let Some(p) = self.processes.first() {
            let many = if p.count > 1 {
                format!("{} processes {}", p.count, p.comm)
            } else {
                super::process(&p.comm, Some(p.pid))
            };
            text += &format!("; most was held by {many}: {} in RAM", units::bytes(p.rss as f64));
            if p.swap > 0 {
                text += &format!(", {} in swap", units::bytes(p.swap as f64));
            }
        }
        Some(text + ".")
    }
}
