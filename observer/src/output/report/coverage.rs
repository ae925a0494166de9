//! What was not seen, why, what mends it, and what was lost.

use super::{Page, plural};
use crate::{
    output::text::Paint,
    snapshot::{
        Name,
        coverage::{Probe, ProbeState},
    },
};

/// Probes that are missing for one reason.
struct Missing<'a> {
    probes: Vec<&'a Probe>,
    reason: &'a Name,
    remedy: Option<&'a str>,
}

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.title(out, "COVERAGE");
    let coverage = &page.model.coverage;
    let attached = coverage.probes.iter().filter(|p| !matches!(p.state, ProbeState::Absent { .. })).count();
    let read = coverage.sources.iter().filter(|s| s.missing.is_none()).count();
    let full = coverage.is_full();
    let text = format!(
        "{attached} of {} at work, {read} of {} read",
        plural(coverage.probes.len() as u64, "probe"),
        plural(coverage.sources.len() as u64, "source")
    );
    let paint = if full { Paint::Good } else { Paint::Warning };
    out.push_str(&format!("  {}\n", page.style.paint(paint, &text)));

    for missing in group(&coverage.probes) {
        let names: Vec<&str> = missing.probes.iter().map(|p| p.name.as_str()).collect();
        let all = names.len() > 1 && names.len() == coverage.probes.len();
        let names = if all { "probe at all".to_owned() } else { names.join(", ") };
        page.style.paragraph(out, "  - ", 4, &format!("no {names}: {}", missing.reason));
        let mut replaced: Vec<&str> = missing.probes.iter().filter_map(|p| replaced_by(p)).collect();
        replaced.dedup();
        if !replaced.is_empty() {
            page.style.paragraph(out, "    part of it: ", 6, &replaced.join("; "));
        }
        if let Some(remedy) = missing.remedy {
            page.style.paragraph(out, "    to mend it: ", 6, remedy);
        }
    }
    for probe in &coverage.probes {
        if let ProbeState::Fallback { with, reason } = &probe.state {
            page.style.paragraph(out, "  - ", 4, &format!("{} runs as {with}: {reason}", probe.name));
        }
        if !probe.fields_missing.is_empty() {
            let fields = probe.fields_missing.join(", ");
            page.style.paragraph(out, "  - ", 4, &format!("{} lacks {fields}", probe.name));
        }
    }
    for source in &coverage.sources {
        if let Some(reason) = &source.missing {
            let told = reason.as_str().contains(&source.name);
            let text = if told { reason.to_string() } else { format!("no {}: {reason}", source.name) };
            page.style.paragraph(out, "  - ", 4, &text);
        }
    }
    losses(out, page);
}

fn losses(out: &mut String, page: &Page<'_>) {
    let losses = &page.model.coverage.losses;
    let lost: Vec<_> = losses.iter().filter(|l| l.count > 0).collect();
    if lost.is_empty() && !losses.is_empty() {
        out.push_str(&format!("  nothing lost ({} counters)\n", losses.len()));
    }
    for loss in lost {
        let first = format!("  - {} ", page.style.paint(Paint::Warning, "lost"));
        let text = format!("{}: {} since the probes were attached", loss.what, loss.count);
        page.style.paragraph(out, &first, 4, &text);
    }
}

fn replaced_by(probe: &Probe) -> Option<&str> {
    match &probe.state {
        ProbeState::Absent { replaced_by, .. } => replaced_by.as_deref(),
        _ => None,
    }
}

/// Absent probes by reason, in the order of the coverage.
fn group(probes: &[Probe]) -> Vec<Missing<'_>> {
    let mut groups: Vec<Missing<'_>> = Vec::new();
    for probe in probes {
        let ProbeState::Absent { reason, remedy, .. } = &probe.state else { continue };
        match groups.iter_mut().find(|g| g.reason == reason) {
            Some(group) => group.probes.push(probe),
            None => groups.push(Missing { probes: vec![probe], reason, remedy: remedy.as_deref() }),
        }
    }
    groups
}
