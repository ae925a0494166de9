//! OOM kills: who asked, who was killed, and what reclaim had tried.

use super::{Page, Section, bytes, name, plural};
use crate::{
    output::oom::{
        kills::Kills,
        known::{Known, no_report},
    },
    snapshot::{
        oom::{OomReclaim, OomTask},
        reclaim::ReclaimKind,
    },
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.title(out, "OOM KILLS");
    let since_boot = page.model.memory.vm.oom_kills;
    let Some(oom) = &page.model.oom else {
        page.not_seen(out, "kills", "oom");
        let counted = since_boot.map_or_else(|| units::UNKNOWN.to_owned(), |n| plural(n, "kill"));
        page.fact(out, "counted", &format!("{counted} in the interval, by /proc/vmstat oom_kill"));
        by_source(out, page);
        told(out, page);
        return;
    };
    let in_interval = oom.kills_in_interval.map_or_else(|| units::UNKNOWN.to_owned(), |n| n.to_string());
    let text = format!("{} since the probes were attached, {in_interval} in the interval", plural(oom.kills, "kill"));
    out.push_str(&format!("  {text}\n"));
    by_source(out, page);
    if oom.events_lost > 0 {
        let text = format!("the details of {} were lost: the ring buffer was full", plural(oom.events_lost, "kill"));
        out.push_str(&format!("  {text}\n"));
    }
    told(out, page);
}

/// Each kill that an event or the kernel's log tells.
fn told(out: &mut String, page: &Page<'_>) {
    let mut kills = Kills::default();
    kills.add(std::slice::from_ref(page.model));
    kills.newest_first().take(page.rows()).for_each(|k| kill(out, page, k));
    page.left_out(out, kills.newest_first().count(), Section::Oom);
}

/// Kills as each source counts them.
fn by_source(out: &mut String, page: &Page<'_>) {
    let Some(counts) = page.model.oom_watch.as_ref().map(|w| &w.counts) else { return };
    let number = |n: Option<u64>| n.map_or_else(|| units::UNKNOWN.to_owned(), |n| n.to_string());
    let mut text = format!(
        "{} by /proc/vmstat, {} by the files of cgroups, {} by the probe, {} by the kernel's log",
        number(counts.vmstat),
        number(counts.cgroups.map(|c| c.total())),
        number(counts.probe.map(|p| p.marked)),
        number(counts.log.map(|l| l.killed)),
    );
    if let Some(exiting) = counts.log.map(|l| l.already_exiting).filter(|n| *n > 0) {
        text += &format!("; {} ended already when it was chosen", plural(exiting, "process"));
    }
    page.fact(out, "by source", &text);
}

fn kill(out: &mut String, page: &Page<'_>, kill: &Known) {
    let age = page.model.stamp.monotonic_ns.saturating_sub(kill.key.monotonic_ns) as f64 / 1e9;
    let ago = units::seconds(age);
    out.push('\n');
    page.subtitle(
        out,
        &match &kill.event {
            Some(event) => format!("Kill {}, {ago} ago", event.sequence),
            None => format!("A kill that only the kernel's log tells, {ago} ago"),
        },
    );
    page.fact(out, "victim", &task(&kill.victim()));
    page.fact(out, "trigger", &kill.trigger().map_or_else(|| units::UNKNOWN.to_owned(), |t| task(&t)));
    if let Some(event) = &kill.event {
        let text = event.last_reclaim.as_ref().map_or_else(|| "none seen of the trigger".to_owned(), reclaim);
        page.fact(out, "reclaim", &text);
    }
    if page.detailed {
        kill.account().explanation.summary.iter().for_each(|sentence| page.fact(out, "why", sentence));
    } else if let Some(limit) = kill.limit() {
        page.fact(out, "limit", &limit.sentence());
    }
    if !kill.reported {
        let text = format!("not known: {}; `observer oom explain --kmsg` reads it", no_report(page.model));
        page.fact(out, "report", &text);
    }
}

fn task(task: &OomTask) -> String {
    let pid = task.pid.map_or_else(|| units::UNKNOWN.to_owned(), |p| p.to_string());
    let comm = name(task.comm.as_ref());
    format!("{comm} (pid {pid}, tid {}), cgroup {}", task.tid, name(task.cgroup_path.as_ref()))
}

fn reclaim(reclaim: &OomReclaim) -> String {
    let whose = match reclaim.kind {
        ReclaimKind::Direct => "the host ran low",
        ReclaimKind::Memcg => "the cgroup met its limit",
    };
    let done = match reclaim.duration_ns {
        Some(ns) => format!("took {} and got {}", units::seconds(ns as f64 / 1e9), bytes(reclaim.reclaimed_bytes)),
        None => "had not ended".to_owned(),
    };
    format!(
        "{whose}: begun {} before the kill, {done}; order {}, gfp {:#x}",
        units::seconds(reclaim.begun_before_ns as f64 / 1e9),
        reclaim.order,
        reclaim.gfp
    )
}
