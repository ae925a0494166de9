//! Watching for OOM kills: the probe's events, the kernel's log, and the counts of the host and of its cgroups.

mod alarm;
mod cgroups;
mod join;
mod kmsg;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use alarm::Alarm;
use cgroups::CgroupCounts;
use join::Join;
use kmsg::Kmsg;

use super::oom_log::{self, Parser};
use crate::snapshot::{
    Name, Snapshot, Stamp,
    coverage::{Coverage, Source},
    oom::OomKill,
    oom_record::{Missing, Told},
    oom_report::OomReport,
    oom_watch::{self, LogKills, OomCounts, ProbeKills},
};

/// Name of the log in reports and in the coverage.
const LOG: &str = "/dev/kmsg";
/// After the line of the kill, until a report is taken to be whole: what the reaper says comes a little later.
const SETTLE: Duration = Duration::from_secs(1);
/// After the last line, until a report whose kill does not come is taken to be cut off.
const CUT: Duration = Duration::from_secs(30);
/// How often is looked while something is awaited.
const TICK: Duration = Duration::from_millis(250);

/// What has come since it was last asked for.
#[derive(Debug, Default)]
pub struct OomNews {
    /// Kills that the probe has told, at once.
    pub kills: Vec<OomKill>,
    /// Kills of which all is known that will be: with the report of the log, or the reason why there is none.
    pub told: Vec<Told>,
}

/// Watches for kills.
#[derive(Debug)]
pub(super) struct OomWatch {
    log: Result<Kmsg, Name>,
    /// True if events come: then the log is read when one has.
    has_probe: bool,
    parser: Parser,
    /// Time of the last line of a kill of which the report is open.
    killed_at: Option<Instant>,
    /// Time of the last line while a report is open.
    line_at: Option<Instant>,
    log_kills: LogKills,
    lost_before: u64,
    join: Join,
    /// Kills without a report, as told with the next news.
    early: Vec<Told>,
    reports: Vec<OomReport>,
    alarm: Result<Alarm, Name>,
    cgroups: CgroupCounts,
    /// Counts of the host and of the probe when observer began to look; `None` until there was a moment without a kill.
    base: Option<Base>,
    counts: OomCounts,
}

#[derive(Debug, Clone, Copy)]
struct Base {
    stamp: Stamp,
    vmstat: Option<u64>,
    probe: Option<ProbeKills>,
}

/// The counts that can change while a snapshot is taken, read once more at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Again {
    /// `oom_kill` of /proc/vmstat.
    pub(super) vmstat: Option<u64>,
    /// Victims that the probe has counted.
    pub(super) marked: Option<u64>,
}

impl OomWatch {
    /// Begins. `events` becomes readable when the probe has an event.
    pub(super) fn new(events: Option<BorrowedFd<'_>>) -> Self {
        let failed = |what: &'static str| move |e: io::Error| Name::from(format!("cannot {what}: {e}"));
        Self {
            log: Kmsg::open().map_err(failed("open /dev/kmsg")),
            has_probe: events.is_some(),
            parser: Parser::new(LOG.into()),
            killed_at: None,
            line_at: None,
            log_kills: LogKills::default(),
            lost_before: 0,
            join: Join::default(),
            early: Vec::new(),
            reports: Vec::new(),
            alarm: Alarm::new(events).map_err(failed("wait for OOM kills")),
            cgroups: CgroupCounts::default(),
            base: None,
            counts: OomCounts::default(),
        }
    }

    /// Becomes readable when [`Self::news`] has something to do. `None` if that cannot be waited for.
    pub(super) fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        self.alarm.as_ref().ok().map(AsFd::as_fd)
    }

    /// Takes an event that the probe has told.
    pub(super) fn event(&mut self, kill: &OomKill) {
        self.cgroups.event(kill);
        let dropped = self.join.event(kill.clone(), Instant::now());
        self.early.extend(dropped);
    }

    /// Reads the log. Events that come before the line of their kill have to be taken before [`Self::news`] is asked for.
    pub(super) fn read_log(&mut self) {
        let Ok(log) = &mut self.log else { return };
        let (parser, kills) = (&mut self.parser, &mut self.log_kills);
        let (killed_at, line_at) = (&mut self.killed_at, &mut self.line_at);
        let outcome = log.drain(|line, of_kernel| {
            if !of_kernel {
                return;
            }
            let words = line.splitn(2, |b| *b == b';').nth(1).unwrap_or_default();
            if oom_log::is_kill(words) {
                kills.killed += 1;
                *killed_at = Some(Instant::now());
            } else if oom_log::is_skipped_kill(words) {
                kills.already_exiting += 1;
            }
            parser.line(0, line);
            *line_at = Some(Instant::now());
        });
        kills.records_lost = log.lost();
        if let Err(error) = outcome {
            self.log = Err(Name::from(format!("cannot read {LOG}: {error}")));
        }
        if killed_at.is_some_and(|at| at.elapsed() >= SETTLE) {
            parser.settle();
            *killed_at = None;
        }
        if !parser.is_idle() && line_at.is_some_and(|at| at.elapsed() >= CUT) {
            parser.finish();
            *killed_at = None;
        }
    }

    /// What is known now of kills that were not known before.
    pub(super) fn news(&mut self) -> Vec<Told> {
        let mut told = std::mem::take(&mut self.early);
        while let Some(report) = self.parser.next_report() {
            if self.reports.len() < oom_watch::OomWatch::MOST_REPORTS {
                self.reports.push(report.clone());
            } else {
                self.log_kills.not_kept += 1;
            }
            told.extend(self.join.report(report));
        }
        let no_log = self.log.as_ref().err().map(|reason| Missing::NoLog(reason.clone()));
        let lost = self.log_kills.records_lost - self.lost_before;
        told.extend(self.join.overdue(Instant::now(), no_log.as_ref(), lost));
        if self.join.is_idle() {
            self.lost_before = self.log_kills.records_lost;
        }
        self.set_alarm();
        told
    }

    /// True while more is to come of a kill that was seen.
    fn awaits(&self) -> bool {
        !self.join.is_idle() || !self.parser.is_idle()
    }

    fn set_alarm(&mut self) {
        let awaits = self.awaits();
        let Ok(alarm) = &mut self.alarm else { return };
        let mut outcome = alarm.tick(awaits.then_some(TICK));
        if let Ok(log) = &self.log {
            outcome = outcome.and_then(|()| alarm.log(log.as_fd(), awaits || !self.has_probe));
        }
        if let Err(error) = outcome {
            self.alarm = Err(Name::from(format!("cannot wait for OOM kills: {error}")));
        }
    }

    /// Counts as they were last read; `None` before there was a moment without a kill.
    pub(super) fn counts(&self) -> Option<OomCounts> {
        self.base.map(|_| self.counts)
    }

    /// Adds to a snapshot that is otherwise whole. `again` reads anew what stands in two of its counts: it is asked only if a
    /// count has grown, so that a host on which nobody is killed pays nothing for it.
    pub(super) fn fill(&mut self, snapshot: &mut Snapshot, mut again: impl FnMut() -> Again) {
        self.describe(&mut snapshot.coverage);
        let vmstat = snapshot.memory.vmstat.as_ref().and_then(|v| v.oom_kill);
        let probe = snapshot.oom.as_ref().map(|o| ProbeKills { marked: o.kills, events_lost: o.events_lost });
        let mut still = || again() == Again { vmstat, marked: probe.map(|p| p.marked) };
        let base = match self.base {
            Some(base) => base,
            // A kill while all counts are read would stay in one and not in another for ever.
            None if !still() => return,
            None => {
                let base = Base { stamp: snapshot.stamp, vmstat, probe };
                self.base = Some(base);
                self.log_kills = LogKills::default();
                self.cgroups.begin(snapshot.cgroups.as_ref().unwrap_or(&Default::default()));
                base
            }
        };
        let counts = OomCounts {
            since: base.stamp,
            read: snapshot.stamp,
            settled: false,
            last_kill: None,
            vmstat: vmstat.zip(base.vmstat).and_then(|(now, then)| now.checked_sub(then)),
            cgroups: snapshot.cgroups.as_ref().map(|cgroups| self.cgroups.read(cgroups)),
            probe: probe.zip(base.probe).and_then(|(now, then)| {
                let marked = now.marked.checked_sub(then.marked)?;
                Some(ProbeKills { marked, events_lost: now.events_lost.saturating_sub(then.events_lost) })
            }),
            log: self.log.is_ok().then_some(self.log_kills),
        };
        let grew = kills(&counts) != kills(&self.counts);
        let last_kill = if grew { Some(snapshot.stamp) } else { self.counts.last_kill };
        // What has not grown anywhere is not in the middle of growing.
        let settled = !self.awaits() && (!grew || still());
        self.counts = OomCounts { settled, last_kill, ..counts };
        snapshot.oom_watch =
            Some(oom_watch::OomWatch { counts: self.counts, reports: std::mem::take(&mut self.reports), stored: None });
    }

    fn describe(&self, coverage: &mut Coverage) {
        let missing = self.log.as_ref().err().or(self.alarm.as_ref().err()).cloned();
        coverage.sources.push(Source { name: Source::KMSG.to_owned(), missing });
    }
}

/// The counts of kills alone.
fn kills(counts: &OomCounts) -> [Option<u64>; 4] {
    let probe = counts.probe.map(|p| p.marked);
    // A source that has none is as good as one that was not read yet.
    [counts.vmstat, counts.cgroups.map(|c| c.total()), probe, counts.log.map(|l| l.killed)]
        .map(|n| n.filter(|n| *n > 0))
}
