//! The kills that the screen knows of: a snapshot carries the last ones only, a screen that stays open has seen more.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    model::{Model, oom::Kill},
    snapshot::{Name, oom::OomKill},
};

/// What tells one kill from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) monotonic_ns: u64,
    /// Its number since the probe was attached.
    pub(super) sequence: u64,
}

impl Key {
    /// Of a kill.
    pub(super) fn of(kill: &OomKill) -> Self {
        Self { monotonic_ns: kill.monotonic_ns, sequence: kill.sequence }
    }
}

/// Kills of which no event tells: no probe, or the ring buffer had no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unseen {
    /// End of the interval in which they were counted, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) monotonic_ns: u64,
    /// How many.
    pub(super) kills: u64,
    /// Number of the last kill before that interval.
    after: u64,
}

/// Kills by time, bounded in number.
#[derive(Debug, Default)]
pub(super) struct Kills {
    known: BTreeMap<Key, Kill>,
    unseen: VecDeque<Unseen>,
    boot: Name,
}

impl Kills {
    /// Kills that are kept, and intervals with kills that no event tells of.
    const KEPT: usize = 1024;

    /// Takes what a model tells, also again.
    pub(super) fn add(&mut self, model: &Model) {
        if self.boot != model.host.boot_id {
            self.known.clear();
            self.unseen.clear();
            self.boot.clone_from(&model.host.boot_id);
        }
        let told = model.oom.as_ref().map(|oom| &oom.recent);
        for kill in told.into_iter().flatten() {
            let is_new = self.known.insert(Key::of(&kill.event), kill.clone()).is_none();
            if is_new && kill.in_interval == Some(false) {
                self.came_late(kill.event.sequence);
            }
        }
        while self.known.len() > Self::KEPT {
            self.known.pop_first();
        }
        let (counted, last) = match &model.oom {
            Some(oom) => (oom.kills_in_interval, oom.kills),
            None => (model.memory.vm.oom_kills, 0),
        };
        let seen = told.into_iter().flatten().filter(|k| k.in_interval == Some(true)).count() as u64;
        let kills = counted.map_or(0, |n| n.saturating_sub(seen));
        let monotonic_ns = model.stamp.monotonic_ns;
        if kills > 0 && self.unseen.iter().all(|u| u.monotonic_ns != monotonic_ns) {
            let at = self.unseen.partition_point(|u| u.monotonic_ns < monotonic_ns);
            let after = last.saturating_sub(counted.unwrap_or(0));
            self.unseen.insert(at, Unseen { monotonic_ns, kills, after });
        }
        while self.unseen.len() > Self::KEPT {
            self.unseen.pop_front();
        }
    }

    /// An event was still on its way when its kill was counted.
    fn came_late(&mut self, sequence: u64) {
        if let Some(at) = self.unseen.iter().rposition(|u| u.after < sequence)
            && let Some(unseen) = self.unseen.get_mut(at)
        {
            unseen.kills = unseen.kills.saturating_sub(1);
            if unseen.kills == 0 {
                self.unseen.remove(at);
            }
        }
    }

    /// The kills that are known, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Kill> {
        self.known.values().rev()
    }

    /// Kills that were only counted, oldest first.
    pub(super) fn unseen(&self) -> impl Iterator<Item = Unseen> {
        self.unseen.iter().copied()
    }

    /// One kill.
    pub(super) fn get(&self, key: Key) -> Option<&Kill> {
        self.known.get(&key)
    }

    /// When the first of all was.
    pub(super) fn first_ns(&self) -> Option<u64> {
        let known = self.known.keys().next().map(|k| k.monotonic_ns);
        known.into_iter().chain(self.unseen.front().map(|u| u.monotonic_ns)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Snapshot, oom::Oom};

    const SECOND: u64 = 1_000_000_000;

    /// A snapshot at a second with so many kills, of which the ring buffer had room for those named.
    fn snapshot(second: u64, kills: u64, told: &[u64]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.stamp.monotonic_ns = second * SECOND;
        snapshot.host.boot_id = "one".into();
        let recent = told.iter().map(|n| OomKill {
            monotonic_ns: second * SECOND - SECOND / 2,
            sequence: *n,
            ..OomKill::default()
        });
        snapshot.oom = Some(Oom { kills, events_lost: kills - told.len() as u64, recent: recent.collect() });
        snapshot
    }

    #[test]
    fn kills_without_an_event_are_counted_where_they_were() {
        let mut kills = Kills::default();
        let (a, b) = (snapshot(10, 1, &[1]), snapshot(11, 5, &[2, 3]));
        kills.add(&Model::new(&a, None));
        for _ in 0..2 {
            kills.add(&Model::new(&b, Some(&a)));
        }
        assert_eq!(kills.newest_first().map(|k| k.event.sequence).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(kills.unseen().collect::<Vec<_>>(), [Unseen { monotonic_ns: 11 * SECOND, kills: 2, after: 1 }]);
        assert_eq!(kills.first_ns(), Some(10 * SECOND - SECOND / 2));
        assert!(kills.get(Key { monotonic_ns: 11 * SECOND - SECOND / 2, sequence: 3 }).is_some());
        // One of them was only on its way.
        kills.add(&Model::new(&snapshot(12, 5, &[5]), Some(&b)));
        assert_eq!(kills.unseen().map(|u| u.kills).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn memory_is_bounded_and_another_boot_begins_anew() {
        let mut kills = Kills::default();
        let mut before = snapshot(1, 0, &[]);
        for second in 2..3000 {
            let now = snapshot(second, second * 2, &[second]);
            kills.add(&Model::new(&now, Some(&before)));
            before = now;
        }
        assert_eq!((kills.known.len(), kills.unseen.len()), (Kills::KEPT, Kills::KEPT));
        let mut other = snapshot(5, 1, &[1]);
        other.host.boot_id = "two".into();
        kills.add(&Model::new(&other, None));
        assert_eq!(kills.newest_first().count(), 1);
    }
}
