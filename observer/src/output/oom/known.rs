//! One kill, from the event of the probe, the kernel's report, or both, with what is concluded from them.

use std::sync::Arc;

use crate::{
    diagnose::oom::{Evidence, Explanation, Limit, Memory, explain_all},
    model::Model,
    snapshot::{
        oom::{OomKill, OomTask},
        oom_report::OomReport,
    },
};

/// What tells one kill from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`; of a kill that only the log tells, of the kernel's clock for its log.
    pub monotonic_ns: u64,
    /// Its number since the probe was attached; 0 of a kill that only the log tells.
    pub sequence: u64,
}

/// What is known of a kill, with what is concluded from it.
#[derive(Debug, PartialEq)]
pub struct Account {
    /// The kernel's report, or what the event tells in that form.
    pub report: OomReport,
    /// What is concluded, also from the minutes before.
    pub explanation: Explanation,
}

impl Account {
    /// From the kernel's report, the event, or both, and the intervals before it.
    pub(super) fn new(event: Option<&OomKill>, report: Option<&OomReport>, models: &[Model]) -> Self {
        let missing: Vec<String> = match (report, models.last()) {
            (None, Some(model)) => vec![format!("The kernel's report: {}.", no_report(model))],
            _ => Vec::new(),
        };
        let report = report.cloned().or_else(|| event.map(OomReport::from)).unwrap_or_default();
        let explanation = explain_all(&Evidence { report: &report, event, models, missing: &missing });
        Self { report, explanation }
    }
}

/// Why the kernel's report of a kill is not there.
pub fn no_report(model: &Model) -> String {
    match model.oom_watch.as_ref().map(|w| w.counts.log) {
        Some(Some(log)) if log.records_lost > 0 => {
            format!("the kernel's log overwrote {} records before they were read", log.records_lost)
        }
        Some(Some(_)) => {
            "the kernel's log has not told of it; of a victim that was ending already it writes nothing".to_owned()
        }
        _ => match model.coverage.source_reason("/dev/kmsg") {
            Some(reason) => reason.to_string(),
            None => "the kernel's log was not read".to_owned(),
        },
    }
}

/// One kill.
#[derive(Debug, Clone)]
pub struct Known {
    /// What tells it from others.
    pub key: Key,
    /// The event of the probe.
    pub event: Option<OomKill>,
    /// True if the kernel's log tells of it.
    pub reported: bool,
    /// What is concluded; `None` of an old kill, whose account had to make room.
    pub account: Option<Arc<Account>>,
}

impl Known {
    /// The process that was killed, as far as it is known.
    pub fn victim(&self) -> OomTask {
        if let Some(event) = &self.event {
            return event.victim.clone();
        }
        let report = self.account.as_ref().map(|a| &a.report);
        let victim = self.account.as_ref().and_then(|a| a.explanation.victim.as_ref());
        let pid = report.and_then(OomReport::victim_pid);
        OomTask {
            pid,
            tid: pid.unwrap_or(0),
            comm: victim.map(|v| v.comm.clone()),
            cgroup: None,
            cgroup_path: report.and_then(|r| r.decision.as_ref()).and_then(|d| d.task_memcg.clone()),
        }
    }

    /// The task whose request led to the kill, as far as it is known.
    pub fn trigger(&self) -> Option<OomTask> {
        if let Some(event) = &self.event {
            return Some(event.trigger.clone());
        }
        // The log has no process id of it, only that of the thread.
        let request = self.account.as_ref()?.report.request.as_ref()?;
        Some(OomTask { tid: request.tid.unwrap_or(0), comm: Some(request.comm.clone()), ..OomTask::default() })
    }

    /// Power of two of the pages that were asked for in one block; -1 of a kill by sysrq.
    pub fn order(&self) -> Option<i64> {
        let of_log = self.account.as_ref().and_then(|a| a.report.request.as_ref()).and_then(|r| r.order);
        let of_event = || self.event.as_ref().and_then(|e| e.last_reclaim.as_ref()).map(|r| i64::from(r.order));
        of_log.map(i64::from).or_else(of_event)
    }

    /// Which limit refused the request, as far as it can be told.
    pub fn limit(&self) -> Option<&Limit> {
        self.account.as_ref().map(|a| &a.explanation.limit).filter(|l| l.memory != Memory::Unknown)
    }

    /// What is concluded of it; of an old kill by its event alone.
    pub fn account(&self) -> Arc<Account> {
        self.account.clone().unwrap_or_else(|| Arc::new(Account::new(self.event.as_ref(), None, &[])))
    }

    /// Who tells of it: `event`, `log` or `both`.
    pub fn source(&self) -> &'static str {
        match (&self.event, self.reported) {
            (Some(_), true) => "both",
            (None, _) => "log",
            (Some(_), false) => "event",
        }
    }
}

/// Whose limit it was, in a word: `own` of the victim's cgroup, `above` of one above it, `cgroup` where the level is not
/// told, `host`, `cpuset`, `policy`, `sysrq`; `None` if the report does not tell.
pub fn limit_word(limit: &Limit) -> Option<&'static str> {
    Some(match &limit.memory {
        Memory::Cgroup { levels_above: Some(0), .. } => "own",
        Memory::Cgroup { levels_above: Some(_), .. } => "above",
        Memory::Cgroup { levels_above: None, .. } => "cgroup",
        Memory::Host => "host",
        Memory::Cpuset { .. } => "cpuset",
        Memory::Policy { .. } => "policy",
        Memory::Sysrq => "sysrq",
        Memory::Unknown => return None,
    })
}
