//! Memory of the host: what only a comparison of several of the kernel's files tells. The files themselves are
//! node_exporter's.

use super::{
    View,
    family::{Kind, Metric, Points},
};
use crate::{model::memory::FreeMemory, snapshot::memory::Zone};

/// Mounts and caches that have a series; the largest are taken.
const MOST_NAMES: usize = 20;

const FREE: &str = "/proc/zoneinfo, /proc/pagetypeinfo";

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_memory_unexplained_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &[],
        help: "RAM that no counter of the kernel explains: taken page by page by a driver or another part of the kernel; 0 where counters overlap",
        source: "/proc/meminfo, /proc/vmstat, /proc/zoneinfo",
        read: |view, out| {
            let breakdown = view.model.memory.breakdown.as_ref();
            out.push_known(&[], breakdown.map(|b| u64::try_from(b.unexplained).unwrap_or(0)));
        },
    },
    Metric {
        name: "observer_memory_part_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["part"],
        help: "RAM by use; the parts do not overlap, and together with observer_memory_unexplained_bytes they are all of it",
        source: "/proc/meminfo, /proc/vmstat, /proc/zoneinfo",
        read: |view, out| {
            let parts = view.model.memory.breakdown.iter().flat_map(|b| &b.parts);
            parts.for_each(|part| out.push(&[part.name], part.bytes));
        },
    },
    Metric {
        name: "observer_memory_zone_free_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["node", "zone"],
        help: "Free memory of a zone, as the kernel holds it against the watermarks",
        source: "/proc/zoneinfo nr_free_pages",
        read: |view, out| each_zone(view, |zone, labels| out.push_known(labels, zone.free)),
    },
    Metric {
        name: "observer_memory_zone_watermark_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["node", "zone", "watermark"],
        help: "Watermarks of a zone, boost included: below low kswapd is woken, at high it sleeps, below min a task reclaims itself; boost is a rise for a while against fragmentation",
        source: "/proc/zoneinfo",
        read: |view, out| {
            each_zone(view, |zone, labels| {
                let [node, name] = labels else { return };
                let marks = [("min", zone.min), ("low", zone.low), ("high", zone.high), ("boost", zone.boost)];
                marks.iter().for_each(|(mark, bytes)| out.push_known(&[node, name, mark], *bytes));
            });
        },
    },
    Metric {
        name: "observer_memory_free_usable_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["node", "zone"],
        help: "Free memory that an ordinary request of order 0 may take before the min watermark",
        source: FREE,
        read: |view, out| zones(view, |zone, labels| out.push(labels, zone.usable)),
    },
    Metric {
        name: "observer_memory_free_trapped_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["node", "zone", "by"],
        help: "Free memory kept from ordinary requests, by what keeps it: cma, highatomic or lowmem_reserve",
        source: FREE,
        read: |view, out| {
            zones(view, |zone, labels| {
                let [node, name] = labels else { return };
                out.push(&[node, name, "cma"], zone.trapped_cma);
                out.push_known(&[node, name, "highatomic"], zone.trapped_highatomic);
                out.push(&[node, name, "lowmem_reserve"], zone.trapped_reserve);
            });
        },
    },
    Metric {
        name: "observer_memory_unusable_free_ratio",
        kind: Kind::Gauge,
        unit: Some("ratio"),
        labels: &["node", "zone", "order"],
        help: "Share of free memory in blocks too small for a request of the order, 0 to 1: the unusable free-space index",
        source: "/proc/buddyinfo",
        read: |view, out| {
            for zone in view.model.memory.fragmentation.iter().flatten() {
                let (node, name) = (zone.node.to_string(), zone.zone.to_string());
                for (order, index) in zone.unusable_index.iter().enumerate() {
                    out.push(&[&node, &name, &order.to_string()], *index);
                }
            }
        },
    },
    Metric {
        name: "observer_memory_tmpfs_used_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["mount", "device"],
        help: "Memory and swap in use by a tmpfs of any mount namespace; the 20 largest that are not empty; none of a tmpfs without a size, whose use the kernel does not tell",
        source: "mountinfo of each mount namespace, statfs(2)",
        read: tmpfs,
    },
    Metric {
        name: "observer_memory_slab_cache_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["cache"],
        help: "Memory of a slab cache; the 20 largest",
        source: "/proc/slabinfo",
        read: |view, out| {
            for cache in view.model.memory.slabs.iter().flatten().take(MOST_NAMES) {
                out.push(&[cache.now.name.as_str()], cache.now.bytes);
            }
        },
    },
];

fn zones(view: &View<'_>, mut show: impl FnMut(&FreeMemory, &[&str])) {
    for zone in view.model.memory.free.iter().flatten() {
        show(zone, &[&zone.node.to_string(), zone.zone.as_str()]);
    }
}

/// Zones that have memory.
fn each_zone(view: &View<'_>, mut show: impl FnMut(&Zone, &[&str])) {
    let zones = view.now.memory.zones.iter().flatten().filter(|zone| zone.managed != Some(0));
    zones.for_each(|zone| show(zone, &[&zone.node.to_string(), zone.zone.as_str()]));
}

fn tmpfs(view: &View<'_>, out: &mut Points) {
    let used = view.model.memory.shmem.iter().flat_map(|s| &s.tmpfs).filter(|t| t.now.used.is_some() && !t.is_empty());
    for t in used.take(MOST_NAMES) {
        out.push_known(&[t.now.mount_point.as_str(), t.now.device.as_str()], t.now.used);
    }
}
