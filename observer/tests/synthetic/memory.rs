//! Memory of the host as a whole.

use observer::snapshot::{
    Name,
    memory::{
        Buddy, HugePages, Meminfo, Memory, Node, NodeMeminfo, NumaStat, PageType, PageTypes, Shmem, SlabCache, Slabs,
        Swap, SwapDevice, SysvShm, Tmpfs, Vmstat, Zone, Zram,
    },
    pressure::{Pressure, Resource, Stall},
};

use super::{GIB, MIB, Names, stamp};

/// Free blocks of a zone by order, from order 0 on.
type Blocks = [u64; 11];

const DMA32: Blocks = [9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 45];
const NORMAL: Blocks = [9000, 2000, 300, 20, 4, 0, 0, 0, 0, 0, 0];

pub(super) fn memory(n: u64, names: &Names) -> Memory {
    let read_ns = stamp(n).monotonic_ns;
    Memory {
        meminfo: Some(meminfo()),
        vmstat: Some(vmstat(n)),
        zones: Some(zones()),
        buddy: Some(vec![
            Buddy { node: 0, zone: "DMA32".into(), free_blocks: DMA32.into() },
            Buddy { node: 0, zone: "Normal".into(), free_blocks: NORMAL.into() },
            Buddy { node: 1, zone: "Normal".into(), free_blocks: vec![2000, 900, 400, 90, 30, 9, 2, 0, 0, 0, 0] },
        ]),
        page_types: Some(page_types(read_ns)),
        nodes: Some(vec![node(0, n, 260 * MIB), node(1, n, 40 * MIB)]),
        slabs: Some(slabs(n, read_ns)),
        swap: Some(swap(&names.cgroups[2])),
        shmem: Some(shmem(n, read_ns, &names.cgroups[2])),
        hugepages: Some(vec![HugePages {
            page_bytes: 2 * MIB,
            total: Some(16),
            free: Some(4),
            reserved: Some(2),
            surplus: Some(0),
        }]),
    }
}

fn meminfo() -> Meminfo {
    Meminfo {
        total: Some(16 * GIB),
        free: Some(300 * MIB),
        available: Some(700 * MIB),
        buffers: Some(40 * MIB),
        cached: Some(3 * GIB),
        swap_cached: Some(20 * MIB),
        active: Some(8 * GIB),
        inactive: Some(6 * GIB + 24 * MIB),
        active_anon: Some(7 * GIB),
        inactive_anon: Some(5 * GIB),
        active_file: Some(GIB),
        inactive_file: Some(GIB + 24 * MIB),
        unevictable: Some(64 * MIB),
        mlocked: Some(64 * MIB),
        swap_total: Some(2 * GIB),
        swap_free: Some(GIB / 2),
        zswap: Some(30 * MIB),
        zswapped: Some(100 * MIB),
        dirty: Some(40 * MIB),
        writeback: Some(MIB),
        anon_pages: Some(11 * GIB),
        shmem: Some(GIB),
        kernel_reclaimable: Some(600 * MIB),
        slab: Some(900 * MIB),
        slab_reclaimable: Some(600 * MIB),
        slab_unreclaimable: Some(300 * MIB),
        kernel_stack: Some(20 * MIB),
        page_tables: Some(90 * MIB),
        bounce: Some(0),
        vmalloc_used: Some(60 * MIB),
        percpu: Some(8 * MIB),
        hugetlb: Some(32 * MIB),
        ..Meminfo::default()
    }
}

fn vmstat(n: u64) -> Vmstat {
    Vmstat {
        oom_kill: Some(1 + n / 4),
        pgscan_kswapd_bytes: Some(n * 600 * MIB),
        pgsteal_kswapd_bytes: Some(n * 60 * MIB),
        pgscan_direct_bytes: Some(n * 20 * MIB),
        pgsteal_direct_bytes: Some(n * 15 * MIB),
        pgfault: Some(n * 90_000),
        pgmajfault: Some(n * 700),
        pswpin_bytes: Some(n * 20 * MIB),
        pswpout_bytes: Some(n * 31 * MIB),
        workingset_refault_anon_bytes: Some(n * 12 * MIB),
        workingset_refault_file_bytes: Some(n * 55 * MIB),
        allocstall_normal: Some(n * 40),
        compact_stall: Some(n * 5),
        compact_fail: Some(n * 4),
        compact_success: Some(n),
        nr_dirty_threshold_bytes: Some(3 * GIB),
        nr_dirty_background_threshold_bytes: Some(GIB),
        nr_zspages_bytes: Some(125 * MIB),
        ..Vmstat::default()
    }
}

fn zones() -> Vec<Zone> {
    let zone = |node, name: &str, free: u64, low: u64, reserve: [u64; 3]| Zone {
        node,
        zone: name.into(),
        free: Some(free),
        min: Some(low * 4 / 5),
        low: Some(low),
        high: Some(low * 6 / 5),
        boost: Some(0),
        managed: Some(if node == 0 && name == "DMA32" { 3 * GIB } else { 13 * GIB / 2 }),
        per_cpu: Some(2 * MIB),
        free_highatomic: Some(0),
        free_cma: Some(0),
        lowmem_reserve: reserve.into(),
        ..Zone::default()
    };
    vec![
        zone(0, "DMA32", 200 * MIB, 90 * MIB, [0, 60 * MIB, 60 * MIB]),
        Zone { free_highatomic: Some(2 * MIB), ..zone(0, "Normal", 60 * MIB, 70 * MIB, [0; 3]) },
        Zone { managed: Some(0), ..zone(0, "Movable", 0, 0, [0; 3]) },
        Zone { cma: Some(16 * MIB), free_cma: Some(5 * MIB), ..zone(1, "Normal", 40 * MIB, 30 * MIB, [0; 3]) },
    ]
}

fn page_types(read_ns: u64) -> PageTypes {
    let kind = |kind: &str, free_blocks: &[u64], blocks| PageType {
        zone: "Normal".into(),
        migrate_type: kind.into(),
        free_blocks: free_blocks.into(),
        blocks: Some(blocks),
        ..PageType::default()
    };
    PageTypes {
        read_ns,
        block_bytes: Some(2 * MIB),
        list: vec![
            kind("Unmovable", &[8000, 100], 700),
            kind("Movable", &[1000, 1900, 300, 20, 4], 2500),
            kind("Reclaimable", &[0; 11], 100),
        ],
    }
}

fn node(node: u32, n: u64, free: u64) -> Node {
    Node {
        node,
        meminfo: Some(NodeMeminfo {
            total: Some(8 * GIB),
            free: Some(free),
            anon_pages: Some(11 * GIB / 2),
            file_pages: Some(3 * GIB / 2),
            ..NodeMeminfo::default()
        }),
        numastat: Some(NumaStat {
            hit: Some(n * 1000),
            miss: Some(n * 8),
            foreign: Some(n * 8),
            ..NumaStat::default()
        }),
    }
}

fn slabs(n: u64, read_ns: u64) -> Slabs {
    let cache = |name: &str, bytes: u64| SlabCache {
        name: name.into(),
        bytes,
        object_bytes: 192,
        active_objects: bytes / 200,
        objects: bytes / 192,
    };
    Slabs { read_ns, list: vec![cache("dentry", 500 * MIB + n * MIB), cache("kmalloc-512", 200 * MIB)] }
}

fn shmem(n: u64, read_ns: u64, hostile: &Name) -> Shmem {
    let tmpfs = |mount_point: Name, device: &str, used| Tmpfs {
        mount_point,
        device: device.into(),
        used: Some(used),
        size: Some(8 * GIB),
        inodes: Some(70),
        ..Tmpfs::default()
    };
    // Without a size nobody knows what it holds.
    let in_container = Tmpfs { seen_by_pid: Some(1003), size: None, used: None, ..tmpfs(hostile.clone(), "0:23", 0) };
    Shmem {
        read_ns,
        tmpfs: vec![tmpfs("/dev/shm".into(), "0:22", 700 * MIB + n * MIB / 2), in_container],
        sysv: Some(SysvShm { segments: 3, rss: 20 * MIB, swap: 0, unattached_rss: 4 * MIB }),
        namespaces_not_read: 1,
    }
}

fn swap(path: &Name) -> Swap {
    Swap {
        devices: vec![
            SwapDevice { path: path.clone(), kind: "file".into(), size: GIB, used: GIB / 2, priority: -2 },
            SwapDevice { path: "/dev/zram0".into(), kind: "partition".into(), size: GIB, used: GIB, priority: 100 },
        ],
        zram: vec![Zram {
            device: "zram0".into(),
            disk_size: Some(GIB),
            original: 300 * MIB,
            compressed: 90 * MIB,
            memory_used: 95 * MIB,
            memory_limit: 0,
        }],
        zswap_enabled: Some(true),
    }
}

/// Stalls of so much of the last 10 s, less of the times before.
pub(super) fn resource(avg10: f64, total_seconds: f64) -> Resource {
    let stall = |s: f64| Stall { avg10: s, avg60: s / 2.0, avg300: s / 8.0, total_seconds };
    Resource {
        some: Some(stall(avg10)),
        full: Some(Stall { total_seconds: total_seconds / 3.0, ..stall(avg10 / 3.0) }),
    }
}

pub(super) fn pressure(n: u64) -> Pressure {
    let seconds = n as f64;
    Pressure {
        memory: Some(resource(0.31, 900.0 + 0.3 * seconds)),
        cpu: Some(resource(0.72, 5000.0 + 0.7 * seconds)),
        io: Some(resource(0.08, 400.0 + 0.1 * seconds)),
    }
}
