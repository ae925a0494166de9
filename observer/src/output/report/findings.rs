//! What is wrong: each verdict with its evidence and advice.

use super::Page;
use crate::{
    diagnose::{Diagnosis, Finding, Severity, Undecided},
    output::text::Paint,
};

pub(super) fn write(out: &mut String, page: &Page<'_>, diagnosis: &Diagnosis) {
    page.title(out, "FINDINGS");
    if diagnosis.findings.is_empty() {
        let decided = diagnosis.undecided.is_empty();
        let text = if decided { "Nothing found wrong." } else { "Nothing found wrong by the rules that could tell." };
        out.push_str(&format!("  {}\n", page.style.paint(Paint::Good, text)));
    }
    diagnosis.findings.iter().for_each(|f| finding(out, page, f));
    let same = |a: &Undecided, b: &Undecided| a.lacks == b.lacks && a.reason == b.reason;
    diagnosis.undecided.chunk_by(same).for_each(|alike| undecided(out, page, alike));
    if let Some(sentence) = diagnosis.configured.sentence() {
        page.style.paragraph(out, "  ", 4, &sentence);
    }
}

fn finding(out: &mut String, page: &Page<'_>, finding: &Finding) {
    let (word, paint) = match finding.severity {
        Severity::Info => ("INFO", Paint::Heading),
        Severity::Warning => ("WARNING", Paint::Warning),
        Severity::Critical => ("CRITICAL", Paint::Critical),
    };
    let first = format!("  {} ", page.style.paint(paint, word));
    page.style.paragraph(out, &first, 4, &format!("{} [{}]", finding.verdict, finding.rule));
    for evidence in &finding.evidence {
        let text = format!("{}: {} ({})", evidence.what, evidence.value, evidence.source);
        page.style.paragraph(out, "    - ", 6, &text);
    }
    finding.advice.iter().for_each(|advice| page.style.paragraph(out, "    -> ", 7, advice));
}

/// Rules that lack the same for the same reason.
fn undecided(out: &mut String, page: &Page<'_>, alike: &[Undecided]) {
    let Some(first) = alike.first() else { return };
    let rules: Vec<_> = alike.iter().map(|u| u.rule).collect();
    let lacks = if alike.len() == 1 { "it lacks" } else { "they lack" };
    let reason = first.reason.as_ref().map_or(String::new(), |r| format!(": {r}"));
    let text = format!("{} cannot tell, {lacks} {}{reason}", rules.join(", "), first.lacks);
    page.style.paragraph(out, "  ? ", 4, &text);
}
