//! The table, the JSON document, and what is asked of the probe.

use crate::stats::{self, Cost, Sample};
use crate::variant::Variant;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fmt::Write;

/// The probe adds at most this many times what an empty program adds.
const OF_EMPTY: f64 = 1.6;
/// The probe adds at most this share of what bpftrace adds.
const OF_BPFTRACE: f64 = 1.0 / 3.0;

/// What was measured.
pub(crate) struct Report {
    /// Name, key and figures of each variant.
    rows: Vec<(&'static str, &'static str, Cost)>,
}

impl Report {
    pub(crate) fn new(variants: &[Variant], samples: &[Vec<Sample>]) -> Result<Self> {
        let row = |(variant, samples): (&Variant, &Vec<Sample>)| {
            let cost = stats::cost(samples)
                .with_context(|| format!("{}: every round drifted; is the machine busy?", variant.name()))?;
            Ok((variant.name(), variant.key(), cost))
        };
        Ok(Self { rows: variants.iter().zip(samples).map(row).collect::<Result<_>>()? })
    }

    /// What a variant adds, by key, in nanoseconds a page.
    fn added(&self, key: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.1 == key).map(|row| row.2.added.median)
    }

    /// What the probe adds as a share of what another adds; None where that was not measured.
    fn share(&self, of: &str) -> Option<f64> {
        Some(self.added("observer")? / self.added(of)?)
    }

    /// What is asked of the probe: of what, at most, measured.
    fn targets(&self) -> Vec<(&'static str, f64, Option<f64>)> {
        vec![("empty", OF_EMPTY, self.share("empty")), ("bpftrace", OF_BPFTRACE, self.share("bpftrace"))]
    }

    /// What the probe was measured to miss.
    pub(crate) fn missed(&self) -> Vec<&'static str> {
        let missed = self.targets().into_iter().filter(|(_, most, share)| share.is_some_and(|share| share > *most));
        missed.map(|(of, ..)| of).collect()
    }

    pub(crate) fn table(&self) -> String {
        let mut text =
            String::from("added nanoseconds a page fault      median  quartiles        x empty  rounds  drifted\n");
        for (name, _, cost) in &self.rows {
            let times =
                self.added("empty").map(|empty| format!("{:.2}", cost.added.median / empty)).unwrap_or_default();
            let quartiles = format!("{:.1} to {:.1}", cost.added.low, cost.added.high);
            let _ = writeln!(
                text,
                "{name:<34} {:>7.1}  {quartiles:<15} {times:>8} {:>7} {:>8}",
                cost.added.median, cost.rounds, cost.drifted
            );
        }
        if let Some((.., cost)) = self.rows.first() {
            let _ = writeln!(text, "with nothing attached: {:.0} ns a page", cost.baseline.median);
        }
        for (of, most, share) in self.targets() {
            let verdict = match share {
                None => "not measured".to_owned(),
                Some(share) if share > most => format!("{share:.2}, MISSED"),
                Some(share) => format!("{share:.2}, met"),
            };
            let _ = writeln!(text, "observer over {of}, at most {most:.2}: {verdict}");
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let variants: serde_json::Map<String, Value> = self
            .rows
            .iter()
            .map(|(_, key, cost)| {
                let added = json!({ "low": cost.added.low, "median": cost.added.median, "high": cost.added.high });
                let value = json!({
                    "added_seconds_a_page": scaled(&added),
                    "baseline_seconds_a_page": cost.baseline.median / 1e9,
                    "rounds": cost.rounds,
                    "drifted": cost.drifted,
                });
                ((*key).to_owned(), value)
            })
            .collect();
        let targets: Vec<Value> = self
            .targets()
            .into_iter()
            .map(|(of, most, share)| json!({ "of": of, "at_most": most, "measured": share }))
            .collect();
        json!({ "variants": variants, "observer_over": targets })
    }
}

/// Nanoseconds to seconds.
fn scaled(quartiles: &Value) -> Value {
    let seconds = |key: &str| quartiles.get(key).and_then(Value::as_f64).map(|ns| ns / 1e9);
    json!({ "low": seconds("low"), "median": seconds("median"), "high": seconds("high") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(empty: f64, observer: f64, bpftrace: Option<f64>) -> Report {
        let row = |name, added: f64| {
            let sample = Sample { before: 300.0, with: 300.0 + added, after: 300.0 };
            (name, name, stats::cost(&[sample]).unwrap())
        };
        let mut rows = vec![row("empty", empty), row("observer", observer)];
        rows.extend(bpftrace.map(|added| row("bpftrace", added)));
        Report { rows }
    }

    #[test]
    fn targets_are_met_missed_or_not_measured() {
        assert!(report(12.0, 19.0, Some(60.0)).missed().is_empty());
        assert_eq!(report(12.0, 20.0, Some(40.0)).missed(), ["empty", "bpftrace"]);
        let without = report(12.0, 18.0, None);
        assert!(without.missed().is_empty() && without.table().contains("0.33: not measured"), "{}", without.table());
    }

    #[test]
    fn the_document_has_seconds() {
        let json = report(12.0, 18.0, Some(60.0)).json();
        assert_eq!(json["variants"]["observer"]["added_seconds_a_page"]["median"], 18.0 / 1e9);
        assert_eq!(json["observer_over"][0]["measured"], 1.5);
    }
}
