//! Why the OOM killer killed: from one report, whatever it was read from, to plain words with the arithmetic behind them.
//!
//! Pure. What the report does not tell is said to be unknown, in [`Explanation::unknown`].

mod advice;
mod evidence;
mod led_up;
mod limit;
mod reasons;
mod request;
mod usage;
mod victim;
mod zones;

use serde::Serialize;

use crate::snapshot::{Name, oom_report::OomReport};

pub use evidence::Evidence;
pub use led_up::{LedUp, Sentence};
pub use limit::{Limit, Memory, limit};
pub use reasons::{Cause, Reason};
pub use request::{Asked, Context};
pub use usage::{Kind, ProcessUse, Usage, What};
pub use victim::{Candidate, Spared, Victim};
pub use zones::{ZoneCheck, ZoneVerdict};

/// One kill, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The kill in one line.
    pub headline: String,
    /// What a person needs first, at most five sentences, in plain words.
    pub summary: Vec<String>,
    /// What was asked for, by whom, in which context. `None` if the report lacks its begin.
    pub asked: Option<Asked>,
    /// Which limit refused it.
    pub limit: Limit,
    /// Zones that the request could use, and why none of them served it. Empty where the limit was that of a cgroup.
    pub zones: Vec<ZoneCheck>,
    /// Why nothing could be freed for it, the weightiest first.
    pub reasons: Vec<Reason>,
    /// Who was chosen, and why.
    pub victim: Option<Victim>,
    /// What used the memory.
    pub usage: Usage,
    /// What led up to it; `None` where nothing but the kernel's report is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub led_up: Option<LedUp>,
    /// What to do next.
    pub advice: Vec<Advice>,
    /// What this report cannot tell, each with why.
    pub unknown: Vec<String>,
}

/// Something to do, tied to what it is concluded from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What to do.
    pub text: String,
    /// Why.
    pub because: String,
}

/// Explains a report.
pub fn explain(report: &OomReport) -> Explanation {
    explain_all(&Evidence::from(report))
}

/// Explains a kill by everything that is known of it.
pub fn explain_all(evidence: &Evidence<'_>) -> Explanation {
    let window = evidence::Window::new(evidence);
    let report = &evidence::completed(evidence, window.as_ref());
    let asked = report.request.as_ref().map(|request| request::asked(report, request));
    let mut limit = limit(report);
    let usage = usage::usage(report, &limit);
    let zones = if limit.is_of_cgroup() || limit.memory == Memory::Sysrq { Vec::new() } else { zones::checks(report) };
    if zones.iter().any(|z| z.verdict == ZoneVerdict::NoBlock) {
        limit.block = asked.as_ref().and_then(|a| a.bytes);
    }
    let victim = victim::victim(report, &limit);
    let reasons = reasons::reasons(report, &limit, &usage, &zones);
    let advice = advice::advice(report, &limit, &usage, &reasons, victim.as_ref());
    let led_up = led_up::led_up(evidence, window.as_ref(), &limit);
    let mut unknown = unknown(report, &limit, &usage);
    if evidence.event.is_some() && window.is_none() {
        unknown.push("What led up to it: no snapshot was taken before the kill.".to_owned());
    }
    unknown.extend(evidence.missing.iter().cloned());
    let headline = headline(report, &limit);
    let summary = summary(report, asked.as_ref(), &limit, &usage, &reasons, victim.as_ref(), &advice);
    Explanation { headline, summary, asked, limit, zones, reasons, victim, usage, led_up, advice, unknown }
}

/// `postgres (pid 12)`.
fn process(comm: &Name, pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("{comm} (pid {pid})"),
        None => comm.to_string(),
    }
}

/// Bytes of a block of that order.
fn block(page: u64, order: u32) -> u64 {
    1u64.checked_shl(order).map_or(u64::MAX, |pages| page.saturating_mul(pages))
}

fn headline(report: &OomReport, limit: &Limit) -> String {
    if let (Some(exiting), []) = (&report.exiting, report.kills.as_slice()) {
        let who = process(&exiting.comm, Some(exiting.pid));
        return format!("Nothing was killed, because {who} was chosen and ended already: {}", limit.what());
    }
    let who = match report.kills.as_slice() {
        [] if report.no_killable => {
            return format!("The kernel killed nobody, for there was no process it may kill: {}", limit.what());
        }
        [] => match report.decision.as_ref().and_then(|d| Some((d.task.as_ref()?, d.pid))) {
            Some((comm, pid)) => process(comm, pid),
            None => "a process that the report does not name".to_owned(),
        },
        [kill] => process(&kill.comm, Some(kill.pid)),
        [first, rest @ ..] => {
            format!("{} and {} more of its cgroup", process(&first.comm, Some(first.pid)), rest.len())
        }
    };
    format!("The kernel killed {who}: {}", limit.what())
}

fn summary(
    report: &OomReport,
    asked: Option<&Asked>,
    limit: &Limit,
    usage: &Usage,
    reasons: &[Reason],
    victim: Option<&Victim>,
    advice: &[Advice],
) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(asked.map(|asked| asked.sentence()));
    out.push(limit.sentence());
    out.extend(usage.sentence());
    let first: Vec<&str> = reasons.iter().take(2).map(|r| r.text.as_str()).collect();
    if !first.is_empty() {
        out.push(format!("Nothing more could be freed: {}.", first.join("; ")));
    }
    out.extend(victim.map(Victim::sentence).or_else(|| nobody(report)));
    if out.len() < 5 {
        out.extend(advice.first().map(|a| a.text.clone()));
    }
    out
}

/// Why there was nobody to kill.
fn nobody(report: &OomReport) -> Option<String> {
    if !report.no_killable {
        return None;
    }
    let count = report.tasks.len();
    let never = report.tasks.iter().filter(|t| t.oom_score_adj == victim::NEVER).count();
    Some(match (count, never) {
        (0, _) => "Nobody could be chosen: the report lists no process at all.".to_owned(),
        (1, 1) => "Nobody could be chosen: the only process has oom_score_adj -1000.".to_owned(),
        _ if count == never => format!("Nobody could be chosen: all {count} processes have oom_score_adj -1000."),
        _ => format!(
            "Nobody could be chosen: {never} of {count} processes have oom_score_adj -1000, the others were already ending or are never killed."
        ),
    })
}

fn unknown(report: &OomReport, limit: &Limit, usage: &Usage) -> Vec<String> {
    use crate::snapshot::oom_report::Cut;
    let mut out = Vec::new();
    let cut = match report.cut {
        Some(Cut::End) => Some("The log ends within the report: what stands in its rest is not known."),
        Some(Cut::Overtaken) => {
            Some("Another report begins within this one: its rest was lost, as when a log buffer is full.")
        }
        Some(Cut::NoBegin) => Some(
            "Only the last lines are there: the kernel holds reports back where many come (printk rate limit), or the begin was overwritten. Request, zones and tasks are not known.",
        ),
        Some(Cut::Drowned) => Some("Too many other lines came before the kill: its rest is not known."),
        Some(Cut::EventOnly) if matches!(&limit.memory, Memory::Cgroup { path, .. } if !path.is_empty()) => Some(
            "Only the probe's event is there, not the kernel's report: that it was this cgroup's limit is concluded from the snapshots, the nearest on the way up that was met; counters and the table of processes are not known.",
        ),
        Some(Cut::EventOnly) => Some(
            "Only the probe's event is there, not the kernel's report: which cgroup has the limit, zones, counters and the table of processes are not known.",
        ),
        None => None,
    };
    out.extend(cut.map(str::to_owned));
    if !report.page_size.known && !report.tasks.is_empty() {
        out.push(format!(
            "The size of a page is in no line: amounts of tasks take {} bytes for it.",
            report.page_size.bytes
        ));
    }
    if limit.is_of_cgroup() {
        out.push(
            "Limits of the cgroups above are in no report: whether one of them is nearly full as well is not known."
                .to_owned(),
        );
    }
    out.extend(usage.missing.clone());
    if !report.unread.is_empty() {
        out.push(format!(
            "{} lines between its own belong to something else, or are of an unknown form.",
            report.unread.len()
        ));
    }
    out
}
