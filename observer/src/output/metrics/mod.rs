//! Metrics for Prometheus: one table, two encoders.
//!
//! Here is what the kernel probes know and what joins with it; node_exporter's metrics are not repeated. A part that is
//! missing is an absent series, and `observer_probe_attached` or `observer_source_readable` says so. Adding a metric is
//! adding one row to the table of its subsystem, and one to docs/metrics.md.

mod cgroup;
mod compaction;
mod coverage;
mod encoded;
mod eviction;
pub mod family;
mod finding;
mod first_byte;
#[cfg(test)]
mod full;
mod gained;
mod kswapd;
mod memory;
mod network;
mod oom;
mod openmetrics;
mod own;
mod page_alloc;
mod reclaim;
pub mod sampler;
mod shrinker;
mod sockets;
mod sums;
mod tcp;
#[cfg(test)]
mod tests;
mod text_0_0_4;
mod top_k;
mod tracked;
mod traffic;
mod tunnel;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Bytes;

use crate::{
    diagnose::{Diagnosis, Thresholds, diagnose},
    model::Model,
    snapshot::Snapshot,
};
use encoded::Encoded;
pub use encoded::{EncodeError, Format};
use family::{Family, Metric};
use own::Own;
use tracked::Tracked;

/// Every metric, by subsystem.
const TABLES: &[&[Metric]] = &[
    page_alloc::METRICS,
    reclaim::METRICS,
    shrinker::METRICS,
    kswapd::METRICS,
    compaction::METRICS,
    eviction::METRICS,
    memory::METRICS,
    oom::METRICS,
    tcp::METRICS,
    traffic::METRICS,
    first_byte::METRICS,
    network::METRICS,
    tunnel::METRICS,
    cgroup::METRICS,
    finding::METRICS,
    coverage::METRICS,
    own::METRICS,
];

/// Models closer together than this are not kept: their rates would be noise.
const SHORTEST_INTERVAL_SECONDS: f64 = 0.9;
/// Models that are kept as close together as that, so that rules can tell soon after the start.
const EARLY_MODELS: usize = 5;
/// Models closer together than this are not kept later on: a model of a host with thousands of cgroups takes megabytes,
/// and whoever scrapes each second shall not pay for sixty of them.
const LATER_INTERVAL_SECONDS: f64 = 4.5;
/// History that the rules see, in seconds.
const WINDOW_SECONDS: f64 = 60.0;
/// Models that the rules see at most.
const WINDOW_MODELS: usize = 64;

/// Every metric that there is.
pub fn table() -> impl Iterator<Item = &'static Metric> {
    TABLES.iter().copied().flatten()
}

/// What a metric is read from.
#[derive(Debug)]
pub struct View<'a> {
    now: &'a Snapshot,
    model: &'a Model,
    tracked: &'a Tracked,
    diagnosis: &'a Diagnosis,
    own: &'a Own,
}

/// One snapshot as an exporter shows it.
#[derive(Debug)]
pub struct Page {
    /// The metric families that have values.
    pub families: Arc<Vec<Family>>,
    /// The snapshot itself, for the landing page.
    pub snapshot: Snapshot,
    /// What the rules say.
    pub diagnosis: Diagnosis,
    /// When the snapshot was taken.
    pub taken: Instant,
    encoded: Encoded,
}

impl Page {
    /// The whole body of an answer to a scrape.
    pub fn body(&self, format: Format, gzip: bool) -> Result<Bytes, EncodeError> {
        self.encoded.body(&self.families, format, gzip)
    }
}

/// Turns snapshots into pages. It remembers what counters by name and rules need of the snapshots before.
#[derive(Debug)]
pub struct Exporter {
    tracked: Tracked,
    before: Option<Snapshot>,
    window: Vec<Model>,
    diagnosis: Diagnosis,
    thresholds: Thresholds,
    own: Own,
}

impl Exporter {
    /// An exporter whose metrics name at most `top` processes, cgroups, ports and namespaces each.
    pub fn new(top: usize) -> Self {
        Self {
            tracked: Tracked::new(top),
            before: None,
            window: Vec::new(),
            diagnosis: Diagnosis::default(),
            thresholds: Thresholds::default(),
            own: Own::new(),
        }
    }

    /// The same, judged by these thresholds.
    #[must_use]
    pub fn judging_by(self, thresholds: Thresholds) -> Self {
        Self { thresholds, ..self }
    }

    /// Takes a snapshot that took `took` to take.
    pub fn page(&mut self, snapshot: Snapshot, took: Duration) -> Page {
        self.tracked.update(&snapshot);
        let model = self.diagnose(&snapshot);
        self.own.note(took, snapshot.host.page_size);
        let view =
            View { now: &snapshot, model: &model, tracked: &self.tracked, diagnosis: &self.diagnosis, own: &self.own };
        let (families, dropped) = family::read(table(), &view);
        self.own.dropped_points += dropped;
        Page {
            families: Arc::new(families),
            diagnosis: self.diagnosis.clone(),
            snapshot,
            taken: Instant::now(),
            encoded: Encoded::default(),
        }
    }

    /// Lets the rules look, and gives the model of this snapshot.
    fn diagnose(&mut self, now: &Snapshot) -> Model {
        let model = Model::new(now, self.before.as_ref());
        let Some(interval) = model.interval else {
            // The first snapshot, or the first of another boot: rules say what they lack.
            self.before = Some(now.clone());
            self.tracked.tunnels.look(&model);
            self.window.clear();
            self.diagnosis = diagnose(std::slice::from_ref(&model), &self.thresholds);
            return model;
        };
        let early = self.window.len() < EARLY_MODELS;
        if interval.seconds < if early { SHORTEST_INTERVAL_SECONDS } else { LATER_INTERVAL_SECONDS } {
            return model;
        }
        self.before = Some(now.clone());
        self.tracked.interval(&model);
        self.window.push(model.clone());
        let mut seconds: f64 = self.window.iter().filter_map(|m| m.interval).map(|i| i.seconds).sum();
        while self.window.len() > WINDOW_MODELS || (seconds > WINDOW_SECONDS && self.window.len() > 1) {
            seconds -= self.window.remove(0).interval.map_or(0.0, |i| i.seconds);
        }
        self.diagnosis = diagnose(&self.window, &self.thresholds);
        model
    }
}
