//! Limits and use of the memory cgroups that other metrics name: what a join with them needs, no more.

use super::{
    View,
    family::{Kind, Metric},
    tracked::{LIMIT_HITS, LIMIT_OOMS},
};
use crate::snapshot::{Cgroup, Name};

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_cgroup_memory_usage_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["cgroup"],
        help: "Memory charged to the cgroup and those below it; only for cgroups that another metric names",
        source: "memory.usage_in_bytes (v1), memory.current (v2)",
        read: |view, out| named(view, |path, c| out.push_known(&[path], c.usage)),
    },
    Metric {
        name: "observer_cgroup_memory_limit_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["cgroup"],
        help: "Hard limit of the cgroup; absent if it has none; only for cgroups that another metric names",
        source: "memory.limit_in_bytes (v1), memory.max (v2)",
        read: |view, out| named(view, |path, c| out.push_known(&[path], c.limit)),
    },
    Metric {
        name: "observer_cgroup_memory_limit_hits_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup"],
        help: "Times that the hard limit of the cgroup was met; only for cgroups that another metric names",
        source: "memory.failcnt and memory.memsw.failcnt (v1), memory.events max (v2)",
        read: |view, out| named(view, |path, c| out.push_known(&[path], c.limit_hits)),
    },
    Metric {
        name: "observer_cgroup_memory_own_limit_hits_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup"],
        help: "Times that the cgroup's own hard limit was met, not that of one below it",
        source: "memory.failcnt and memory.memsw.failcnt (v1), memory.events.local max (v2)",
        read: |view, out| {
            if view.now.cgroups.iter().flat_map(|c| &c.list).any(|c| c.own_limit_hits.is_some()) {
                view.tracked.pressure.limits.each(1, |labels, counts| out.push(labels, counts[LIMIT_HITS]));
            }
        },
    },
    Metric {
        name: "observer_cgroup_memory_own_ooms_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup"],
        help: "Times that the cgroup's own limit led to an OOM, whether or not something was killed",
        source: "memory.events.local oom (v2)",
        read: |view, out| {
            if view.now.cgroups.iter().flat_map(|c| &c.list).any(|c| c.own_ooms.is_some()) {
                view.tracked.pressure.limits.each(1, |labels, counts| out.push(labels, counts[LIMIT_OOMS]));
            }
        },
    },
    Metric {
        name: "observer_cgroup_memory_high_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["cgroup"],
        help: "Throttling limit of the cgroup; absent if it has none; only for cgroups that another metric names",
        source: "memory.high (v2)",
        read: |view, out| named(view, |path, c| out.push_known(&[path], c.high)),
    },
    Metric {
        name: "observer_cgroup_memory_high_hits_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup"],
        help: "Times that the throttling limit of the cgroup was met; only for cgroups that another metric names",
        source: "memory.events high (v2)",
        read: |view, out| named(view, |path, c| out.push_known(&[path], c.high_hits)),
    },
    Metric {
        name: "observer_cgroup_memory_refaulted_bytes_total",
        kind: Kind::Counter,
        unit: Some("bytes"),
        labels: &["cgroup", "type"],
        help: "Memory that came back soon after reclaim took it, anonymous or of files; only for cgroups that another metric names",
        source: "memory.stat workingset_refault_{anon,file}",
        read: |view, out| {
            named(view, |path, c| {
                let stat = c.stat.as_ref();
                out.push_known(&[path, "anon"], stat.and_then(|s| s.workingset_refault_anon_bytes));
                out.push_known(&[path, "file"], stat.and_then(|s| s.workingset_refault_file_bytes));
            });
        },
    },
    Metric {
        name: "observer_cgroup_container_info",
        kind: Kind::Info,
        unit: None,
        labels: &["cgroup", "runtime", "container", "id", "pod", "namespace"],
        help: "Container that a cgroup belongs to, for joins; only for cgroups that another metric names",
        source: "path of the cgroup and files of the container runtime",
        read: |view, out| {
            named(view, |path, c| {
                let Some(container) = &c.container else { return };
                let word = |name: &Option<Name>| name.as_ref().map_or(String::new(), ToString::to_string);
                let parts = [&container.runtime, &container.name, &container.id, &container.pod, &container.namespace];
                let [runtime, name, id, pod, namespace] = parts.map(word);
                out.push(&[path, &runtime, &name, &id, &pod, &namespace], 1);
            });
        },
    },
    Metric {
        name: "observer_cgroups_dying",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "Memory cgroups that were removed and still hold memory",
        source: "cgroup.stat (v2), /proc/cgroups (v1)",
        read: |view, out| out.push_known(&[], view.now.cgroups.as_ref().and_then(|c| c.dying)),
    },
];

fn named(view: &View<'_>, mut show: impl FnMut(&str, &Cgroup)) {
    let Some(cgroups) = &view.now.cgroups else { return };
    let names = view.tracked.named_cgroups();
    cgroups.list.iter().filter(|c| names.contains(c.path.as_str())).for_each(|c| show(c.path.as_str(), c));
}
