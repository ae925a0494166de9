//! Memory pressure made on purpose, and what the rules say of it: each finding must come, name who did it, and show what the
//! kernel's own files say at the same time. One file a scenario; what made its rule fire becomes a recording.

mod blocks;
mod cache;
mod cgroup_limit;
mod kernel_memory;
mod pinned;
mod record;
mod squeeze;
mod swap;
mod tmpfs;
mod writers;
mod zombies;
mod zones;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use observer::{
    diagnose::{Diagnosis, Finding, Thresholds, diagnose},
    model::Model,
    snapshot::Snapshot,
    source::collect::{Collector, Options},
};

use crate::support::seen;

/// Scenarios run one after the other: a rule names the worst of all that it sees.
static ONE: Mutex<()> = Mutex::new(());

/// Snapshots that are kept: a quarter of a minute, and half of one where the machine is slow.
const RECENT: usize = 60;

/// observer as a user runs it: all sources, models between consecutive snapshots, all rules.
pub(crate) struct Watch {
    collector: Collector,
    models: Vec<Model>,
    /// As far back as rules look, newest last, never empty.
    recent: VecDeque<Snapshot>,
    _one: MutexGuard<'static, ()>,
}

impl Watch {
    /// Takes the first snapshot.
    pub(crate) fn start() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut collector = Collector::new(Options::default());
        let recent = VecDeque::from([collector.snapshot()]);
        Self { collector, models: Vec::new(), recent, _one: one }
    }

    /// Takes one more snapshot, half a second after the one before.
    pub(crate) fn tick(&mut self) -> &Model {
        let next = Duration::from_nanos(self.snapshot().stamp.monotonic_ns) + Duration::from_millis(500);
        let now = Duration::from(nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("a clock"));
        std::thread::sleep(next.saturating_sub(now));
        let snapshot = self.collector.snapshot();
        let missing: Vec<_> = snapshot.coverage.sources.iter().filter(|s| s.missing.is_some()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        self.models.push(Model::new(&snapshot, Some(self.snapshot())));
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(snapshot);
        self.models.last().expect("just pushed")
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        self.recent.back().expect("never empty")
    }

    /// Snapshots of as long a time as rules look back, oldest first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = &Snapshot> {
        self.recent.iter()
    }

    /// What the rules say now.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        diagnose(&self.models, &Thresholds::default())
    }

    /// Watches until the rule fires and `right` is content with it; emulated machines need time.
    pub(crate) fn until(&mut self, rule: &str, right: impl Fn(&Finding) -> bool) -> Finding {
        const LIMIT: Duration = Duration::from_secs(90);
        let begun = Instant::now();
        loop {
            self.tick();
            let diagnosis = self.diagnosis();
            if let Some(finding) = diagnosis.findings.iter().find(|f| f.rule == rule && right(f)) {
                seen!("{rule} after {:?}: {finding:#?}", begun.elapsed());
                return finding.clone();
            }
            let undecided: Vec<_> = diagnosis.undecided.iter().filter(|u| u.rule == rule).collect();
            assert!(begun.elapsed() < LIMIT, "{rule} did not fire: {:#?} {undecided:?}", diagnosis.findings);
        }
    }
}

/// The evidence that begins with these words.
pub(crate) fn evidence<'a>(finding: &'a Finding, what: &str) -> &'a str {
    let found = finding.evidence.iter().find(|e| e.what.starts_with(what));
    &found.unwrap_or_else(|| panic!("no evidence {what:?} in {finding:#?}")).value
}
