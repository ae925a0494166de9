//! What text and Markdown show alike: each part as a title and rows of cells.

use crate::{
    diagnose::oom::{Explanation, ZoneVerdict},
    snapshot::oom_report::OomReport,
    units,
};

/// A part: a title, the heads of its columns, and rows.
pub(super) struct Part {
    pub(super) title: &'static str,
    /// Columns; those of numbers are right-aligned.
    pub(super) columns: &'static [(&'static str, bool)],
    pub(super) rows: Vec<Vec<String>>,
}

fn bytes(n: u64) -> String {
    units::bytes(n as f64)
}

/// All parts that have rows.
pub(super) fn parts(explanation: &Explanation, report: &OomReport) -> Vec<Part> {
    let all = [
        request(explanation, report),
        zones(explanation),
        kinds(explanation),
        processes(explanation),
        led_up(explanation),
        victim(explanation),
        spared(explanation),
        slabs(report),
    ];
    all.into_iter().filter(|p| !p.rows.is_empty()).collect()
}

fn request(explanation: &Explanation, report: &OomReport) -> Part {
    let mut rows = Vec::new();
    if let Some(asked) = &explanation.asked {
        let names: Vec<_> = asked.gfp.iter().map(|n| n.as_str()).collect();
        let order = asked.order.map_or("?".to_owned(), |o| o.to_string());
        rows.push(vec!["order".to_owned(), format!("{order} ({})", asked.bytes.map_or("?".to_owned(), bytes))]);
        let bits = || report.request.as_ref().and_then(|r| r.gfp.as_ref()).map(|g| g.bits);
        let gfp = match (names.is_empty(), bits()) {
            (false, _) => names.join(" | "),
            (true, Some(bits)) => format!("{bits:#x}, whose names are not told"),
            (true, None) => "not told".to_owned(),
        };
        rows.push(vec!["gfp flags".to_owned(), gfp]);
        rows.extend(asked.means.iter().map(|m| vec![String::new(), (*m).to_owned()]));
        rows.push(vec!["doing".to_owned(), asked.context.words().to_owned()]);
    }
    Part { title: "Request", columns: &[("", false), ("", false)], rows }
}

fn zones(explanation: &Explanation) -> Part {
    let row = |z: &crate::diagnose::oom::ZoneCheck| {
        let verdict = match z.verdict {
            ZoneVerdict::BelowMin => "too little",
            ZoneVerdict::NoBlock => "no block",
            ZoneVerdict::WouldDo => "would do now",
            ZoneVerdict::Unknown => "unknown",
        };
        vec![z.node.to_string(), z.zone.to_string(), verdict.to_owned(), z.arithmetic.clone()]
    };
    let rows = explanation.zones.iter().map(row).collect();
    let columns = &[("node", true), ("zone", false), ("", false), ("the kernel's check", false)];
    Part { title: "Zones that the request could use", columns, rows }
}

fn kinds(explanation: &Explanation) -> Part {
    let usage = &explanation.usage;
    let total = usage.total.unwrap_or(0).max(1) as f64;
    let share = |n: f64| if usage.total.is_some() { units::percent(n / total) } else { "?".to_owned() };
    let mut rows: Vec<_> = usage
        .kinds
        .iter()
        .map(|k| vec![bytes(k.bytes), share(k.bytes as f64), k.what.words().to_owned(), k.source.to_owned()])
        .collect();
    if let Some(rest) = usage.unaccounted.filter(|n| *n != 0) {
        let sign = if rest < 0 { "-" } else { "" };
        let amount = format!("{sign}{}", bytes(rest.unsigned_abs()));
        let what = if rest < 0 { "counted twice" } else { "in no counter" };
        rows.push(vec![amount, share(rest as f64), what.to_owned(), "all - the above".to_owned()]);
    }
    Part {
        title: "What the memory was",
        columns: &[("bytes", true), ("share", true), ("what", false), ("lines", false)],
        rows,
    }
}

fn processes(explanation: &Explanation) -> Part {
    let row = |p: &crate::diagnose::oom::ProcessUse| {
        vec![
            bytes(p.rss),
            bytes(p.swap),
            bytes(p.page_tables),
            p.count.to_string(),
            p.pid.to_string(),
            p.comm.to_string(),
        ]
    };
    let rows = explanation.usage.processes.iter().map(row).collect();
    let columns = &[
        ("in RAM", true),
        ("in swap", true),
        ("page tables", true),
        ("processes", true),
        ("largest pid", true),
        ("name", false),
    ];
    Part { title: "Who held it", columns, rows }
}

fn led_up(explanation: &Explanation) -> Part {
    let sentences = explanation.led_up.iter().flat_map(|l| &l.sentences);
    let mut rows: Vec<_> = sentences.map(|s| vec![format!("{} [{}]", s.text, s.source)]).collect();
    if let Some((seconds, snapshots)) = explanation.led_up.as_ref().and_then(|l| Some((l.seconds?, l.snapshots))) {
        let (many, s) = if snapshots == 1 { ("snapshot", "s") } else { ("snapshots", "") };
        let covered = format!("{snapshots} {many} cover{s} the {} before it.", units::seconds(seconds));
        rows.insert(0, vec![covered]);
    }
    Part { title: "What led up to it", columns: &[("", false)], rows }
}

fn victim(explanation: &Explanation) -> Part {
    let candidates = explanation.victim.iter().flat_map(|v| &v.candidates);
    let row = |c: &crate::diagnose::oom::Candidate| {
        let signed = |n: i64| format!("{}{}", if n < 0 { "-" } else { "" }, bytes(n.unsigned_abs()));
        vec![
            signed(c.score),
            bytes(c.rss.saturating_add(c.swap).saturating_add(c.page_tables)),
            signed(c.adjustment),
            c.oom_score_adj.to_string(),
            c.pid.to_string(),
            c.comm.to_string(),
        ]
    };
    let columns = &[
        ("score", true),
        ("its memory", true),
        ("adjustment", true),
        ("oom_score_adj", true),
        ("pid", true),
        ("name", false),
    ];
    Part { title: "Highest scores", columns, rows: candidates.map(row).collect() }
}

fn spared(explanation: &Explanation) -> Part {
    let rows = explanation.victim.iter().flat_map(|v| &v.spared);
    let rows = rows.map(|s| vec![bytes(s.bytes), s.pid.to_string(), s.comm.to_string(), s.why.clone()]).collect();
    let columns = &[("its memory", true), ("pid", true), ("name", false), ("why", false)];
    Part { title: "Left alone although larger", columns, rows }
}

fn slabs(report: &OomReport) -> Part {
    let mut slabs: Vec<_> = report.slabs.iter().collect();
    slabs.sort_by_key(|s| std::cmp::Reverse(s.total));
    let rows = slabs.into_iter().take(10).map(|s| vec![bytes(s.total), bytes(s.used), s.name.to_string()]).collect();
    Part { title: "Slab that nothing can take", columns: &[("bytes", true), ("in use", true), ("cache", false)], rows }
}
