//! OOM kills: who asked, who was killed, and what reclaim had tried.

use super::{Page, Section, bytes, name, plural};
use crate::{
    model::oom::Kill,
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
        return;
    };
    let in_interval = oom.kills_in_interval.map_or_else(|| units::UNKNOWN.to_owned(), |n| n.to_string());
    let text = format!("{} since the probes were attached, {in_interval} in the interval", plural(oom.kills, "kill"));
    out.push_str(&format!("  {text}\n"));
    if oom.events_lost > 0 {
        let text = format!("the details of {} were lost: the ring buffer was full", plural(oom.events_lost, "kill"));
        out.push_str(&format!("  {text}\n"));
    }
    oom.recent.iter().take(page.rows()).for_each(|k| kill(out, page, k));
    page.left_out(out, oom.recent.len(), Section::Oom);
}

fn kill(out: &mut String, page: &Page<'_>, kill: &Kill) {
    let event = &kill.event;
    out.push('\n');
    page.subtitle(out, &format!("Kill {}, {} ago", event.sequence, units::seconds(kill.age_seconds)));
    page.fact(out, "victim", &task(&event.victim));
    page.fact(out, "trigger", &task(&event.trigger));
    let text = event.last_reclaim.as_ref().map_or_else(|| "none seen of the trigger".to_owned(), reclaim);
    page.fact(out, "reclaim", &text);
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
