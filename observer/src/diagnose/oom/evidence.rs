//! What is known of a kill beside the kernel's report: the probe's event, and the minutes before it.

use crate::{
    model::Model,
    snapshot::{
        Name,
        oom::OomKill,
        oom_report::{Constraint, OomReport},
    },
};

/// Everything that is known of one kill.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The kernel's report; where there is none, what the event tells in its form.
    pub report: &'a OomReport,
    /// The event of the probe.
    pub event: Option<&'a OomKill>,
    /// Consecutive intervals, oldest first. Those that end after the kill tell nothing but their rates.
    pub models: &'a [Model],
    /// What is known to be missing, each as a sentence.
    pub missing: &'a [String],
}

impl<'a> From<&'a OomReport> for Evidence<'a> {
    /// The report alone, as a log has it.
    fn from(report: &'a OomReport) -> Self {
        Self { report, event: None, models: &[], missing: &[] }
    }
}

/// The intervals around a kill.
pub(super) struct Window<'a> {
    /// Those that end before it, oldest first.
    pub(super) before: Vec<&'a Model>,
    /// The same and the one in which it was.
    pub(super) all: Vec<&'a Model>,
    /// When it was, in nanoseconds of the monotonic clock.
    pub(super) kill_ns: u64,
}

impl<'a> Window<'a> {
    /// Splits the intervals at the kill. `None` where none of them lies before it, or it is not known when it was.
    pub(super) fn new(evidence: &Evidence<'a>) -> Option<Self> {
        // The clock of the kernel's log runs with the monotonic one, and may be some milliseconds off.
        let kill_ns = evidence.event.map(|e| e.monotonic_ns).or(evidence.report.origin.begin.boot_ns)?;
        let before: Vec<&Model> = evidence.models.iter().filter(|m| m.stamp.monotonic_ns <= kill_ns).collect();
        before.last()?;
        let mut all = before.clone();
        let during = evidence.models.get(before.len());
        all.extend(during.filter(|m| {
            m.interval.is_some_and(|i| m.stamp.monotonic_ns.saturating_sub((i.seconds * 1e9) as u64) <= kill_ns)
        }));
        Some(Self { before, all, kill_ns })
    }

    /// The first and the last of them.
    pub(super) fn ends(&self) -> Option<(&'a Model, &'a Model)> {
        Some((*self.before.first()?, *self.before.last()?))
    }

    /// Seconds from the end of an interval to the kill.
    pub(super) fn seconds_before(&self, model: &Model) -> f64 {
        self.kill_ns.saturating_sub(model.stamp.monotonic_ns) as f64 / 1e9
    }

    /// The sum over all intervals of what is told a second.
    pub(super) fn sum(&self, rate: impl Fn(&Model) -> Option<f64>) -> Option<f64> {
        let of = |m: &&Model| Some(rate(m)? * m.interval?.seconds);
        self.all.iter().filter_map(of).reduce(|a, b| a + b)
    }
}

/// The report with what only the event and the minutes before tell: the call chain, and the cgroup whose limit was met.
pub(super) fn completed(evidence: &Evidence<'_>, window: Option<&Window<'_>>) -> OomReport {
    let mut report = evidence.report.clone();
    if let Some(event) = evidence.event {
        // The kernel's rate limit may have held all but the last lines back.
        let told = OomReport::from(event);
        report.request = report.request.or(told.request);
        report.decision = report.decision.or(told.decision);
        if report.trace.is_empty() {
            report.trace = told.trace;
        }
    }
    let of_cgroup = |report: &OomReport| report.trace.iter().any(|f| f.function.as_str().starts_with("mem_cgroup_o"));
    if let Some(decision) = report.decision.as_ref()
        && !matches!(decision.constraint, Constraint::None | Constraint::Cpuset | Constraint::MemoryPolicy)
        && decision.oom_memcg.is_none()
        && (decision.constraint == Constraint::Memcg || of_cgroup(&report))
    {
        let of_task = decision.task_memcg.clone();
        let limit = window.zip(of_task.as_ref()).and_then(|(window, of_task)| at_limit(window, of_task));
        if let Some(decision) = report.decision.as_mut() {
            decision.constraint = Constraint::Memcg;
            decision.oom_memcg = limit;
        }
    }
    report
}

/// The cgroup nearest to a task's own, on the way up, that met its limit in the last interval; else the only one on the way
/// that has a limit.
fn at_limit(window: &Window<'_>, of_task: &Name) -> Option<Name> {
    let way_up = |model: &&'_ Model| -> Vec<_> {
        let all = model.cgroups.iter().flatten().filter(|c| c.holds(of_task.as_str()));
        all.map(|c| (c.now.path.clone(), c.is_at_limit() || c.met_its_limit(), c.now.limit.is_some())).collect()
    };
    // The cgroup may be gone by the end of the interval in which the kill was.
    let last = window.all.iter().rev().map(way_up).find(|rows| !rows.is_empty())?;
    let met = last.iter().filter(|row| row.1).max_by_key(|row| row.0.as_str().len());
    let mut limited = last.iter().filter(|row| row.2);
    let only = limited.next().filter(|_| limited.next().is_none());
    met.or(only).map(|row| row.0.clone())
}
