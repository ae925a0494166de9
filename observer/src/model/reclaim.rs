//! Who stalls in reclaim, over an interval.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, sort_descending},
};
use crate::snapshot::{
    self, CgroupId, Log2Histogram, Name,
    reclaim::{InFlight, ReclaimKind, ReclaimTotals},
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
    /// Waits inside of reclaim, most time first. `None` without the probe.
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
}

/// Waits of one kind in one cgroup over the interval.
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
        let old_cgroups: HashMap<_, _> =
            before.map(|b| b.by_cgroup.iter().map(|c| ((c.cgroup, c.kind), c)).collect()).unwrap_or_default();
        let mut cgroups: Vec<_> = now
            .by_cgroup
            .iter()
            .map(|c| {
                let old = old_cgroups.get(&(c.cgroup, c.kind));
                Cgroup {
                    cgroup: c.cgroup,
                    path: paths.get(c.cgroup),
                    kind: c.kind,
                    stalls: Stalls::new(c.totals, old.map(|o| o.totals), interval),
                    latency_ns: old
                        .and_then(|o| c.latency_ns.since(&o.latency_ns))
                        .unwrap_or_else(|| c.latency_ns.clone()),
                }
            })
            .filter(|c| c.stalls.totals.count > 0)
            .collect();
        sort_descending(&mut cgroups, |c| c.stalls.totals.total_ns as f64);

        let old_processes: HashMap<_, _> =
            before.map(|b| b.by_process.iter().map(|p| ((p.pid, p.cgroup, p.kind), p)).collect()).unwrap_or_default();
        let mut processes: Vec<_> = now
            .by_process
            .iter()
            .map(|p| Process {
                pid: p.pid,
                comm: p.comm.clone(),
                cgroup: p.cgroup,
                cgroup_path: paths.get(p.cgroup),
                kind: p.kind,
                stalls: Stalls::new(
                    p.totals,
                    old_processes.get(&(p.pid, p.cgroup, p.kind)).map(|o| o.totals),
                    interval,
                ),
            })
            .filter(|p| p.stalls.totals.count > 0)
            .collect();
        sort_descending(&mut processes, |p| p.stalls.totals.total_ns as f64);

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
        Self { cgroups, processes, in_flight, throttles }
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
    let old: HashMap<_, _> =
        before.unwrap_or_default().iter().map(|t| ((t.cgroup, &t.reason), (t.count, t.total_ns))).collect();
    let mut rows: Vec<(u64, Throttle)> = now
        .iter()
        .map(|t| {
            let old = old.get(&(t.cgroup, &t.reason)).copied().unwrap_or_default();
            let count = t.count.checked_sub(old.0).unwrap_or(t.count);
            let ns = t.total_ns.checked_sub(old.1).unwrap_or(t.total_ns);
            let row = Throttle {
                cgroup: t.cgroup,
                path: paths.get(t.cgroup),
                reason: t.reason.clone(),
                count,
                per_second: interval.map(|i| i.per_second(count)),
                waited_ratio: interval.map(|i| i.per_second(ns) / 1e9),
            };
            (ns, row)
        })
        .filter(|(_, row)| row.count > 0)
        .collect();
    sort_descending(&mut rows, |(ns, _)| *ns as f64);
    rows.into_iter().map(|(_, row)| row).collect()
}
