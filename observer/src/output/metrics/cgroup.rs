//! Limits and use of the memory cgroups that other metrics name: what a join with them needs, no more.

use super::{
    View,
    family::{Kind, Metric},
};
use crate::snapshot::Cgroup;

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
];

fn named(view: &View<'_>, mut show: impl FnMut(&str, &Cgroup)) {
    let Some(cgroups) = &view.now.cgroups else { return };
    let names = view.tracked.named_cgroups();
    cgroups.list.iter().filter(|c| names.contains(c.path.as_str())).for_each(|c| show(c.path.as_str(), c));
}
