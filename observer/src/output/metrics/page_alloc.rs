//! Page allocations.

use super::{
    View,
    family::{Kind, Metric},
    tracked::{ALLOC_ALLOCATIONS, ALLOC_BYTES, ALLOC_COSTLY, ALLOC_FAILURES},
};

const SOURCE: &str = "tracepoint kmem:mm_page_alloc";

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_page_alloc_allocations_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["order"],
        help: "Page allocations that were met, by order; the last order counts larger ones too",
        source: SOURCE,
        read: |view, out| {
            if let Some(page_alloc) = &view.now.page_alloc {
                for (order, n) in page_alloc.total().allocated.into_iter().enumerate() {
                    out.push(&[&order.to_string()], n);
                }
            }
        },
    },
    Metric {
        name: "observer_page_alloc_failures_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["order"],
        help: "Page allocations that got no page, by order; the last order counts larger ones too",
        source: SOURCE,
        read: |view, out| {
            if let Some(page_alloc) = &view.now.page_alloc {
                for (order, n) in page_alloc.total().failed.into_iter().enumerate() {
                    out.push(&[&order.to_string()], n);
                }
            }
        },
    },
    Metric {
        name: "observer_page_alloc_cgroup_allocations_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup"],
        help: "Page allocations by memory cgroup of the task; those without a series of their own are in other",
        source: SOURCE,
        read: |view, out| by_cgroup(view, |cgroup, counts| out.push(cgroup, counts[ALLOC_ALLOCATIONS])),
    },
    Metric {
        name: "observer_page_alloc_cgroup_bytes_total",
        kind: Kind::Counter,
        unit: Some("bytes"),
        labels: &["cgroup"],
        help: "Memory handed out by memory cgroup of the task, at least: what is above the last order counts as that order",
        source: SOURCE,
        read: |view, out| by_cgroup(view, |cgroup, counts| out.push_known(cgroup, bytes(view, counts))),
    },
    Metric {
        name: "observer_page_alloc_cgroup_costly_allocations_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup"],
        help: "Page allocations of an order above 3 (PAGE_ALLOC_COSTLY_ORDER) by memory cgroup of the task",
        source: SOURCE,
        read: |view, out| by_cgroup(view, |cgroup, counts| out.push(cgroup, counts[ALLOC_COSTLY])),
    },
    Metric {
        name: "observer_page_alloc_cgroup_failures_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup"],
        help: "Page allocations that got no page by memory cgroup of the task",
        source: SOURCE,
        read: |view, out| by_cgroup(view, |cgroup, counts| out.push(cgroup, counts[ALLOC_FAILURES])),
    },
    Metric {
        name: "observer_page_alloc_process_allocations_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup", "comm"],
        help: "Page allocations by memory cgroup and name of the process; those without a series of their own are in other",
        source: SOURCE,
        read: |view, out| by_process(view, |process, counts| out.push(process, counts[ALLOC_ALLOCATIONS])),
    },
    Metric {
        name: "observer_page_alloc_process_bytes_total",
        kind: Kind::Counter,
        unit: Some("bytes"),
        labels: &["cgroup", "comm"],
        help: "Memory handed out by memory cgroup and name of the process, at least: what is above the last order counts as that order",
        source: SOURCE,
        read: |view, out| by_process(view, |process, counts| out.push_known(process, bytes(view, counts))),
    },
];

fn by_cgroup(view: &View<'_>, show: impl FnMut(&[&str], &[u64; 4])) {
    if view.now.page_alloc.is_some() {
        view.tracked.alloc_cgroups.each(1, show);
    }
}

fn by_process(view: &View<'_>, show: impl FnMut(&[&str], &[u64; 4])) {
    if view.now.page_alloc.is_some() {
        view.tracked.alloc_processes.each(2, show);
    }
}

fn bytes(view: &View<'_>, counts: &[u64; 4]) -> Option<u64> {
    view.now.host.page_size.map(|_| counts[ALLOC_BYTES])
}
