//! What led up to a kill: the minutes before it, each sentence with its numbers and where they are from.

use serde::Serialize;

use super::{
    evidence::{Evidence, Window},
    limit::{Limit, Memory, levels},
};
use crate::{
    model::{Model, cgroup::Cgroup},
    snapshot::{
        oom::{OomKill, OomTask},
        process::Process,
        reclaim::ReclaimKind,
    },
    units,
};

/// What led up to a kill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LedUp {
    /// Seconds before the kill that snapshots cover; `None` without snapshots.
    pub seconds: Option<f64>,
    /// Snapshots in that time.
    pub snapshots: usize,
    /// What they tell, and the event.
    pub sentences: Vec<Sentence>,
}

/// One sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// With its numbers.
    pub text: String,
    /// Where they are from.
    pub source: &'static str,
}

fn bytes(amount: f64) -> String {
    units::bytes(amount)
}

/// `None` where neither the event nor a snapshot tells anything.
pub(super) fn led_up(evidence: &Evidence<'_>, window: Option<&Window<'_>>, limit: &Limit) -> Option<LedUp> {
    let mut out = Vec::new();
    let mut add = |sentence: Option<(String, &'static str)>| {
        out.extend(sentence.map(|(text, source)| Sentence { text, source }));
    };
    if let Some(window) = window {
        let path = match &limit.memory {
            Memory::Cgroup { path, of_task, .. } => Some(path).filter(|p| !p.is_empty()).or(of_task.as_ref()),
            _ => None,
        };
        let path = path.map(crate::snapshot::Name::as_str);
        add(match path {
            Some(path) => towards_limit(window, path),
            None => available(window),
        });
        add(allocated(window, path));
        add(evidence.report.victim_pid().and_then(|pid| victim(window, pid)));
        add(grew(window, path));
        add(match path {
            Some(path) => reclaimed_at_limit(window, path),
            None => reclaimed(window),
        });
        add(came_back(window, path));
        add(swapped(window));
        add(stalled(window, path));
        add(evidence.event.and_then(|event| killed_before(window, event)));
    }
    if let Some(event) = evidence.event {
        add(last_reclaim(event));
        add(last_retry(event));
    }
    let first = window.and_then(|w| w.before.first().map(|m| w.seconds_before(m)));
    let snapshots = window.map_or(0, |w| w.before.len());
    (!out.is_empty()).then_some(LedUp { seconds: first, snapshots, sentences: out })
}

/// A cgroup of an interval by its path.
fn cgroup<'a>(model: &'a Model, path: &str) -> Option<&'a Cgroup> {
    model.cgroups.as_ref()?.iter().find(|c| c.now.path.as_str() == path)
}

fn towards_limit(window: &Window<'_>, path: &str) -> Option<(String, &'static str)> {
    let mut seen = window.before.iter().filter_map(|m| Some((*m, cgroup(m, path)?)));
    let (first_model, first) = seen.next()?;
    let (last_model, last) = seen.next_back().unwrap_or((first_model, first));
    let (from, to) = (first.now.usage?, last.now.usage?);
    let limit = last.now.limit.filter(|l| *l > 0);
    let of_limit = limit.map_or(String::new(), |l| {
        format!(", {} of its limit of {}", units::percent(to as f64 / l as f64), bytes(l as f64))
    });
    let when = units::seconds(window.seconds_before(last_model));
    let text = if std::ptr::eq(first_model, last_model) {
        format!("Cgroup {path} used {} {when} before the kill{of_limit}.", bytes(to as f64))
    } else {
        let span = window.seconds_before(first_model) - window.seconds_before(last_model);
        let (from, to) = (bytes(from as f64), bytes(to as f64));
        format!("Cgroup {path} went from {from} to {to} in {}, {when} before the kill{of_limit}.", units::seconds(span))
    };
    Some((text, "memory.current, memory.usage_in_bytes"))
}

fn available(window: &Window<'_>) -> Option<(String, &'static str)> {
    let (first, last) = window.ends()?;
    let of = |m: &Model| m.memory.meminfo.as_ref().and_then(|i| i.available.or(i.free));
    let (from, to) = (of(first)? as f64, of(last)? as f64);
    let span = window.seconds_before(first) - window.seconds_before(last);
    let when = units::seconds(window.seconds_before(last));
    let text = format!(
        "Available memory of the host went from {} to {} in {}, {when} before the kill.",
        bytes(from),
        bytes(to),
        units::seconds(span)
    );
    Some((text, "MemAvailable of /proc/meminfo"))
}

/// Who allocated most, of the cgroup's processes or of all.
fn allocated(window: &Window<'_>, path: Option<&str>) -> Option<(String, &'static str)> {
    let mut by_pid: Vec<(u32, String, f64)> = Vec::new();
    let mut all = 0.0;
    for model in &window.all {
        let (Some(allocs), Some(interval)) = (&model.page_alloc, model.interval) else { continue };
        let page = model.host.page_size.unwrap_or(4096) as f64;
        let amount = |pages: Option<f64>| pages.unwrap_or(0.0) * interval.seconds * page;
        let is_meant = |of: Option<&str>| path.is_none_or(|path| of.is_some_and(|of| levels(path, of).is_some()));
        // Those of processes that ended are in the rows of cgroups alone.
        all += match path {
            None => amount(allocs.total.pages),
            Some(_) => {
                let cgroups = allocs.cgroups.iter().filter(|c| is_meant(c.path.as_ref().map(|p| p.as_str())));
                cgroups.map(|c| amount(c.allocs.pages)).sum()
            }
        };
        for process in allocs.processes.iter().filter(|p| is_meant(p.cgroup_path.as_ref().map(|p| p.as_str()))) {
            let amount = amount(process.allocs.pages);
            // It has the name that it had last.
            let who = super::process(&process.comm, Some(process.pid));
            match by_pid.iter_mut().find(|row| row.0 == process.pid) {
                Some(row) => (row.1, row.2) = (who, row.2 + amount),
                None => by_pid.push((process.pid, who, amount)),
            }
        }
    }
    let (_, who, most) = by_pid.into_iter().filter(|row| row.2 > 0.0).max_by(|a, b| a.2.total_cmp(&b.2))?;
    let share = if all > 0.0 { format!(" ({})", units::percent((most / all).min(1.0))) } else { String::new() };
    let of = path.map_or_else(|| "the host".to_owned(), |path| format!("cgroup {path}"));
    let text = format!("{who} was handed out most pages: {} of {} of {of}{share}.", bytes(most), bytes(all.max(most)));
    Some((text, "kmem:mm_page_alloc"))
}

/// What the victim had.
fn victim(window: &Window<'_>, pid: u32) -> Option<(String, &'static str)> {
    let (_, last) = window.ends()?;
    let had = last.processes.as_ref()?.list.iter().find(|p| p.pid == pid)?;
    let when = units::seconds(window.seconds_before(last));
    let swap = had.swap.filter(|s| *s > 0).map_or(String::new(), |s| format!(" and {} in swap", bytes(s as f64)));
    let adj = had.oom_score_adj.map_or(String::new(), |adj| format!(", with oom_score_adj {adj}"));
    let who = super::process(&had.comm, Some(pid));
    Some((format!("{who} had {} in RAM{swap} {when} before it was killed{adj}.", bytes(had.rss as f64)), "/proc/PID"))
}

/// Whose resident set grew most, of the processes that allocated in the cgroup, or of all.
fn grew(window: &Window<'_>, path: Option<&str>) -> Option<(String, &'static str)> {
    let (first, last) = window.ends()?;
    let allocated = window.all.iter().flat_map(|m| m.page_alloc.iter().flat_map(|a| &a.processes));
    let inside: Option<std::collections::HashSet<u32>> = path.map(|path| {
        let of_cgroup =
            allocated.filter(|p| p.cgroup_path.as_ref().is_some_and(|of| levels(path, of.as_str()).is_some()));
        of_cgroup.map(|p| p.pid).collect()
    });
    let list = |m: &'_ Model| m.processes.as_ref().map(|p| p.list.clone()).unwrap_or_default();
    let before: std::collections::HashMap<_, _> =
        list(first).into_iter().map(|p| ((p.pid, p.start_ns), p.rss)).collect();
    let growth = |p: &Process| p.rss.saturating_sub(before.get(&(p.pid, p.start_ns)).copied().unwrap_or(0));
    let meant = list(last).into_iter().filter(|p| inside.as_ref().is_none_or(|pids| pids.contains(&p.pid)));
    let most = meant.max_by_key(growth).filter(|p| growth(p) > 0)?;
    let who = super::process(&most.comm, Some(most.pid));
    let when = units::seconds(window.seconds_before(last));
    let from = match before.get(&(most.pid, most.start_ns)) {
        Some(rss) => format!("from {} ", bytes(*rss as f64)),
        None => "from its start ".to_owned(),
    };
    let text = format!("{who} grew most: {from}to {} in RAM, {when} before the kill.", bytes(most.rss as f64));
    Some((text, "/proc/PID/stat"))
}

fn reclaimed_at_limit(window: &Window<'_>, path: &str) -> Option<(String, &'static str)> {
    let (mut count, mut freed, mut ns) = (0u64, 0u64, 0u64);
    for model in &window.all {
        let rows = model.reclaim.iter().flat_map(|r| &r.cgroups);
        let rows = rows.filter(|c| c.kind == ReclaimKind::Memcg);
        for row in rows.filter(|c| c.path.as_ref().is_some_and(|p| levels(path, p.as_str()).is_some())) {
            count += row.stalls.totals.count;
            freed = freed.saturating_add(row.stalls.totals.reclaimed_bytes);
            ns = ns.saturating_add(row.stalls.totals.total_ns);
        }
    }
    (count > 0).then(|| {
        let text = format!(
            "Its tasks reclaimed {} times at the limit, {} in all, and got {} back.",
            units::count(count as f64),
            units::seconds(ns as f64 / 1e9),
            bytes(freed as f64)
        );
        (text, "vmscan:mm_vmscan_memcg_reclaim_begin, _end")
    })
}

fn reclaimed(window: &Window<'_>) -> Option<(String, &'static str)> {
    let scanned = window.sum(|m| Some(m.memory.vm.scan_kswapd? + m.memory.vm.scan_direct?))?;
    let freed = window.sum(|m| Some(m.memory.vm.steal_kswapd? + m.memory.vm.steal_direct?))?;
    (scanned > 0.0).then(|| {
        let share = units::percent((freed / scanned).min(1.0));
        let text = format!("Reclaim looked at {} and freed {} of it ({share}).", bytes(scanned), bytes(freed));
        (text, "pgscan_* and pgsteal_* of /proc/vmstat")
    })
}

/// Refaults: memory that was taken and was needed again.
fn came_back(window: &Window<'_>, path: Option<&str>) -> Option<(String, &'static str)> {
    let back = match path {
        Some(path) => window.sum(|m| cgroup(m, path)?.refaults)?,
        None => window.sum(|m| Some(m.memory.vm.refault_anon? + m.memory.vm.refault_file?))?,
    };
    let what = "of what reclaim had taken was read again soon after: it was still in use.";
    (back > 0.0).then(|| (format!("{} {what}", bytes(back)), "workingset_refault_*"))
}

fn swapped(window: &Window<'_>) -> Option<(String, &'static str)> {
    let (first, last) = window.ends()?;
    let used = |m: &Model| {
        let info = m.memory.meminfo.as_ref()?;
        Some((info.swap_total?.checked_sub(info.swap_free?)?, info.swap_total?))
    };
    let ((from, _), (to, total)) = (used(first)?, used(last)?);
    (total > 0 && (from, to) != (0, 0)).then(|| {
        let text =
            format!("Swap in use went from {} to {} of {}.", bytes(from as f64), bytes(to as f64), bytes(total as f64));
        (text, "SwapTotal, SwapFree of /proc/meminfo")
    })
}

fn stalled(window: &Window<'_>, path: Option<&str>) -> Option<(String, &'static str)> {
    let (_, last) = window.ends()?;
    let of_cgroup = path.and_then(|path| cgroup(last, path)?.now.pressure.as_ref());
    let (who, resource, source) = match of_cgroup {
        Some(resource) => ("its tasks", resource, "memory.pressure"),
        None => ("tasks", last.pressure.as_ref()?.memory.as_ref()?, "/proc/pressure/memory"),
    };
    let (some, full) = (resource.some?.avg10, resource.full.map_or(0.0, |f| f.avg10));
    (some > 0.0).then(|| {
        let text = format!(
            "In the 10 s before the last snapshot some of {who} waited for memory {} of the time, all of them {}.",
            units::percent(some),
            units::percent(full)
        );
        (text, source)
    })
}

/// Kills of the same cgroup in the minutes before.
fn killed_before(window: &Window<'_>, event: &OomKill) -> Option<(String, &'static str)> {
    let begin = window.before.first()?.stamp.monotonic_ns;
    let key = |task: &OomTask| task.cgroup.map(|id| id.0);
    let kills = window.all.last()?.oom.as_ref()?.recent.iter().filter(|kill| {
        kill.event.sequence < event.sequence
            && kill.event.monotonic_ns >= begin
            && key(&kill.event.victim) == key(&event.victim)
    });
    let count = kills.count();
    (count > 0).then(|| {
        let text = format!("{} kills came before it in the same cgroup in that time.", units::count(count as f64));
        (text, "oom:mark_victim")
    })
}

fn last_reclaim(event: &OomKill) -> Option<(String, &'static str)> {
    let last = event.last_reclaim.as_ref()?;
    let who = trigger(event);
    let kind = match last.kind {
        ReclaimKind::Direct => "for the host",
        ReclaimKind::Memcg => "at a cgroup's limit",
    };
    let begun = units::seconds(last.begun_before_ns as f64 / 1e9);
    let came = match last.duration_ns.zip(last.reclaimed_bytes) {
        Some((ns, freed)) => {
            format!("took {} and freed {}", units::seconds(ns as f64 / 1e9), bytes(freed as f64))
        }
        None => "had not ended".to_owned(),
    };
    let text = format!("The last reclaim of {who}, {kind}, began {begun} before the kill, and {came}.");
    Some((text, "vmscan:mm_vmscan_*_reclaim_begin, _end"))
}

fn last_retry(event: &OomKill) -> Option<(String, &'static str)> {
    let last = event.last_retry.as_ref()?;
    let would = if last.zone_would_do { "would have been enough" } else { "was not enough" };
    let text = format!(
        "{} before the kill, after {} rounds that freed nothing, a zone had {} free or reclaimable, which {would} against its min of {}.",
        units::seconds(last.before_ns as f64 / 1e9),
        last.loops,
        bytes(last.available_bytes as f64),
        bytes(last.min_bytes as f64)
    );
    Some((text, "oom:reclaim_retry_zone"))
}

fn trigger(event: &OomKill) -> String {
    match &event.trigger.comm {
        Some(comm) => super::process(comm, event.trigger.pid.or(Some(event.trigger.tid))),
        None => "the task that asked".to_owned(),
    }
}
