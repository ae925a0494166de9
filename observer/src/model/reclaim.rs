//! Who stalls in reclaim, over an interval.

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, grown, grown_histogram, ranked, ratio, sort_descending},
};
use crate::snapshot::{
    self, CgroupId, Log2Histogram, Name,
    reclaim::{InFlight, ReclaimKind, ReclaimTotals, Scanner},
};

/// Reclaim over an interval; since the probes were attached if there is no interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reclaim {
    /// By cgroup and kind, longest stall first.
    pub cgroups: Vec<Cgroup>,
    /// By process and kind, longest stall first.
    pub processes: Vec<Process>,
    /// Reclaims that have begun and not ended, oldest first.
    pub in_flight: Vec<Ongoing>,
    /// Pages that were looked at on inactive lists and reclaimed, by who looked, most bytes first. `None` without the
    /// probe. Source: `vmscan:mm_vmscan_lru_shrink_inactive`.
    pub scans: Option<Vec<Scan>>,
    /// Waits inside of reclaim, most time first. `None` without the probe. Source: `vmscan:mm_vmscan_throttled`.
    pub throttles: Option<Vec<Throttle>>,
}

/// Ended reclaims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Stalls {
    /// Count, time and bytes in the interval.
    pub totals: ReclaimTotals,
    /// Reclaims a second.
    pub per_second: Option<f64>,
    /// Seconds stalled in each second; above 1 when several tasks stall at once.
    pub stalled_ratio: Option<f64>,
    /// Mean latency in seconds.
    pub mean_seconds: Option<f64>,
}

/// One cgroup's stalls of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cgroup {
    /// Memory cgroup of the tasks that stalled.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub path: Option<Name>,
    /// Whose limit.
    pub kind: ReclaimKind,
    /// What was counted.
    pub stalls: Stalls,
    /// Nanoseconds from begin to end.
    pub latency_ns: Log2Histogram,
}

/// One process's stalls of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name of the task that last stalled.
    pub comm: Name,
    /// Its memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// Whose limit.
    pub kind: ReclaimKind,
    /// What was counted.
    pub stalls: Stalls,
    /// Nanoseconds from begin to end of those that ended in the interval, by process as by cgroup.
    pub latency_ns: Log2Histogram,
}

/// Pages of one node and kind that the tasks of one cgroup, or kswapd, looked at over the interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scan {
    /// Memory cgroup of the task that looked, which need not be that of the pages: below a limit, tasks of one cgroup take
    /// pages of its neighbours. kswapd is in the root.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub path: Option<Name>,
    /// Who looked.
    pub by: Scanner,
    /// NUMA node of the pages.
    pub node: u32,
    /// True for pages of files, false for anonymous ones and tmpfs.
    pub file: bool,
    /// Bytes that were looked at in the interval; since the probe was attached if there is no interval.
    pub scanned_bytes: u64,
    /// Bytes of them that were reclaimed.
    pub reclaimed_bytes: u64,
    /// Bytes a second that were looked at.
    pub scanned: Option<f64>,
    /// Bytes a second that were reclaimed.
    pub reclaimed: Option<f64>,
    /// What was reclaimed of what was looked at, 0 to 1. Low where pages are in use, dirty or locked.
    pub efficiency: Option<f64>,
}

/// Waits of one kind in one cgroup over the interval. Not by process: the wait is part of the reclaim that waits, whose
/// time is told by process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Throttle {
    /// Memory cgroup of the tasks that waited.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub path: Option<Name>,
    /// What was waited for, in the kernel's word.
    pub reason: Name,
    /// Waits.
    pub count: u64,
    /// Waits a second.
    pub per_second: Option<f64>,
    /// Seconds waited in each second; above 1 when several tasks wait at once.
    pub waited_ratio: Option<f64>,
}

/// A reclaim that goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ongoing {
    /// The task.
    #[serde(flatten)]
    pub task: InFlight,
    /// Path of its cgroup, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// For how long, in seconds.
    pub age_seconds: f64,
}

impl Stalls {
    fn new(now: ReclaimTotals, before: Option<ReclaimTotals>, interval: Option<Interval>) -> Self {
        let totals = before.and_then(|b| difference(now, b)).unwrap_or(now);
        Self {
            totals,
            per_second: interval.map(|i| i.per_second(totals.count)),
            stalled_ratio: interval.map(|i| i.per_second(totals.total_ns) / 1e9),
            mean_seconds: (totals.count > 0).then(|| totals.total_ns as f64 / 1e9 / totals.count as f64),
        }
    }

    /// A row with what it is ranked by, the time; nothing if no reclaim ended.
    fn ranked<R>(self, row: R) -> Option<(u64, R)> {
        (self.totals.count > 0).then_some((self.totals.total_ns, row))
    }
}

fn difference(now: ReclaimTotals, before: ReclaimTotals) -> Option<ReclaimTotals> {
    Some(ReclaimTotals {
        count: now.count.checked_sub(before.count)?,
        total_ns: now.total_ns.checked_sub(before.total_ns)?,
        reclaimed_bytes: now.reclaimed_bytes.checked_sub(before.reclaimed_bytes)?,
    })
}

impl Reclaim {
    pub(super) fn new(
        now: &snapshot::reclaim::Reclaim,
        before: Option<&snapshot::reclaim::Reclaim>,
        interval: Option<Interval>,
        now_ns: u64,
        paths: &Paths<'_>,
    ) -> Self {
        let interval = interval.filter(|_| before.is_some());
        let old = before.map(|b| b.by_cgroup.as_slice());
        let cgroups = ranked(
            &now.by_cgroup,
            old,
            |c| (c.cgroup, c.kind),
            |c, old| {
                let row = Cgroup {
                    cgroup: c.cgroup,
                    path: paths.get(c.cgroup),
                    kind: c.kind,
                    stalls: Stalls::new(c.totals, old.map(|o| o.totals), interval),
                    latency_ns: grown_histogram(&c.latency_ns, old.map(|o| &o.latency_ns)),
                };
                row.stalls.ranked(row)
            },
        );
        let old = before.map(|b| b.by_process.as_slice());
        let processes = ranked(
            &now.by_process,
            old,
            |p| (p.pid, p.cgroup, p.kind),
            |p, old| {
                let row = Process {
                    pid: p.pid,
                    comm: p.comm.clone(),
                    cgroup: p.cgroup,
                    cgroup_path: paths.get(p.cgroup),
                    kind: p.kind,
                    stalls: Stalls::new(p.totals, old.map(|o| o.totals), interval),
                    latency_ns: grown_histogram(&p.latency_ns, old.map(|o| &o.latency_ns)),
                };
                row.stalls.ranked(row)
            },
        );
        let mut in_flight: Vec<_> = now
            .in_flight
            .iter()
            .map(|task| Ongoing {
                cgroup_path: paths.get(task.cgroup),
                age_seconds: now_ns.saturating_sub(task.begin_ns) as f64 / 1e9,
                task: task.clone(),
            })
            .collect();
        sort_descending(&mut in_flight, |o| o.age_seconds);
        let throttles = now.throttles.as_ref().map(|t| {
            let before = before.and_then(|b| b.throttles.as_deref());
            throttles(t, before, interval, paths)
        });
        let scans = now.scans.as_ref().map(|s| {
            let before = before.and_then(|b| b.scans.as_deref());
            scans(s, before, interval, paths)
        });
        Self { cgroups, processes, in_flight, scans, throttles }
    }

    /// All cgroups' stalls of one kind together.
    pub fn total(&self, kind: ReclaimKind, interval: Option<Interval>) -> Stalls {
        let mut sum = ReclaimTotals::default();
        for c in self.cgroups.iter().filter(|c| c.kind == kind) {
            sum.count += c.stalls.totals.count;
            sum.total_ns += c.stalls.totals.total_ns;
            sum.reclaimed_bytes += c.stalls.totals.reclaimed_bytes;
        }
        Stalls::new(sum, None, interval)
    }
}

fn throttles(
    now: &[snapshot::reclaim::Throttle],
    before: Option<&[snapshot::reclaim::Throttle]>,
    interval: Option<Interval>,
    paths: &Paths<'_>,
) -> Vec<Throttle> {
    let interval = interval.filter(|_| before.is_some());
    ranked(
        now,
        before,
        |t| (t.cgroup, &t.reason),
        |t, old| {
            let count = grown(t.count, old.map(|o| o.count));
            let ns = grown(t.total_ns, old.map(|o| o.total_ns));
            let row = Throttle {
                cgroup: t.cgroup,
                path: paths.get(t.cgroup),
                reason: t.reason.clone(),
                count,
                per_second: interval.map(|i| i.per_second(count)),
                waited_ratio: interval.map(|i| i.per_second(ns) / 1e9),
            };
            (count > 0).then_some((ns, row))
        },
    )
}

fn scans(
    now: &[snapshot::reclaim::Scan],
    before: Option<&[snapshot::reclaim::Scan]>,
    interval: Option<Interval>,
    paths: &Paths<'_>,
) -> Vec<Scan> {
    let interval = interval.filter(|_| before.is_some());
    let key = |s: &snapshot::reclaim::Scan| (s.node, s.by, s.cgroup, s.file);
    ranked(now, before, key, |s, old| {
        let bytes = grown(s.scanned_bytes, old.map(|o| o.scanned_bytes));
        let reclaimed = grown(s.reclaimed_bytes, old.map(|o| o.reclaimed_bytes));
        let row = Scan {
            cgroup: s.cgroup,
            path: paths.get(s.cgroup),
            by: s.by,
            node: s.node,
            file: s.file,
            scanned_bytes: bytes,
            reclaimed_bytes: reclaimed,
            scanned: interval.map(|i| i.per_second(bytes)),
            reclaimed: interval.map(|i| i.per_second(reclaimed)),
            efficiency: ratio(reclaimed, bytes),
        };
        (bytes > 0).then_some((bytes, row))
    })
}

#[cfg(test)]
mod tests;
