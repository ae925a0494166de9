//! What the rules say, so that an alert need not repeat them.

use super::{
    View,
    family::{Kind, Metric},
};
use crate::diagnose::{RULES, Severity};

const SOURCE: &str = "the rules of observer, over the last minute";

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_finding",
        kind: Kind::Gauge,
        unit: None,
        labels: &["rule", "severity"],
        help: "1 while the rule fires with this severity, 0 while it does not; absent while it cannot tell",
        source: SOURCE,
        read: |view, out| {
            for rule in RULES.iter().filter(|r| !undecided(view, r.name)) {
                for (severity, word) in SEVERITIES {
                    let fires = view.diagnosis.findings.iter().any(|f| f.rule == rule.name && f.severity == *severity);
                    out.push(&[rule.name, word], fires);
                }
            }
        },
    },
    Metric {
        name: "observer_finding_undecided",
        kind: Kind::Gauge,
        unit: None,
        labels: &["rule"],
        help: "1 while the rule lacks the data to tell; the page at / says which",
        source: SOURCE,
        read: |view, out| RULES.iter().for_each(|r| out.push(&[r.name], undecided(view, r.name))),
    },
];

const SEVERITIES: &[(Severity, &str)] =
    &[(Severity::Info, "info"), (Severity::Warning, "warning"), (Severity::Critical, "critical")];

fn undecided(view: &View<'_>, rule: &str) -> bool {
    view.diagnosis.undecided.iter().any(|u| u.rule == rule)
}
