//! OOM kills that one source tells and another does not.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, common::no_source};
use crate::{
    snapshot::{coverage::Source, oom_watch::OomCounts},
    units,
};

pub(super) const RULE: Rule = Rule {
    name: "oom_disagreement",
    about: "The kernel's counts of OOM kills, its log and the probe do not tell of the same kills.",
    check,
};

/// A source that differs from what the host counts, and what is known of why.
struct Difference {
    what: String,
    why: &'static str,
    severity: Severity,
}

fn check(window: &Window<'_>) -> Outcome {
    let Some(watch) = &window.newest().oom_watch else {
        let lacks = "OOM kills by source, which top, serve, record and oom watch count".to_owned();
        return Outcome::NoData { lacks, reason: None };
    };
    let counts = &watch.counts;
    let Some(host) = counts.vmstat else { return no_source(window, "the host's count of OOM kills", Source::VMSTAT) };
    if counts.cgroups.is_none() && counts.probe.is_none() && counts.log.is_none() {
        return no_source(window, "a second source of OOM kills", Source::KMSG);
    }
    // The sources are read one after the other: only what stands for two readings is a difference.
    let before = window.all().iter().rev().nth(1).and_then(|m| m.oom_watch.as_ref()).map(|w| &w.counts);
    let stands = |before: &OomCounts| before.settled && before.vmstat == counts.vmstat;
    if !counts.settled || !before.is_some_and(stands) {
        return Outcome::Quiet;
    }
    let differences: Vec<_> =
        [log(counts, host), probe(counts, host), cgroups(counts, host)].into_iter().flatten().collect();
    let Some(severity) = differences.iter().map(|d| d.severity).max() else { return Outcome::Quiet };
    let texts: Vec<_> = differences.iter().map(|d| d.what.as_str()).collect();
    Outcome::Fires(Finding {
        rule: RULE.name,
        severity,
        verdict: format!(
            "The kernel counts {} OOM kill{} since observer began to look, but {}",
            units::count(host as f64),
            if host == 1 { "" } else { "s" },
            texts.join(", and ")
        ),
        evidence: evidence(counts, host),
        advice: differences.iter().map(|d| d.why.to_owned()).collect(),
    })
}

fn log(counts: &OomCounts, host: u64) -> Option<Difference> {
    let log = counts.log.filter(|log| log.killed != host)?;
    let what = format!("its log tells of {}", units::count(log.killed as f64));
    Some(if log.killed < host && log.records_lost > 0 {
        Difference {
            what,
            why: "The log overflowed before it was read: a larger log_buf_len= on the kernel's command line, or less that is written to it (firewall logs), keeps the reports.",
            severity: Severity::Info,
        }
    } else {
        Difference {
            what,
            why: "No record of the log was lost. Kernels before 4.19 hold the line of a kill back with the rest of its report when many come; else look for who clears or filters the log.",
            severity: Severity::Warning,
        }
    })
}

fn probe(counts: &OomCounts, host: u64) -> Option<Difference> {
    // More are marked than killed where a victim was ending already: that is the kernel's way, and no difference.
    let probe = counts.probe.filter(|probe| probe.marked < host)?;
    Some(Difference {
        what: format!("the probe saw {}", units::count(probe.marked as f64)),
        why: "A thread that was marked once is not marked again, also if it is killed later. Beyond that the probe has missed kills: see the losses in the coverage.",
        severity: Severity::Warning,
    })
}

fn cgroups(counts: &OomCounts, host: u64) -> Option<Difference> {
    let cgroups = counts.cgroups?;
    let files = cgroups.living + cgroups.removed;
    if files > host {
        let what = format!("its cgroups count {}", units::count(files as f64));
        return Some(Difference {
            what,
            why: "No cgroup should count more than the host: compare `oom_kill` of memory.events.local or memory.oom_control with /proc/vmstat.",
            severity: Severity::Warning,
        });
    }
    // Without events, kills in cgroups that came and went, and in the root of version 2, are in no file that can be read.
    let complete = cgroups.not_read == 0 && counts.probe.is_some_and(|probe| probe.events_lost == 0);
    (complete && cgroups.total() < host).then(|| Difference {
        what: format!("its cgroups count {}", units::count(cgroups.total() as f64)),
        why: "Kills of cgroups that cannot be seen from here, as from inside of a container with a cgroup namespace, are in the host's count alone.",
        severity: Severity::Info,
    })
}

fn evidence(counts: &OomCounts, host: u64) -> Vec<Evidence> {
    let number = |n: u64| units::count(n as f64);
    let mut out = vec![Evidence::new("kills of the host", number(host), "/proc/vmstat oom_kill")];
    if let Some(log) = counts.log {
        out.push(Evidence::new("kills in the log", number(log.killed), "/dev/kmsg, lines `Killed process`"));
        out.push(Evidence::new(
            "records of the log that were lost",
            number(log.records_lost),
            "sequence numbers of /dev/kmsg",
        ));
    }
    if let Some(probe) = counts.probe {
        out.push(Evidence::new("victims that were marked", number(probe.marked), "oom:mark_victim"));
    }
    if let Some(cgroups) = counts.cgroups {
        let source = "memory.events.local oom_kill (v2), memory.oom_control oom_kill (v1)";
        out.push(Evidence::new("kills of cgroups that are there", number(cgroups.living), source));
        out.push(Evidence::new("kills of cgroups that were removed", number(cgroups.removed), source));
        out.push(Evidence::new("kills of cgroups that no file tells", number(cgroups.by_event), "oom:mark_victim"));
        out.push(Evidence::new("cgroups that were not read", number(cgroups.not_read), "folders of the hierarchy"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::oom_watch::{CgroupKills, LogKills, OomWatch, ProbeKills},
    };

    fn counts(host: u64, cgroups: u64, marked: u64, killed: u64) -> OomCounts {
        OomCounts {
            settled: true,
            vmstat: Some(host),
            cgroups: Some(CgroupKills { living: cgroups, ..CgroupKills::default() }),
            probe: Some(ProbeKills { marked, events_lost: 0 }),
            log: Some(LogKills { killed, ..LogKills::default() }),
            ..OomCounts::default()
        }
    }

    /// What is said when the counts stand for two readings.
    fn outcome(counts: OomCounts) -> Outcome {
        after(counts, counts)
    }

    fn after(before: OomCounts, now: OomCounts) -> Outcome {
        let at = |second, counts| {
            let mut snapshot = snapshot_at(second);
            snapshot.oom_watch = Some(OomWatch { counts, ..OomWatch::default() });
            snapshot
        };
        check(&Window::new(&models(&[at(1, before), at(2, before), at(3, now)])).unwrap())
    }

    #[test]
    fn agreement_is_quiet_and_so_is_a_victim_that_was_ending_already() {
        assert_eq!(outcome(counts(3, 3, 3, 3)), Outcome::Quiet);
        assert_eq!(outcome(counts(3, 3, 4, 3)), Outcome::Quiet);
        let mut gone = counts(3, 1, 3, 3);
        gone.cgroups = Some(CgroupKills { living: 1, removed: 1, by_event: 1, not_read: 0 });
        assert_eq!(outcome(gone), Outcome::Quiet);
        let unwatched = models(&[snapshot_at(1), snapshot_at(2)]);
        assert!(matches!(check(&Window::new(&unwatched).unwrap()), Outcome::NoData { .. }));
    }

    #[test]
    fn a_difference_counts_when_it_stands() {
        let now = counts(3, 3, 3, 2);
        assert_eq!(after(counts(2, 2, 2, 2), now), Outcome::Quiet, "the line may still come");
        assert_eq!(outcome(OomCounts { settled: false, ..now }), Outcome::Quiet);
        let finding = fired(outcome(now));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.verdict.ends_with("but its log tells of 2"), "{}", finding.verdict);
    }

    #[test]
    fn a_log_that_overflowed_is_an_explanation() {
        let mut overflowed = counts(500, 500, 500, 20);
        overflowed.log = Some(LogKills { killed: 20, records_lost: 9000, ..LogKills::default() });
        let finding = fired(outcome(overflowed));
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.advice[0].contains("log_buf_len"), "{finding:?}");
    }

    #[test]
    fn kills_that_the_probe_or_the_cgroups_lack_are_told() {
        assert!(fired(outcome(counts(3, 3, 2, 3))).verdict.contains("the probe saw 2"));
        assert!(fired(outcome(counts(3, 2, 3, 3))).verdict.contains("its cgroups count 2"));
        assert!(fired(outcome(counts(3, 4, 3, 3))).verdict.contains("its cgroups count 4"));
        let mut too_many = counts(3, 2, 3, 3);
        too_many.cgroups = Some(CgroupKills { living: 2, not_read: 5, ..CgroupKills::default() });
        assert_eq!(outcome(too_many), Outcome::Quiet, "those that were not read may have the rest");
    }

    #[test]
    fn one_source_is_none_to_compare() {
        let alone = OomCounts { cgroups: None, probe: None, log: None, ..counts(3, 0, 0, 0) };
        assert!(matches!(outcome(alone), Outcome::NoData { .. }));
        assert!(matches!(outcome(OomCounts { vmstat: None, ..counts(0, 3, 3, 3) }), Outcome::NoData { .. }));
    }
}
