//! A kill in short, as it happens.

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    diagnose::oom::{Explanation, explain},
    output::text::{Paint, Style},
    snapshot::{
        Stamp,
        oom::{OomKill, OomTask},
        oom_record::{Missing, Reported, Told},
        oom_report::OomReport,
    },
    units,
};

/// A kill: one line of `oom watch --json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    version: u32,
    /// When all was known, in nanoseconds since the Unix epoch.
    told_realtime_ns: u64,
    /// The event of the probe.
    event: Option<&'a OomKill>,
    explanation: Option<&'a Explanation>,
    report: Option<&'a OomReport>,
    /// Why there is no report.
    missing: Option<&'a Missing>,
    /// Kills that are known by their count alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_counted: Option<u64>,
}

/// A line of JSON, without its end.
pub fn watched_json(told: &Told, now: &Stamp) -> serde_json::Result<String> {
    let report = told.report.get();
    let explanation = report.map(explain);
    serde_json::to_string(&Document {
        version: super::VERSION,
        told_realtime_ns: now.realtime_ns,
        event: told.event.as_ref(),
        explanation: explanation.as_ref(),
        report,
        missing: if let Reported::Missing(missing) = &told.report { Some(missing) } else { None },
        only_counted: None,
    })
}

/// Kills of which nothing but the count is known, with the end of the line.
pub fn only_counted(kills: u64, now: &Stamp, json: bool) -> serde_json::Result<String> {
    if !json {
        return Ok(format!(
            "{}  {kills} processes were killed for memory (/proc/vmstat oom_kill); neither the probe nor the kernel's log can be read\n",
            clock(now)
        ));
    }
    let document = Document {
        version: super::VERSION,
        told_realtime_ns: now.realtime_ns,
        event: None,
        explanation: None,
        report: None,
        missing: None,
        only_counted: Some(kills),
    };
    Ok(serde_json::to_string(&document)? + "\n")
}

/// A kill in a few lines.
pub fn watched(told: &Told, now: &Stamp, style: Style) -> String {
    let mut out = String::new();
    let mut heading = |text: &str| style.paragraph(&mut out, "", 0, &style.paint(Paint::Heading, text));
    let mut sentences = Vec::new();
    match (told.report.get(), &told.event) {
        (Some(report), event) => {
            let explanation = explain(report);
            heading(&format!("{}  {}", clock(now), explanation.headline));
            sentences.extend(explanation.summary);
            sentences.extend(event.as_ref().and_then(reclaimed));
            sentences.extend(explanation.advice.first().map(|a| a.text.clone()));
        }
        (None, Some(event)) => {
            heading(&format!("{}  The kernel killed {}", clock(now), task(&event.victim)));
            sentences.push(format!("{} asked for the memory.", task(&event.trigger)));
            sentences.extend(reclaimed(event));
            sentences.push(why_missing(&told.report));
        }
        (None, None) => {}
    }
    sentences.dedup();
    sentences.iter().for_each(|sentence| style.paragraph(&mut out, "  - ", 4, sentence));
    out
}

fn clock(now: &Stamp) -> String {
    let time = i64::try_from(now.realtime_ns).ok().and_then(|ns| Timestamp::from_nanosecond(ns.into()).ok());
    time.map_or_else(String::new, |t| t.to_zoned(TimeZone::system()).strftime("%F %T").to_string())
}

fn task(task: &OomTask) -> String {
    let comm = task.comm.as_ref().map_or("a process", |c| c.as_str());
    let pid = task.pid.unwrap_or(task.tid);
    match &task.cgroup_path {
        Some(path) => format!("{comm} (pid {pid}, cgroup {path})"),
        None => format!("{comm} (pid {pid})"),
    }
}

/// What the probe has seen of the trigger's last attempt.
fn reclaimed(event: &OomKill) -> Option<String> {
    let last = event.last_reclaim.as_ref()?;
    let (took, freed) = last.duration_ns.zip(last.reclaimed_bytes)?;
    Some(format!(
        "Its last attempt to reclaim took {} and freed {}.",
        units::seconds(took as f64 / 1e9),
        units::bytes(freed as f64)
    ))
}

fn why_missing(report: &Reported) -> String {
    match report {
        Reported::Missing(Missing::NoLog(reason)) => {
            format!("Why is not known: the kernel's report cannot be read ({reason}).")
        }
        Reported::Missing(Missing::NotInTime { awaited_seconds, records_lost: 0 }) => format!(
            "The kernel wrote no report within {awaited_seconds} s: of a victim that was ending already it writes none."
        ),
        Reported::Missing(Missing::NotInTime { records_lost, .. }) => {
            format!(
                "The kernel's report was lost: {records_lost} records of its log were overwritten before they were read."
            )
        }
        Reported::Awaited | Reported::Whole(_) => "The kernel's report has not come yet.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Name, oom::OomReclaim, oom_report::Kill, reclaim::ReclaimKind};

    fn event() -> OomKill {
        let task = |comm: &[u8], pid| OomTask {
            comm: Some(Name::from_bytes(comm)),
            pid: Some(pid),
            cgroup_path: Some("/a".into()),
            ..OomTask::default()
        };
        let last_reclaim = Some(OomReclaim {
            kind: ReclaimKind::Memcg,
            order: 0,
            gfp: 0,
            begun_before_ns: 2_000_000,
            duration_ns: Some(1_000_000),
            reclaimed_bytes: Some(8192),
        });
        OomKill { trigger: task(b"asker", 1), victim: task(b"hog\x1b[2J", 2), last_reclaim, ..OomKill::default() }
    }

    #[test]
    fn a_kill_without_a_report_says_what_is_known_and_why_not_more() {
        let report = Reported::Missing(Missing::NotInTime { awaited_seconds: 15, records_lost: 0 });
        let text = watched(&Told { event: Some(event()), report }, &Stamp::default(), Style::default());
        assert!(text.contains("The kernel killed hog\\x1b[2J (pid 2, cgroup /a)\n"), "{text}");
        assert!(text.contains("asker (pid 1, cgroup /a) asked for the memory."), "{text}");
        assert!(text.contains("took 1 ms and freed 8 KiB") && text.contains("ending already"), "{text}");
    }

    #[test]
    fn a_kill_with_a_report_is_explained_and_a_line_of_json_is_one_line() {
        let kills = vec![Kill { pid: 2, comm: "hog".into(), ..Kill::default() }];
        let report = Reported::Whole(Box::new(OomReport { kills, ..OomReport::default() }));
        let told = Told { event: Some(event()), report };
        let text = watched(&told, &Stamp::default(), Style::default());
        assert!(text.contains("The kernel killed hog (pid 2)"), "{text}");
        let json = watched_json(&told, &Stamp::default()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(!json.contains('\n') && value["explanation"]["headline"].is_string(), "{json}");
        assert_eq!(value["event"]["victim"]["pid"], 2);
    }
}
