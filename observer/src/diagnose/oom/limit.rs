//! Which limit refused the request.

use serde::Serialize;

use crate::{
    snapshot::{
        Name,
        oom_report::{Constraint, OomReport, UseKind},
    },
    units,
};

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// Whose memory it was.
    pub memory: Memory,
    /// Bytes in use; `None` if the report does not tell.
    pub usage: Option<u64>,
    /// Bytes of the limit; for the host the RAM that the kernel manages.
    pub limit: Option<u64>,
    /// Times that the limit was met before, as the kernel counts it.
    pub failcnt: Option<u64>,
    /// Free bytes of NUMA nodes that the request could not use; `None` if it could use all.
    pub free_elsewhere: Option<u64>,
    /// Bytes of the block that was asked for, where free memory was there and no block of it was as large.
    pub block: Option<u64>,
}

/// Whose memory was full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// All of the host.
    Host,
    /// That of a memory cgroup.
    Cgroup {
        /// The cgroup that has the limit.
        path: Name,
        /// The victim's cgroup.
        of_task: Option<Name>,
        /// How many levels the limit lies above the victim's cgroup: 0 is its own.
        levels_above: Option<usize>,
        /// Which limit of it.
        kind: UseKind,
    },
    /// The NUMA nodes of a cpuset.
    Cpuset {
        /// The cpuset.
        cpuset: Option<Name>,
        /// Its nodes.
        nodes: Option<Name>,
    },
    /// The NUMA nodes of a memory policy (`mbind`, `set_mempolicy`, `numactl --membind`).
    Policy {
        /// Its nodes.
        nodes: Option<Name>,
    },
    /// None: somebody asked for a kill.
    Sysrq,
    /// The report does not tell.
    Unknown,
}

/// Which limit it was, by a report.
pub fn limit(report: &OomReport) -> Limit {
    let sysrq = report.request.as_ref().is_some_and(|r| r.order == Some(-1));
    let decision = report.decision.as_ref();
    let of_memcg = report.memcg.as_ref();
    if sysrq {
        return host(report, Memory::Sysrq);
    }
    let by_reason = reasons(report).any(|r| r.starts_with("Memory cgroup"));
    if of_memcg.is_some() || by_reason || decision.is_some_and(|d| d.oom_memcg.is_some()) {
        return cgroup(report);
    }
    match decision.map(|d| &d.constraint) {
        Some(Constraint::Cpuset) => {
            let nodes = decision.and_then(|d| d.mems_allowed.clone());
            host(report, Memory::Cpuset { cpuset: decision.and_then(|d| d.cpuset.clone()), nodes })
        }
        Some(Constraint::MemoryPolicy) => {
            host(report, Memory::Policy { nodes: decision.and_then(|d| d.nodemask.clone()) })
        }
        Some(Constraint::None) => host(report, Memory::Host),
        _ if !report.zones.is_empty() => host(report, Memory::Host),
        _ if report.no_killable || reasons(report).any(|r| r.starts_with("Out of memory")) => {
            host(report, Memory::Host)
        }
        _ => Limit {
            memory: Memory::Unknown,
            usage: None,
            limit: None,
            failcnt: None,
            free_elsewhere: None,
            block: None,
        },
    }
}

/// The kernel's words for why it killed, or would have.
fn reasons(report: &OomReport) -> impl Iterator<Item = &str> {
    report.kills.iter().map(|k| &k.reason).chain(report.exiting.as_ref().map(|e| &e.reason)).map(Name::as_str)
}

/// RAM that is managed, and what of it is not free.
fn host(report: &OomReport, memory: Memory) -> Limit {
    let managed = report.zones.iter().filter_map(|z| z.value("managed")).reduce(u64::saturating_add);
    let of_totals = report.totals.ram.map(|ram| ram.saturating_sub(report.totals.reserved.unwrap_or(0)));
    let limit = managed.or(of_totals);
    let mut limit = Limit { memory, usage: None, limit, failcnt: None, free_elsewhere: None, block: None };
    let free = if limit.is_of_nodes() {
        report.zones.iter().filter_map(|z| z.value("free")).reduce(u64::saturating_add)
    } else {
        report.counter("free").map(|free| free.saturating_add(report.counter("free_pcp").unwrap_or(0)))
    };
    if limit.is_of_nodes() {
        // The counters are those of all nodes.
        limit.free_elsewhere = report.counter("free").zip(free).map(|(all, free)| all.saturating_sub(free));
    }
    limit.usage = limit.limit.zip(free).map(|(all, free)| all.saturating_sub(free));
    limit
}

fn cgroup(report: &OomReport) -> Limit {
    let decision = report.decision.as_ref();
    let state = report.memcg.as_ref();
    let path = decision.and_then(|d| d.oom_memcg.clone()).or_else(|| state.and_then(|s| s.path().cloned()));
    let of_task = decision.and_then(|d| d.task_memcg.clone());
    let levels_above =
        path.as_ref().zip(of_task.as_ref()).and_then(|(limit, task)| levels(limit.as_str(), task.as_str()));
    // The limit that is met is the one with the least room left; of two, the one that was met before.
    let room = |kind: UseKind| state?.of(kind).and_then(|u| Some((u.limit?.saturating_sub(u.usage), u)));
    let kinds = [UseKind::Memory, UseKind::MemorySwap, UseKind::Kmem];
    let met = kinds
        .into_iter()
        .filter_map(room)
        .min_by_key(|(room, u)| (*room, std::cmp::Reverse(u.failcnt)))
        .map(|(_, u)| u);
    Limit {
        memory: Memory::Cgroup {
            path: path.unwrap_or_default(),
            of_task,
            levels_above,
            kind: met.map_or(UseKind::Memory, |u| u.kind),
        },
        usage: met.map(|u| u.usage),
        limit: met.and_then(|u| u.limit),
        failcnt: met.map(|u| u.failcnt),
        free_elsewhere: None,
        block: None,
    }
}

/// Levels from a cgroup up to one of those above it; `None` if it is not above.
pub(super) fn levels(above: &str, cgroup: &str) -> Option<usize> {
    let rest = if above == "/" { cgroup } else { cgroup.strip_prefix(above)? };
    let inside = rest.is_empty() || rest.starts_with('/');
    inside.then(|| rest.split('/').filter(|part| !part.is_empty()).count())
}

impl Limit {
    /// True if it is that of a cgroup.
    pub fn is_of_cgroup(&self) -> bool {
        matches!(self.memory, Memory::Cgroup { .. })
    }

    /// True if the cgroup is of version 1, as the limits tell that only that one has.
    pub(super) fn is_of_v1(&self, report: &OomReport) -> bool {
        let has = |kind: UseKind| report.memcg.as_ref().is_some_and(|m| m.of(kind).is_some());
        has(UseKind::MemorySwap) || has(UseKind::Kmem)
    }

    /// True if only some NUMA nodes were full: the report then has only their lines, with counters of all.
    pub(super) fn is_of_nodes(&self) -> bool {
        matches!(self.memory, Memory::Cpuset { .. } | Memory::Policy { .. })
    }

    /// In a few words.
    pub fn what(&self) -> String {
        let of = |bytes: Option<u64>| bytes.map_or(String::new(), |b| format!(" of {}", units::bytes(b as f64)));
        let in_all = |b: Option<u64>| b.map_or(String::new(), |b| format!(" ({} in all)", units::bytes(b as f64)));
        if let (Memory::Host, Some(block)) = (&self.memory, self.block) {
            return format!("the host had no free block of {}", units::bytes(block as f64));
        }
        match &self.memory {
            Memory::Host => format!("the host's memory{} was used up", of(self.limit)),
            Memory::Cgroup { path, kind, .. } => {
                let which = match kind {
                    UseKind::Memory => "memory limit",
                    UseKind::MemorySwap => "limit of memory and swap",
                    UseKind::Swap => "swap limit",
                    UseKind::Kmem => "limit of kernel memory",
                };
                let path = if path.is_empty() { "a memory cgroup".to_owned() } else { format!("cgroup {path}") };
                format!("{path} reached its {which}{}", of(self.limit))
            }
            Memory::Cpuset { nodes, .. } => format!("{} of its cpuset had no room{}", list(nodes), in_all(self.limit)),
            Memory::Policy { nodes } => {
                format!("{} of its memory policy had no room{}", list(nodes), in_all(self.limit))
            }
            Memory::Sysrq => "somebody asked for it by sysrq".to_owned(),
            Memory::Unknown => "which limit was met is not in the report".to_owned(),
        }
    }

    /// In one sentence.
    pub fn sentence(&self) -> String {
        let mut text = self.what();
        if let Some(first) = text.get(..1).map(str::to_uppercase) {
            text.replace_range(..1, &first);
        }
        if let Memory::Cgroup { of_task: Some(task), levels_above: Some(levels), .. } = &self.memory {
            text += &match levels {
                0 => ", its own and not that of a cgroup above".to_owned(),
                1 => format!(", one level above the cgroup of the victim, {task}"),
                n => format!(", {n} levels above the cgroup of the victim, {task}"),
            };
        }
        if let Some(free) = self.free_elsewhere {
            text += &format!("; {} is free on other nodes, which it may not use", units::bytes(free as f64));
        }
        if let Some(times) = self.failcnt.filter(|n| *n > 0) {
            text += &format!("; it was met {times} times before");
        }
        text + "."
    }
}

fn list(nodes: &Option<Name>) -> String {
    match nodes.as_ref().map(Name::as_str) {
        Some(one) if one.bytes().all(|b| b.is_ascii_digit()) => format!("NUMA node {one}"),
        Some(nodes) => format!("NUMA nodes {nodes}"),
        None => "the NUMA nodes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_by_whole_names() {
        assert_eq!(levels("/a", "/a"), Some(0));
        assert_eq!(levels("/a", "/a/b/c"), Some(2));
        assert_eq!(levels("/", "/a"), Some(1));
        assert_eq!(levels("/a", "/ab"), None);
    }
}
