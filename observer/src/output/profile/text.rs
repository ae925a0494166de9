//! A profile for a person: the largest stacks, who asked, and what was lost.

use crate::{
    output::text::{Column, Cut, Paint, Style, Table},
    profile::{Group, Profile, Trace, Who, groups, processes},
    units,
};

/// Stacks that are shown.
const SHOWN: usize = 10;
/// Frames that are shown of each side.
const DEPTH: usize = 24;
/// Askers that are shown of a stack.
const ASKERS: usize = 3;

const WHO: &[Column] = &[
    Column::right("pid"),
    Column::cut("task", Cut::End),
    Column::right("memory"),
    Column::right("share"),
    Column::right("samples"),
    Column::cut("cgroup", Cut::Start),
];

/// The whole.
pub fn text(profile: &Profile, style: Style) -> String {
    let mut out = String::new();
    header(&mut out, profile, style);
    let groups = groups(profile);
    let total: f64 = groups.iter().filter(|g| !g.failed).map(|g| g.bytes).sum();
    if groups.is_empty() {
        nothing(&mut out, profile, style);
    } else {
        who(&mut out, profile, total, style);
        for (number, group) in groups.iter().take(SHOWN).enumerate() {
            stack(&mut out, profile, (number + 1, group), total, style);
        }
        let more = groups.len().saturating_sub(SHOWN);
        if more > 0 {
            let line = format!("\n{more} more stacks not shown (all of them: --json, --format folded)");
            out.push_str(&format!("{}\n", style.paint(Paint::Faint, &line)));
        }
    }
    lost(&mut out, profile, style);
    unnamed(&mut out, profile, style);
    out
}

fn header(out: &mut String, profile: &Profile, style: Style) {
    let title = style.paint(Paint::Heading, "STACKS OF PAGE ALLOCATIONS");
    out.push_str(&format!("{title}, {} of sampling\n", units::seconds(profile.seconds)));
    if let Some(signal) = profile.ended_by {
        style.paragraph(out, "  ", 2, &format!("ended early by signal {signal}"));
    }
    style.paragraph(out, "  of      ", 10, &scope(profile));
    let m = &profile.matched;
    let rate = |n: f64| n / profile.seconds.max(f64::MIN_POSITIVE);
    let text = format!(
        "{} in {} requests ({}, {}), {} failed; counted exactly",
        units::bytes(m.bytes as f64),
        m.allocations,
        units::bytes_per_second(rate(m.bytes as f64)),
        units::per_second(rate(m.allocations as f64)),
        m.failures,
    );
    style.paragraph(out, "  asked   ", 10, &text);
    let text = if profile.every <= 1 {
        "every request".to_owned()
    } else {
        format!(
            "{} requests, 1 in {} at random; what is said of stacks is an estimate: a sample stands for {} requests",
            m.samples, profile.every, profile.every
        )
    };
    style.paragraph(out, "  sampled ", 10, &text);
}

fn scope(profile: &Profile) -> String {
    let scope = &profile.scope;
    let pids: Vec<String> = scope.pids.iter().map(ToString::to_string).collect();
    let mut parts = Vec::new();
    parts.push(match pids.as_slice() {
        [] => "every process".to_owned(),
        [pid] => format!("process {pid}"),
        pids => format!("processes {}", pids.join(", ")),
    });
    if let Some(cgroup) = &scope.cgroup {
        parts.push(format!("in the cgroup {cgroup} and those below it"));
    }
    match (scope.min_order, scope.max_order) {
        (0, None) => {}
        (min, None) => parts.push(format!("requests of order {min} and larger")),
        (min, Some(max)) if min == max => parts.push(format!("requests of order {min}")),
        (min, Some(max)) => parts.push(format!("requests of order {min} to {max}")),
    }
    parts.join(", ")
}

fn nothing(out: &mut String, profile: &Profile, style: Style) {
    let matched = profile.matched.allocations + profile.matched.failures;
    let text = if matched == 0 {
        "Nothing matched: nobody of those asked the kernel for pages in this time.".to_owned()
    } else {
        format!("None of {matched} requests was sampled: sample more often (--every 1) or longer (--for).")
    };
    out.push('\n');
    style.paragraph(out, "  ", 2, &text);
}

fn share(bytes: f64, total: f64) -> String {
    if total > 0.0 { units::percent(bytes / total) } else { units::UNKNOWN.to_owned() }
}

fn who(out: &mut String, profile: &Profile, total: f64, style: Style) {
    let all = processes(profile);
    if all.is_empty() {
        return;
    }
    out.push_str(&format!("\n  {}\n", style.paint(Paint::Heading, "Who asks")));
    let mut table = Table::new(WHO);
    for w in all.iter().take(SHOWN) {
        table.row([
            w.pid.to_string(),
            w.comm.to_string(),
            units::bytes_per_second(w.bytes / profile.seconds.max(f64::MIN_POSITIVE)),
            share(w.bytes, total),
            w.samples.to_string(),
            w.cgroup.as_ref().map_or_else(|| units::UNKNOWN.to_owned(), ToString::to_string),
        ]);
    }
    table.render(out, style, 2);
    let more = all.len().saturating_sub(SHOWN);
    if more > 0 {
        out.push_str(&format!("{}\n", style.paint(Paint::Faint, &format!("  {more} more not shown"))));
    }
}

fn stack(out: &mut String, profile: &Profile, (number, group): (usize, &Group<'_>), total: f64, style: Style) {
    let what = if group.failed {
        style.paint(Paint::Critical, &format!("FAILED, {} asked for in vain", units::bytes(group.bytes)))
    } else {
        let rate = group.bytes / profile.seconds.max(f64::MIN_POSITIVE);
        let text = format!(
            "{}  {} (~{})",
            share(group.bytes, total),
            units::bytes_per_second(rate),
            units::bytes(group.bytes)
        );
        style.paint(Paint::Heading, &text)
    };
    let samples = if group.samples == 1 { "1 sample".to_owned() } else { format!("{} samples", group.samples) };
    out.push_str(&format!("\n{:>3}. {what}, order {}, {samples}\n", number, group.order));
    let name = |w: &Who| format!("{} ({})", w.comm, w.pid);
    let mut names: Vec<String> = group.who.iter().take(ASKERS).map(name).collect();
    let more = group.who.len().saturating_sub(ASKERS);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    style.paragraph(out, "     by ", 8, &names.join(", "));
    side(out, profile, group.kernel, "kernel", style);
    side(out, profile, group.user, "user", style);
}

fn side(out: &mut String, profile: &Profile, trace: &Trace, label: &str, style: Style) {
    let mut label = style.paint(Paint::Faint, &format!("{label:<6}"));
    let mut line = |text: &str| {
        out.push_str(&format!("     {label}  {text}\n"));
        label = " ".repeat(6);
    };
    if let Some(why) = trace.absent {
        line(&format!("[{why}]"));
    }
    for frame in trace.frames.iter().take(DEPTH) {
        line(&super::place(profile, *frame));
    }
    let more = trace.frames.len().saturating_sub(DEPTH);
    if more > 0 {
        line(&format!("[{more} callers more]"));
    }
    if trace.cut {
        line("[callers beyond the kernel's depth]");
    }
}

fn lost(out: &mut String, profile: &Profile, style: Style) {
    out.push_str(&format!("\n{}\n", style.paint(Paint::Heading, "LOST")));
    let each: Vec<_> = profile.lost.each().into_iter().filter(|(n, _)| *n > 0).collect();
    if each.is_empty() {
        out.push_str("  nothing\n");
    }
    for (n, what) in each {
        style.paragraph(out, "  - ", 4, &format!("{n} {what}"));
    }
    if profile.lost.recursion_misses.is_none() {
        style.paragraph(out, "  - ", 4, "not known how many requests were missed: this kernel does not count them");
    }
}

/// Why names are missing, and what mends it.
fn unnamed(out: &mut String, profile: &Profile, style: Style) {
    let mut unnamed: Vec<_> = profile.frames.iter().filter(|f| f.build_id.is_some()).collect();
    if profile.notes.is_empty() && unnamed.is_empty() {
        return;
    }
    out.push_str(&format!("\n{}\n", style.paint(Paint::Heading, "NOT NAMED")));
    for note in &profile.notes {
        style.paragraph(out, "  - ", 4, note.as_str());
    }
    unnamed.sort_by(|a, b| a.module.cmp(&b.module));
    unnamed.dedup_by(|a, b| a.module == b.module);
    for frame in unnamed.iter().take(SHOWN) {
        if let (Some(module), Some(build_id)) = (&frame.module, &frame.build_id) {
            let text = format!("{module} has no symbol for some addresses: install its symbols (build id {build_id})");
            style.paragraph(out, "  - ", 4, &text);
        }
    }
}
