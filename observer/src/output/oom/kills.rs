//! The kills that are known, by time: a snapshot carries the last events and each report once, whoever looks on has seen more.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::known::{Account, Key, Known};
use crate::{
    model::{Model, oom::Kill},
    snapshot::{Name, oom::OomKill, oom_report::OomReport},
};

/// Kills of which neither an event nor a report tells: no probe, or there was no room for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen {
    /// End of the interval in which they were counted, in nanoseconds of `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// How many.
    pub kills: u64,
}

/// Kills that are to be explained, with the kernel's report where it is known.
type Fresh = BTreeMap<Key, Option<OomReport>>;

/// Kills by time, bounded in number.
#[derive(Debug, Default)]
pub struct Kills {
    known: BTreeMap<Key, Known>,
    unseen: VecDeque<Unseen>,
    boot: Name,
}

impl Kills {
    /// Kills that are kept, and intervals with kills that are only counted.
    const KEPT: usize = 1024;

    /// Accounts that are kept: a report may have thousands of processes.
    const ACCOUNTS: usize = 64;

    /// Kills of one interval that are explained with all models, and models for the others.
    const AT_LENGTH: usize = 2;
    const FEW: usize = 3;

    /// Takes what the last of some consecutive models tells, also again; those before it are for what led up to its kills.
    pub fn add(&mut self, models: &[Model]) {
        let Some(model) = models.last() else { return };
        if self.boot != model.host.boot_id {
            self.known.clear();
            self.unseen.clear();
            self.boot.clone_from(&model.host.boot_id);
        }
        let mut fresh = Fresh::new();
        let events = model.oom.as_ref().map(|oom| &oom.recent);
        let mut late = events.into_iter().flatten().filter(|k| self.take_event(k, &mut fresh)).count() as u64;
        let reports = model.oom_watch.as_ref().map(|w| &w.reports);
        let of_log_alone: u64 = reports.into_iter().flatten().map(|r| self.take_report(r, &mut fresh)).sum();
        self.explain(fresh, models);
        self.make_room();
        let counted = match &model.oom {
            Some(oom) => oom.kills_in_interval,
            None => model.memory.vm.oom_kills,
        };
        let of_events = events.into_iter().flatten().filter(|k| k.in_interval == Some(true)).count() as u64;
        let told = of_events + of_log_alone;
        let kills = counted.map_or(0, |n| n.saturating_sub(told));
        // What is told now and was not counted now was counted before.
        late += counted.map_or(0, |n| told.saturating_sub(n));
        self.told_late(late);
        self.count_unseen(model.stamp.monotonic_ns, kills);
    }

    /// True if the event is new and came after its kill was counted.
    fn take_event(&mut self, kill: &Kill, fresh: &mut Fresh) -> bool {
        let event = &kill.event;
        let key = Key { monotonic_ns: event.monotonic_ns, sequence: event.sequence };
        if let Some(known) = self.known.get_mut(&key) {
            known.event = Some(event.clone());
            return false;
        }
        let of_log = self.known.values().rev().find(|k| k.event.is_none() && tells(k, event)).map(|k| k.key);
        let told = of_log.and_then(|key| self.known.remove(&key)).and_then(|k| k.account);
        let reported = told.is_some();
        fresh.insert(key, told.map(|t| t.report.clone()));
        self.known.insert(key, Known { key, event: Some(event.clone()), reported, account: None });
        kill.in_interval == Some(false) && !reported
    }

    /// Joins a report with the events that it tells of. Gives how many of its victims have none.
    fn take_report(&mut self, report: &OomReport, fresh: &mut Fresh) -> u64 {
        let mut joined = 0;
        for known in self.known.values_mut().rev().filter(|k| !k.reported) {
            if known.event.as_ref().is_some_and(|event| report.tells_of(event)) {
                fresh.insert(known.key, Some(report.clone()));
                known.reported = true;
                joined += 1;
            }
        }
        if joined > 0 {
            return 0;
        }
        let key = Key { monotonic_ns: report.origin.end.boot_ns.unwrap_or(0), sequence: 0 };
        fresh.insert(key, Some(report.clone()));
        let is_new = self.known.insert(key, Known { key, event: None, reported: true, account: None }).is_none();
        u64::from(is_new && !report.kills.is_empty())
    }

    /// Explains what is new, newest first. Of many kills at once only some with all that led up to them: whoever looks on must
    /// not stand still meanwhile.
    fn explain(&mut self, fresh: Fresh, models: &[Model]) {
        for (turn, (key, report)) in fresh.into_iter().rev().take(Self::ACCOUNTS).enumerate() {
            let first = if turn < Self::AT_LENGTH { 0 } else { models.len().saturating_sub(Self::FEW) };
            if let Some(known) = self.known.get_mut(&key) {
                let window = models.get(first..).unwrap_or_default();
                known.account = Some(Arc::new(Account::new(known.event.as_ref(), report.as_ref(), window)));
            }
        }
    }

    fn make_room(&mut self) {
        while self.known.len() > Self::KEPT {
            self.known.pop_first();
        }
        let with = self.known.values_mut().rev().filter(|k| k.account.is_some() && k.event.is_some());
        with.skip(Self::ACCOUNTS).for_each(|known| known.account = None);
        // Of what only the log tells nothing would be left.
        let log_only: Vec<Key> = self.known.values().rev().filter(|k| k.event.is_none()).map(|k| k.key).collect();
        log_only.iter().skip(Self::ACCOUNTS).for_each(|key| drop(self.known.remove(key)));
    }

    /// Kills that were counted before anything told of them are now told.
    fn told_late(&mut self, mut late: u64) {
        for unseen in self.unseen.iter_mut().rev() {
            let taken = late.min(unseen.kills);
            unseen.kills -= taken;
            late -= taken;
        }
        self.unseen.retain(|u| u.kills > 0);
    }

    fn count_unseen(&mut self, monotonic_ns: u64, kills: u64) {
        if kills > 0 && self.unseen.iter().all(|u| u.monotonic_ns != monotonic_ns) {
            let at = self.unseen.partition_point(|u| u.monotonic_ns < monotonic_ns);
            self.unseen.insert(at, Unseen { monotonic_ns, kills });
        }
        while self.unseen.len() > Self::KEPT {
            self.unseen.pop_front();
        }
    }

    /// The kills that are known, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Known> {
        self.known.values().rev()
    }

    /// Kills that were only counted, oldest first.
    pub fn unseen(&self) -> impl Iterator<Item = Unseen> {
        self.unseen.iter().copied()
    }

    /// One kill.
    pub fn get(&self, key: Key) -> Option<&Known> {
        self.known.get(&key)
    }

    /// When the first of all was.
    pub fn first_ns(&self) -> Option<u64> {
        let known = self.known.keys().next().map(|k| k.monotonic_ns);
        known.into_iter().chain(self.unseen.front().map(|u| u.monotonic_ns)).min()
    }
}

fn tells(known: &Known, event: &OomKill) -> bool {
    known.account.as_ref().is_some_and(|a| a.report.tells_of(event))
}

#[cfg(test)]
mod tests {
    use super::{super::known::limit_word, *};
    use crate::snapshot::{
        Snapshot,
        oom::{Oom, OomTask},
        oom_report::{self, Decision},
        oom_watch::OomWatch,
    };

    const SECOND: u64 = 1_000_000_000;

    /// A snapshot at a second with so many kills, of which the ring buffer had room for those named.
    fn snapshot(second: u64, kills: u64, told: &[u64]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.stamp.monotonic_ns = second * SECOND;
        snapshot.host.boot_id = "one".into();
        let recent = told.iter().map(|n| OomKill {
            monotonic_ns: second * SECOND - SECOND / 2 + n,
            sequence: *n,
            victim: OomTask { pid: Some(100 + *n as u32), comm: Some("hog".into()), ..OomTask::default() },
            ..OomKill::default()
        });
        snapshot.oom = Some(Oom { kills, events_lost: kills - told.len() as u64, recent: recent.collect() });
        snapshot
    }

    fn with_report(mut snapshot: Snapshot, pids: &[u32]) -> Snapshot {
        let kill = |pid: &u32| oom_report::Kill { pid: *pid, comm: "hog".into(), ..oom_report::Kill::default() };
        let mut report = OomReport { kills: pids.iter().map(kill).collect(), ..OomReport::default() };
        report.origin.end.boot_ns = Some(snapshot.stamp.monotonic_ns - SECOND / 3);
        report.decision =
            Some(Decision { oom_memcg: Some("/a".into()), task_memcg: Some("/a/b".into()), ..Decision::default() });
        snapshot.oom_watch.get_or_insert_with(OomWatch::default).reports.push(report);
        snapshot
    }

    fn rows(kills: &Kills) -> Vec<(u64, &'static str, Option<&'static str>)> {
        let word = |k: &Known| k.limit().and_then(limit_word);
        kills.newest_first().map(|k| (k.key.sequence, k.source(), word(k))).collect()
    }

    fn unseen(kills: &Kills) -> Vec<u64> {
        kills.unseen().map(|u| u.kills).collect()
    }

    #[test]
    fn kills_of_which_nothing_tells_are_counted_where_they_were() {
        let mut kills = Kills::default();
        let (a, b) = (snapshot(10, 1, &[1]), snapshot(11, 5, &[2, 3]));
        kills.add(&[Model::new(&a, None)]);
        for _ in 0..2 {
            kills.add(&[Model::new(&b, Some(&a))]);
        }
        assert_eq!(rows(&kills).iter().map(|r| r.0).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(kills.unseen().collect::<Vec<_>>(), [Unseen { monotonic_ns: 11 * SECOND, kills: 2 }]);
        assert_eq!(kills.first_ns(), Some(10 * SECOND - SECOND / 2 + 1));
        // One of them was only on its way.
        kills.add(&[Model::new(&snapshot(12, 5, &[5]), Some(&b))]);
        assert_eq!(unseen(&kills), [1]);
    }

    #[test]
    fn an_event_and_the_report_of_the_same_kill_are_one_whichever_comes_first() {
        let empty = snapshot(9, 0, &[]);
        let both = |snapshots: &[Snapshot]| {
            let mut kills = Kills::default();
            let mut before = &empty;
            for now in snapshots {
                kills.add(&[Model::new(now, Some(before))]);
                before = now;
            }
            (rows(&kills), unseen(&kills))
        };
        let joined = (vec![(1, "both", Some("above"))], Vec::<u64>::new());
        assert_eq!(both(&[with_report(snapshot(10, 1, &[1]), &[101])]), joined);
        assert_eq!(both(&[snapshot(10, 1, &[1]), with_report(snapshot(11, 1, &[]), &[101])]), joined);
        assert_eq!(both(&[with_report(snapshot(10, 1, &[]), &[101]), snapshot(11, 1, &[1])]), joined);
        let other = both(&[with_report(snapshot(10, 2, &[1]), &[55])]);
        assert_eq!(other, (vec![(0, "log", Some("above")), (1, "event", None)], Vec::new()));
        let group = both(&[with_report(snapshot(10, 2, &[1, 2]), &[101, 102])]);
        assert_eq!(group.0, [(2, "both", Some("above")), (1, "both", Some("above"))]);
    }

    #[test]
    fn without_a_probe_the_log_tells_what_vmstat_counts() {
        let blind = |mut s: Snapshot, kills: u64| {
            s.oom = None;
            s.memory.vmstat = Some(crate::snapshot::memory::Vmstat { oom_kill: Some(kills), ..Default::default() });
            s
        };
        let (a, b) = (blind(snapshot(10, 0, &[]), 0), blind(snapshot(11, 0, &[]), 2));
        let c = blind(with_report(snapshot(12, 0, &[]), &[101]), 2);
        let mut kills = Kills::default();
        kills.add(&[Model::new(&b, Some(&a))]);
        assert_eq!(unseen(&kills), [2]);
        kills.add(&[Model::new(&c, Some(&b))]);
        assert_eq!((rows(&kills), unseen(&kills)), (vec![(0, "log", Some("above"))], vec![1]));
    }

    #[test]
    fn memory_is_bounded_and_another_boot_begins_anew() {
        let mut kills = Kills::default();
        let mut before = snapshot(1, 0, &[]);
        for second in 2..3000 {
            let now = with_report(snapshot(second, second * 2, &[second]), &[100 + second as u32]);
            kills.add(&[Model::new(&now, Some(&before))]);
            before = now;
        }
        assert_eq!((kills.known.len(), kills.unseen.len()), (Kills::KEPT, Kills::KEPT));
        assert_eq!(kills.newest_first().filter(|k| k.account.is_some()).count(), Kills::ACCOUNTS);
        let mut other = snapshot(5, 1, &[1]);
        other.host.boot_id = "two".into();
        kills.add(&[Model::new(&other, None)]);
        assert_eq!(kills.newest_first().count(), 1);
    }
}
