//! Events and reports of the same kill, brought together by the victim's process id.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::snapshot::{
    oom::OomKill,
    oom_record::{Missing, Reported, Told},
    oom_report::OomReport,
};

/// How long a report is awaited. The kernel writes it while it kills, but a slow console can hold it back.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// Events that wait at most; the oldest has to do without a report when one more comes.
const MOST: usize = 1024;

/// Events that wait for their report.
#[derive(Debug)]
pub(super) struct Join {
    waiting: VecDeque<(OomKill, Instant)>,
}

impl Default for Join {
    fn default() -> Self {
        Self { waiting: VecDeque::with_capacity(MOST) }
    }
}

impl Join {
    /// True if nothing is awaited.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// An event came.
    pub(super) fn event(&mut self, kill: OomKill, now: Instant) -> Option<Told> {
        let oldest = if self.waiting.len() >= MOST { self.waiting.pop_front() } else { None };
        self.waiting.push_back((kill, now));
        oldest.map(|(event, since)| missing(event, now.saturating_duration_since(since), 0))
    }

    /// A report is whole. One report may be of several kills, where a cgroup is killed as a whole.
    pub(super) fn report(&mut self, report: OomReport) -> Vec<Told> {
        let pids: Vec<u32> = report.kills.iter().map(|k| k.pid).chain(report.victim_pid()).collect();
        let mut told = Vec::new();
        // A process id is used again after a while: of two events with the same one the older is the one.
        let mut taken = Vec::new();
        self.waiting.retain(|(event, _)| {
            // Without the victim's structure an event has the thread id alone, which is that of the process in most cases.
            let pid = event.victim.pid.unwrap_or(event.victim.tid);
            let is_it = pids.contains(&pid) && !taken.contains(&pid);
            if is_it {
                taken.push(pid);
                told.push(Told { event: Some(event.clone()), report: Reported::Whole(Box::new(report.clone())) });
            }
            !is_it
        });
        if told.is_empty() {
            told.push(Told { event: None, report: Reported::Whole(Box::new(report)) });
        }
        told
    }

    /// Gives up on those that have waited for too long; on all, if there is no log.
    pub(super) fn overdue(&mut self, now: Instant, no_log: Option<&Missing>, records_lost: u64) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some((_, since)) = self.waiting.front() {
            let waited = now.saturating_duration_since(*since);
            if no_log.is_none() && waited < PATIENCE {
                break;
            }
            let Some((event, _)) = self.waiting.pop_front() else { break };
            told.push(match no_log {
                Some(reason) => Told { event: Some(event), report: Reported::Missing(reason.clone()) },
                None => missing(event, waited, records_lost),
            });
        }
        told
    }
}

fn missing(event: OomKill, waited: Duration, records_lost: u64) -> Told {
    let awaited_seconds = u32::try_from(waited.as_secs()).unwrap_or(u32::MAX);
    Told { event: Some(event), report: Reported::Missing(Missing::NotInTime { awaited_seconds, records_lost }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{oom::OomTask, oom_report::Kill};

    fn event(sequence: u64, pid: u32) -> OomKill {
        let victim = OomTask { pid: Some(pid), tid: pid, ..OomTask::default() };
        OomKill { sequence, victim, ..OomKill::default() }
    }

    fn report(pids: &[u32]) -> OomReport {
        let kills = pids.iter().map(|pid| Kill { pid: *pid, ..Kill::default() }).collect();
        OomReport { kills, ..OomReport::default() }
    }

    fn sequences(told: &[Told]) -> Vec<Option<u64>> {
        told.iter().map(|t| t.event.as_ref().map(|e| e.sequence)).collect()
    }

    #[test]
    fn a_report_finds_its_event_by_pid_the_older_one_first() {
        let (mut join, now) = (Join::default(), Instant::now());
        for (sequence, pid) in [(1, 10), (2, 20), (3, 10)] {
            assert_eq!(join.event(event(sequence, pid), now), None);
        }
        assert_eq!(sequences(&join.report(report(&[10]))), [Some(1)]);
        assert_eq!(sequences(&join.report(report(&[10]))), [Some(3)]);
        assert_eq!(sequences(&join.report(report(&[10]))), [None], "a kill that the log alone tells");
        assert!(!join.is_idle());
    }

    #[test]
    fn a_group_kill_is_one_report_of_several() {
        let (mut join, now) = (Join::default(), Instant::now());
        for (sequence, pid) in [(1, 10), (2, 20), (3, 30)] {
            join.event(event(sequence, pid), now);
        }
        assert_eq!(sequences(&join.report(report(&[30, 10]))), [Some(1), Some(3)]);
    }

    #[test]
    fn patience_ends() {
        let (mut join, now) = (Join::default(), Instant::now());
        join.event(event(1, 10), now);
        join.event(event(2, 20), now + PATIENCE);
        let told = join.overdue(now + PATIENCE, None, 4);
        assert_eq!(sequences(&told), [Some(1)]);
        let why = Missing::NotInTime { awaited_seconds: 15, records_lost: 4 };
        assert_eq!(told[0].report, Reported::Missing(why));
        let no_log = Missing::NoLog("not permitted".into());
        assert_eq!(join.overdue(now + PATIENCE, Some(&no_log), 0)[0].report, Reported::Missing(no_log));
        assert!(join.is_idle());
    }
}
