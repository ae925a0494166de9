//! The models of the last minute, which of them is shown, and what the rules say of it.

use std::collections::VecDeque;

use super::trend::Trend;
use crate::{
    diagnose::{Diagnosis, Thresholds, diagnose},
    model::Model,
    output::oom::kills::Kills,
    snapshot::{Snapshot, Stamp},
};

/// The rules look at so many seconds before the model that is shown.
pub(super) const WINDOW_SECONDS: f64 = 60.0;

/// Models that are kept at most; with ticks under a second the window is shorter.
pub(super) const WINDOW_MODELS: usize = 60;

/// Models of the window, bounded in number, with the one that is shown.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<Snapshot>,
    models: VecDeque<Model>,
    /// Place of the model that is shown.
    shown: usize,
    diagnosis: Diagnosis,
    trend: Trend,
    kills: Kills,
    first: Option<Stamp>,
    thresholds: Thresholds,
}

impl Timeline {
    /// One that is judged by these thresholds.
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, ..Self::default() }
    }

    /// Adds a snapshot and shows it.
    pub(super) fn push(&mut self, snapshot: Snapshot) {
        self.append(snapshot);
        self.show(self.models.len().saturating_sub(1));
    }

    /// Replaces everything by other snapshots, oldest first, and shows the last.
    pub(super) fn replace(&mut self, snapshots: impl IntoIterator<Item = Snapshot>) {
        self.last = None;
        self.models.clear();
        self.trend.clear();
        snapshots.into_iter().for_each(|s| self.append(s));
        self.show(self.models.len().saturating_sub(1));
    }

    fn append(&mut self, snapshot: Snapshot) {
        let model = Model::new(&snapshot, self.last.as_ref());
        self.first.get_or_insert(model.stamp);
        self.trend.push(&model);
        self.models.push_back(model);
        self.kills.add(self.models.make_contiguous());
        let newest = snapshot.stamp.monotonic_ns;
        self.last = Some(snapshot);
        let age = |m: &Model| newest.saturating_sub(m.stamp.monotonic_ns) as f64 / 1e9;
        while self.models.len() > WINDOW_MODELS || self.models.front().is_some_and(|m| age(m) > WINDOW_SECONDS) {
            self.models.pop_front();
        }
    }

    /// Moves by `steps` models. False, and nothing changes, if there is no such model.
    pub(super) fn step(&mut self, steps: isize) -> bool {
        let to = self.shown.checked_add_signed(steps).filter(|to| *to < self.models.len());
        if let Some(to) = to {
            self.show(to);
        }
        to.is_some()
    }

    /// Moves by `steps` models, or as far as there are any.
    pub(super) fn step_within(&mut self, steps: isize) {
        let to = self.shown.saturating_add_signed(steps).min(self.models.len().saturating_sub(1));
        self.show(to);
    }

    fn show(&mut self, place: usize) {
        self.shown = place;
        let models = self.models.make_contiguous();
        self.diagnosis = models.get(..=place).map(|models| diagnose(models, &self.thresholds)).unwrap_or_default();
    }

    /// The model that is shown; `None` before the first snapshot.
    pub(super) fn model(&self) -> Option<&Model> {
        self.models.get(self.shown)
    }

    /// The models up to the one that is shown, oldest first.
    pub(super) fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().take(self.shown + 1)
    }

    /// How many newer models there are than the one that is shown.
    pub(super) fn newer(&self) -> usize {
        self.models.len().saturating_sub(self.shown + 1)
    }

    /// What the rules say of the model that is shown and those before it.
    pub(super) fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
    }

    /// Seconds that the rules have looked at.
    pub(super) fn window_seconds(&self) -> f64 {
        self.models.iter().take(self.shown + 1).filter_map(|m| m.interval).map(|i| i.seconds).sum()
    }

    /// Numbers for sparklines.
    pub(super) fn trend(&self) -> &Trend {
        &self.trend
    }

    /// The kills that were seen.
    pub(super) fn kills(&self) -> &Kills {
        &self.kills
    }

    /// When the newest snapshot was taken that this screen has seen.
    pub(super) fn newest(&self) -> Option<Stamp> {
        self.models.back().map(|m| m.stamp)
    }

    /// When the first snapshot was taken that this screen has seen.
    pub(super) fn first(&self) -> Option<Stamp> {
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.stamp.monotonic_ns = second * 1_000_000_000;
        snapshot
    }

    #[test]
    fn memory_is_bounded_by_number_and_by_age() {
        let mut timeline = Timeline::default();
        (1..1000).for_each(|s| timeline.push(at(s)));
        assert_eq!(timeline.models.len(), WINDOW_MODELS);
        assert_eq!(timeline.trend.until(u64::MAX, |p| p.pages).len(), Trend::KEPT);
        timeline.push(at(2000));
        assert_eq!(timeline.models.len(), 1, "what is older than the window has gone");
        assert_eq!(timeline.model().and_then(|m| m.interval).map(|i| i.seconds), Some(1001.0));
    }

    #[test]
    fn steps_stay_within_what_is_kept() {
        let mut timeline = Timeline::default();
        (1..=5).for_each(|s| timeline.push(at(s)));
        assert!(timeline.step(-2));
        assert_eq!((timeline.newer(), timeline.window_seconds()), (2, 2.0));
        assert!(!timeline.step(-3));
        assert_eq!(timeline.newer(), 2);
        assert_eq!(timeline.trend.until(timeline.model().unwrap().stamp.monotonic_ns, |p| p.pages).len(), 3);
        timeline.step_within(100);
        assert_eq!(timeline.newer(), 0);
        timeline.step_within(-100);
        assert_eq!(timeline.newer(), 4);
    }

    #[test]
    fn replacing_begins_a_new_series() {
        let mut timeline = Timeline::default();
        (50..=60).for_each(|s| timeline.push(at(s)));
        timeline.replace([at(3), at(4)]);
        assert_eq!(timeline.models.len(), 2);
        assert_eq!(timeline.model().and_then(|m| m.interval).map(|i| i.seconds), Some(1.0));
    }
}
