//! The parts of the synthetic hosts about free pages, slab, tmpfs, compaction and reclaim.

use crate::snapshot::{
    CgroupId, Log2Histogram, Name, Snapshot,
    compaction::{CgroupCompaction, CompactResult, Compaction, Compactor, Extfrag, Fallback},
    memory::{
        Buddy, Node, NodeMeminfo, NumaStat, PageType, PageTypes, Shmem, SlabCache, Slabs, Swap, SwapDevice, Tmpfs, Zram,
    },
    reclaim::{Scan, Scanner, Throttle},
    retry::{Retries, Retry, RetryKind},
    shrinker::Shrinker,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Adds them to a snapshot that is the `n`th of its host; `comm` and `path` may hold anything.
pub(super) fn add(snapshot: &mut Snapshot, n: u64, comm: &Name, path: &Name) {
    let cgroup = snapshot.cgroups.as_ref().and_then(|c| c.list.last()).map(|c| c.id);
    if let Some(cgroups) = &mut snapshot.cgroups {
        cgroups.dying = Some(12);
    }
    if let Some(info) = &mut snapshot.memory.meminfo {
        info.dirty = Some(40 * MIB);
        info.writeback = Some(MIB);
        info.page_tables = Some(90 * MIB);
        info.kernel_stack = Some(20 * MIB);
        info.percpu = Some(8 * MIB);
        info.slab_reclaimable = Some(600 * MIB);
        info.slab_unreclaimable = Some(300 * MIB);
        info.vmalloc_used = Some(60 * MIB);
        info.kernel_reclaimable = Some(600 * MIB);
        info.bounce = Some(0);
        info.swap_cached = Some(0);
        info.active = Some(8 * GIB);
        info.inactive = Some(6 * GIB);
        info.unevictable = Some(0);
    }
    if let Some(vmstat) = &mut snapshot.memory.vmstat {
        vmstat.nr_dirty_threshold_bytes = Some(3 * GIB);
        vmstat.nr_dirty_background_threshold_bytes = Some(GIB);
        vmstat.compact_stall = Some(n * 5);
        vmstat.compact_fail = Some(n * 4);
        vmstat.compact_success = Some(n);
    }
    let memory = &mut snapshot.memory;
    for zone in memory.zones.iter_mut().flatten() {
        zone.per_cpu = Some(2 * MIB);
        zone.free_highatomic = Some(0);
        zone.free_cma = Some(0);
    }
    memory.buddy = Some(vec![
        Buddy { node: 0, zone: "DMA32".into(), free_blocks: vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 45] },
        Buddy { node: 0, zone: "Normal".into(), free_blocks: vec![9000, 2000, 300, 20, 4, 0, 0, 0, 0, 0, 0] },
    ]);
    let types = [("Unmovable", vec![8000, 100]), ("Movable", vec![1000, 1900, 300, 20, 4])];
    memory.page_types = Some(PageTypes {
        read_ns: snapshot.stamp.monotonic_ns,
        block_bytes: Some(2 * MIB),
        list: types
            .into_iter()
            .map(|(kind, free_blocks)| PageType {
                zone: "Normal".into(),
                migrate_type: kind.into(),
                free_blocks,
                ..PageType::default()
            })
            .collect(),
    });
    let cache = |name: &str, bytes: u64| SlabCache {
        name: name.into(),
        bytes,
        object_bytes: 192,
        active_objects: bytes / 200,
        objects: bytes / 192,
    };
    memory.slabs = Some(Slabs {
        read_ns: snapshot.stamp.monotonic_ns,
        list: vec![cache("dentry", 500 * MIB), cache("kmalloc-512", 200 * MIB)],
    });
    let tmpfs = |mount_point: Name, device: &str, used| Tmpfs {
        mount_point,
        device: device.into(),
        used,
        size: Some(8 * GIB),
        inodes: Some(70),
        ..Tmpfs::default()
    };
    memory.shmem = Some(Shmem {
        read_ns: snapshot.stamp.monotonic_ns,
        tmpfs: vec![tmpfs("/dev/shm".into(), "0:22", 700 * MIB), tmpfs(path.clone(), "0:23", 100 * MIB)],
        ..Shmem::default()
    });
    memory.swap = Some(Swap {
        devices: vec![SwapDevice { path: path.clone(), kind: "file".into(), size: 2 * GIB, used: GIB, priority: -2 }],
        zram: vec![Zram {
            device: "zram0".into(),
            disk_size: Some(GIB),
            original: 300 * MIB,
            compressed: 90 * MIB,
            memory_used: 95 * MIB,
            memory_limit: 0,
        }],
        zswap_enabled: Some(false),
    });
    let node = |node, free: u64| Node {
        node,
        meminfo: Some(NodeMeminfo { total: Some(8 * GIB), free: Some(free), ..NodeMeminfo::default() }),
        numastat: Some(NumaStat { hit: Some(n * 1000), miss: Some(0), foreign: Some(0), ..NumaStat::default() }),
    };
    memory.nodes = Some(vec![node(0, 140 * MIB), node(1, 160 * MIB)]);
    memory.hugepages = Some(Vec::new());
    add_kernel(snapshot, n, comm, cgroup);
}

fn add_kernel(snapshot: &mut Snapshot, n: u64, comm: &Name, cgroup: Option<CgroupId>) {
    let latency = || Log2Histogram { buckets: (0..24).map(|i| if i > 18 { n } else { 0 }).collect() };
    if let Some(reclaim) = &mut snapshot.reclaim {
        let scan = |by, scanned_bytes| Scan {
            node: 0,
            by,
            cgroup,
            file: true,
            scanned_bytes,
            reclaimed_bytes: scanned_bytes / 4,
        };
        reclaim.scans = Some(vec![scan(Scanner::Kswapd, n * 600 * MIB), scan(Scanner::Task, n * 10 * MIB)]);
        let wait = |reason: &str| Throttle { cgroup, reason: reason.into(), count: n, total_ns: n * 3_000_000 };
        reclaim.throttles = Some(vec![wait("writeback"), wait("noprogress")]);
    }
    if let Some(node) = snapshot.kswapd.as_mut().and_then(|k| k.nodes.first_mut()) {
        node.cycle_ns = latency();
    }
    snapshot.compaction = Some(Compaction {
        by_cgroup: vec![CgroupCompaction {
            cgroup,
            by: Compactor::Direct,
            results: vec![CompactResult { result: "complete".into(), count: n * 4 }],
            total_ns: n * 20_000_000,
            latency_ns: latency(),
        }],
    });
    snapshot.extfrag = Some(Extfrag {
        rows: vec![Fallback {
            cgroup,
            pid: 4242,
            comm: comm.clone(),
            order: 3,
            wanted: "unmovable".into(),
            taken: "movable".into(),
            count: n * 7,
        }],
        other: 0,
    });
    snapshot.shrinkers = Some(vec![Shrinker {
        function: "super_cache_scan".into(),
        count: n * 90,
        total_ns: n * 4_000_000,
        max_ns: 900_000,
        freed: n * 3000,
        latency_ns: latency(),
    }]);
    snapshot.retries = Some(Retries {
        rows: vec![Retry {
            cgroup,
            pid: 4242,
            comm: comm.clone(),
            kind: RetryKind::Reclaim,
            count: n * 3,
            refused: n / 4,
            last_order: 0,
            last_loops: 2,
            last_available_bytes: Some(MIB),
            last_min_bytes: Some(2 * MIB),
        }],
        other: 0,
    });
}
