//! Who uses memory: cgroups, processes, page allocations.

use observer::snapshot::{
    CgroupId, Cgroups,
    cgroup::{Cgroup, CgroupStat, Hierarchy},
    container::Container,
    page_alloc::{AllocCounts, CgroupAlloc, PageAlloc, ProcessAlloc},
    process::{Process, Processes},
};

use super::{GIB, MIB, Names, memory::resource};

/// Pid of the first process; the others follow.
pub(super) const PID: u32 = 1001;

pub(super) fn cgroups(n: u64, names: &Names) -> Cgroups {
    let list = names
        .cgroups
        .iter()
        .zip(1..)
        .map(|(path, i)| Cgroup {
            id: CgroupId(i),
            path: path.clone(),
            usage: Some(if i == 1 { 15 * GIB } else { 2 * GIB / i + n * i * MIB }),
            limit: (i == 2).then_some(GIB + 80 * MIB),
            unlimited: i == 1 || i == 3,
            high: (i == 3).then_some(GIB),
            swap: Some((i - 1) * 10 * MIB),
            stat: Some(stat(n, i)),
            limit_hits: Some(if i == 2 { n * 300 } else { 0 }),
            own_limit_hits: Some(if i == 2 { n * 300 } else { 0 }),
            high_hits: Some(if i == 3 { n * 2 } else { 0 }),
            oom_kills: Some(if i == 2 { 1 + n / 4 } else { 0 }),
            kernel: Some(i * 30 * MIB),
            container: (i == 2 || i == 3).then(|| Container {
                runtime: Some("containerd".into()),
                name: Some(names.pods[i as usize - 2].clone()),
                namespace: Some("shop".into()),
                pod: Some(names.pods[i as usize - 2].clone()),
                ..Container::default()
            }),
            // The root has no such file.
            pressure: (i > 1).then(|| resource(0.5 / i as f64, 400.0 / i as f64 + 0.2 * n as f64)),
            ..Cgroup::default()
        })
        .collect();
    Cgroups { hierarchy: Hierarchy::V2, list, vanished: 1, not_read: 0, dying: Some(12) }
}

fn stat(n: u64, i: u64) -> CgroupStat {
    CgroupStat {
        anon: Some(GIB / i),
        file: Some(300 * MIB),
        shmem: Some(40 * MIB / i),
        file_dirty: Some(4 * MIB),
        file_writeback: Some(0),
        inactive_file: Some(100 * MIB),
        active_file: Some(150 * MIB),
        pgfault: Some(n * 9000),
        pgmajfault: Some(n * 70 * i),
        workingset_refault_anon_bytes: Some(n * (i - 1) * MIB),
        workingset_refault_file_bytes: Some(n * 8 * MIB * (i - 1)),
        pswpin_bytes: Some(n * (i - 1) * MIB),
        pswpout_bytes: Some(n * (i - 1) * 2 * MIB),
        ..CgroupStat::default()
    }
}

pub(super) fn processes(n: u64, names: &Names) -> Processes {
    let list = names
        .processes
        .iter()
        .zip(1u32..)
        .map(|(comm, i)| {
            let rss = 4 * GIB / u64::from(i);
            Process {
                pid: PID - 1 + i,
                start_ns: u64::from(i),
                comm: comm.clone(),
                rss,
                anon: Some(rss * 3 / 4),
                file: Some(rss / 8),
                shmem: Some(rss / 8),
                swap: Some(100 * MIB * u64::from(i - 1)),
                page_tables: Some(9 * MIB / u64::from(i)),
                major_faults: (30 + n * 5) * u64::from(i),
                oom_score_adj: Some(if i == 1 { -999 } else { 0 }),
            }
        })
        .collect();
    Processes { list, not_listed: 120 }
}

fn counts(order_0: u64, order_3: u64, failed: u64) -> AllocCounts {
    let mut counts = AllocCounts::default();
    counts.allocated[0] = order_0;
    counts.allocated[3] = order_3;
    counts.failed[9] = failed;
    counts
}

pub(super) fn page_alloc(n: u64, names: &Names) -> PageAlloc {
    // A rate that goes up and down, and a count that only grows.
    let order_0: u64 = (1..=n).map(|second| (second % 5 + 1) * 20_000).sum();
    let processes = names
        .processes
        .iter()
        .zip(1u64..)
        .map(|(comm, i)| ProcessAlloc {
            cgroup: Some(CgroupId(i)),
            pid: PID - 1 + i as u32,
            start_ns: Some(i),
            comm: comm.clone(),
            counts: counts(order_0 / i, n * 40, if i == 2 { n * 3 } else { 0 }),
        })
        .collect();
    let exited = vec![CgroupAlloc { cgroup: Some(CgroupId(77)), counts: counts(n * 100, 0, 0) }];
    PageAlloc { processes, exited, other: counts(n * 7, 0, 0), ..PageAlloc::default() }
}
