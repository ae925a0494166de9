//! Faults of processes that read from a device, over an interval: from swap, or of file pages that were not in the cache.

use serde::Serialize;

use super::interval::{Interval, ranked};
use crate::snapshot::{
    Name, Snapshot,
    process::{Process, Processes},
};

/// Major faults of one process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MajorFaults {
    /// Process id.
    pub pid: u32,
    /// Name of its main thread.
    pub comm: Name,
    /// Faults in the interval that read from a device. Source: /proc/PID/stat majflt.
    pub in_interval: u64,
    /// The same a second.
    pub per_second: f64,
}

/// Processes by major faults, most first, the quiet ones too; of those that the snapshots list, which are the largest. `None`
/// without an interval.
pub(super) fn major_faults(
    now: &Processes,
    before: Option<&Snapshot>,
    interval: Option<Interval>,
) -> Option<Vec<MajorFaults>> {
    let (before, interval) = before.zip(interval)?;
    let old = before.processes.as_ref()?;
    let row = |p: &Process, old: Option<&Process>| {
        let count = match old {
            Some(old) => p.major_faults.checked_sub(old.major_faults)?,
            // All its faults are of the interval if it began in it; else it was not listed before, and nobody knows.
            None => Some(p.major_faults).filter(|_| p.start_ns >= before.stamp.boottime_ns)?,
        };
        let per_second = interval.per_second(count);
        Some((count, MajorFaults { pid: p.pid, comm: p.comm.clone(), in_interval: count, per_second }))
    };
    Some(ranked(&now.list, Some(&old.list), |p| (p.pid, p.start_ns), row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Model, snapshot::Stamp};

    const SECOND: u64 = 1_000_000_000;

    /// `(pid, start in seconds, major faults)` of each process.
    fn at(second: u64, processes: &[(u32, u64, u64)]) -> Snapshot {
        let ns = second * SECOND;
        let process = |(pid, start, major_faults): &(u32, u64, u64)| Process {
            pid: *pid,
            start_ns: start * SECOND,
            major_faults: *major_faults,
            ..Process::default()
        };
        let list = processes.iter().map(process).collect();
        Snapshot {
            stamp: Stamp { monotonic_ns: ns, boottime_ns: ns, realtime_ns: ns },
            processes: Some(Processes { list, not_listed: 0 }),
            ..Snapshot::default()
        }
    }

    #[test]
    fn faults_are_those_of_the_interval() {
        let before = at(10, &[(1, 0, 100), (2, 0, 50), (3, 1, 7)]);
        // 2 is quiet; the pid 3 is another process, which began in the interval; 4 was not listed before.
        let now = at(12, &[(1, 0, 104), (2, 0, 50), (3, 11, 30), (4, 2, 900)]);
        let faults = Model::new(&now, Some(&before)).major_faults.unwrap();
        let rows: Vec<_> = faults.iter().map(|f| (f.pid, f.in_interval, f.per_second)).collect();
        assert_eq!(rows, [(3, 30, 15.0), (1, 4, 2.0), (2, 0, 0.0)]);
        assert_eq!(Model::new(&now, None).major_faults, None);
    }
}
