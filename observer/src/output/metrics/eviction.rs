//! Who pushed whose page cache out.

use super::family::{Kind, Metric};

pub(super) const METRICS: &[Metric] = &[Metric {
    name: "observer_eviction_refaulted_bytes_total",
    kind: Kind::Counter,
    unit: Some("bytes"),
    labels: &["scope", "victim", "driver"],
    help: "Page cache that the victim read again soon after reclaim took it, divided among the cgroups that allocated \
           meanwhile by their shares; scope is whose limit the reclaim served, host or a cgroup; victim and driver may be \
           the same",
    source: "memory.stat workingset_refault_file, tracepoint kmem:mm_page_alloc",
    read: |view, out| {
        // From the start, so that the first eviction is a growth.
        if view.now.cgroups.is_some() && view.now.page_alloc.is_some() && view.now.host.page_size.is_some() {
            view.tracked.pressure.evictions.each(3, |labels, [bytes]| out.push(labels, *bytes));
        }
    },
}];
