//! What observer itself costs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

use super::family::{Kind, Metric};

/// Cost of this process so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    /// Snapshots taken.
    pub(super) snapshots: u64,
    /// Time that they took, in seconds.
    pub(super) snapshot_seconds: f64,
    /// Points left out because another one of the family had equal labels.
    pub(super) dropped_points: u64,
    /// Unix time at which this process began to serve, in seconds.
    start_seconds: f64,
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
}

impl Own {
    /// Begins now.
    pub(super) fn new() -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { start_seconds: start.as_secs_f64(), ..Self::default() }
    }

    /// Notes a snapshot and what this process has used until now.
    pub(super) fn note(&mut self, took: Duration, page_size: Option<u64>) {
        self.snapshots += 1;
        self.snapshot_seconds += took.as_secs_f64();
        self.cpu_seconds = getrusage(UsageWho::RUSAGE_SELF)
            .ok()
            .map(|used| (used.user_time() + used.system_time()).num_microseconds() as f64 / 1e6);
        self.resident_bytes = std::fs::read_to_string("/proc/self/statm")
            .ok()
            .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok())
            .zip(page_size)
            .map(|(pages, size)| pages.saturating_mul(size));
    }
}

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_build_info",
        kind: Kind::Info,
        unit: None,
        labels: &["version"],
        help: "Version of observer",
        source: "the build",
        read: |_, out| out.push(&[env!("CARGO_PKG_VERSION")], 1u64),
    },
    Metric {
        name: "observer_start_time_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        labels: &[],
        help: "Unix time at which observer began to serve",
        source: "CLOCK_REALTIME",
        read: |view, out| out.push(&[], view.own.start_seconds),
    },
    Metric {
        name: "observer_snapshots_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "Snapshots taken; scrapes that come close together share one",
        source: "observer's own count",
        read: |view, out| out.push(&[], view.own.snapshots),
    },
    Metric {
        name: "observer_snapshot_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &[],
        help: "Time that taking snapshots took: divide by observer_snapshots_total for the mean",
        source: "CLOCK_MONOTONIC",
        read: |view, out| out.push(&[], view.own.snapshot_seconds),
    },
    Metric {
        name: "observer_cpu_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &[],
        help: "CPU time of observer, user and system; without the kernel probes, which run in the tasks that they observe",
        source: "getrusage(2)",
        read: |view, out| out.push_known(&[], view.own.cpu_seconds),
    },
    Metric {
        name: "observer_resident_memory_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &[],
        help: "Resident set of observer",
        source: "/proc/self/statm",
        read: |view, out| out.push_known(&[], view.own.resident_bytes),
    },
    Metric {
        name: "observer_dropped_points_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "Points that were left out because another one had equal labels; anything but 0 is a defect of observer",
        source: "observer's own count",
        read: |view, out| out.push(&[], view.own.dropped_points),
    },
];
