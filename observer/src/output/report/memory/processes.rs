//! The largest processes: what they hold, and what they do.

use std::collections::HashMap;

use super::{Page, bytes, events, list, name, pages_as_bytes, share};
use crate::{
    output::text::{Column, Cut},
    snapshot::{Name, coverage::Source, process::Processes},
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Largest processes: what they hold");
    let Some(processes) = &page.model.processes else {
        return page.not_read(out, "processes", Source::PROCESSES);
    };
    holdings(out, page, processes);
    if processes.not_listed > 0 {
        page.fact(
            out,
            "others",
            &format!("{} that hold less are not listed", units::count(processes.not_listed as f64)),
        );
    }
    work(out, page, processes);
}

const HOLDINGS: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("resident"),
    Column::right("anon"),
    Column::right("file"),
    Column::right("shmem"),
    Column::right("swap"),
    Column::right("tables"),
];

fn holdings(out: &mut String, page: &Page<'_>, processes: &Processes) {
    list(out, page, HOLDINGS, &processes.list, |p| {
        [
            p.pid.to_string(),
            p.comm.to_string(),
            bytes(Some(p.rss)),
            bytes(p.anon),
            bytes(p.file),
            bytes(p.shmem),
            bytes(p.swap),
            bytes(p.page_tables),
        ]
    });
}

const WORK: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("allocates"),
    Column::right("stalled"),
    Column::right("major faults"),
    Column::right("OOM adj"),
    Column::cut("cgroup", Cut::Start),
];

/// What a process did in the interval; `None` where the probe is missing.
#[derive(Default)]
struct Done<'a> {
    pages: Option<f64>,
    stalled: Option<f64>,
    /// Of those that were listed at both ends of the interval, or began in it.
    major_faults: Option<f64>,
    cgroup: Option<&'a Name>,
}

/// By pid: a process may have allocated and stalled in more than one cgroup.
fn done<'a>(page: &Page<'a>) -> HashMap<u32, Done<'a>> {
    let mut all: HashMap<u32, Done<'a>> = HashMap::new();
    let add = |sum: &mut Option<f64>, more: Option<f64>| *sum = more.map(|m| m + sum.unwrap_or(0.0)).or(*sum);
    for p in page.model.page_alloc.iter().flat_map(|a| &a.processes) {
        let done = all.entry(p.pid).or_default();
        add(&mut done.pages, p.allocs.pages);
        done.cgroup = done.cgroup.or(p.cgroup_path.as_ref());
    }
    for p in page.model.reclaim.iter().flat_map(|r| &r.processes) {
        let done = all.entry(p.pid).or_default();
        add(&mut done.stalled, p.stalls.stalled_ratio);
        done.cgroup = done.cgroup.or(p.cgroup_path.as_ref());
    }
    for p in page.model.major_faults.iter().flatten() {
        all.entry(p.pid).or_default().major_faults = Some(p.per_second);
    }
    all
}

fn work(out: &mut String, page: &Page<'_>, processes: &Processes) {
    page.subject(out, "Largest processes: what they do");
    let done = done(page);
    let idle = Done::default();
    // A process that is in no row of a probe that runs did nothing.
    let nothing = |probe: bool| page.model.interval.filter(|_| probe).map(|_| 0.0);
    let (allocates, stalls) = (nothing(page.model.page_alloc.is_some()), nothing(page.model.reclaim.is_some()));
    list(out, page, WORK, &processes.list, |p| {
        let done = done.get(&p.pid).unwrap_or(&idle);
        [
            p.pid.to_string(),
            p.comm.to_string(),
            pages_as_bytes(page, done.pages.or(allocates)),
            share(done.stalled.or(stalls)),
            events(done.major_faults),
            p.oom_score_adj.map_or_else(|| units::UNKNOWN.to_owned(), |n| n.to_string()),
            name(done.cgroup),
        ]
    });
    if page.model.memory.swap_used_ratio.is_some() {
        let why = "the kernel has no event for them; major faults beside swap are the nearest";
        page.fact(out, "swap-ins", &format!("by process not known: {why}"));
    }
}
