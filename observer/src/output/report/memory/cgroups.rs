//! Memory cgroups: their limits, what they hold, what came back to them, how long they waited.

use super::{Page, bytes, bytes_rate, events, list, pressure, share};
use crate::{
    model::cgroup::Cgroup,
    output::text::{Column, Cut},
    snapshot::{cgroup::CgroupStat, coverage::Source},
    units,
};

/// Share of its hard limit from which a cgroup is near it.
const NEAR_LIMIT: f64 = 0.8;

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    let Some(all) = &page.model.cgroups else {
        if page.detailed {
            page.subject(out, "Cgroups");
        }
        return page.not_read(out, "cgroups", Source::CGROUPS);
    };
    if !page.detailed {
        return near_their_limit(out, page, all);
    }
    limits(out, page, all);
    throttling_limits(out, page, all);
    holdings(out, page, all);
    returns(out, page, all);
    pressure::by_cgroup(out, page, all);
}

/// The path, and the container that it belongs to.
pub(super) fn name(c: &Cgroup) -> String {
    let container = c.now.container.as_ref();
    let pod = container.and_then(|c| c.pod.as_ref());
    match (pod, container.and_then(|c| c.name.as_ref())) {
        (None, None) => c.now.path.to_string(),
        (pod, name) => {
            let mut words: Vec<_> = pod.into_iter().chain(name).map(ToString::to_string).collect();
            words.dedup();
            format!("{} ({})", c.now.path, words.join("/"))
        }
    }
}

/// Near its limit now, or met it in the interval.
fn is_near_limit(cgroup: &Cgroup) -> bool {
    cgroup.limit_ratio.is_some_and(|r| r >= NEAR_LIMIT)
        || cgroup.limit_hits.is_some_and(|hits| hits > 0.0)
        || cgroup.oom_kills.is_some_and(|kills| kills > 0)
}

fn zombies(out: &mut String, page: &Page<'_>) {
    let summary = page.model.cgroup_summary.as_ref();
    if let Some(dying) = summary.and_then(|s| s.dying).filter(|dying| *dying > 0) {
        let text = format!("{} removed and still holding memory", units::count(dying as f64));
        page.fact(out, "zombies", &text);
    }
    if let Some(left) = summary.map(|s| s.not_read).filter(|left| *left > 0) {
        page.fact(out, "not read", &format!("{left}, beyond the limit of one snapshot"));
    }
}

const LIMITS: &[Column] = &[
    Column::right("use"),
    Column::right("limit"),
    Column::right("of limit"),
    Column::right("growth"),
    Column::right("limit hits"),
    Column::right("OOM kills"),
    Column::cut("cgroup", Cut::Start),
];

fn near_their_limit(out: &mut String, page: &Page<'_>, all: &[Cgroup]) {
    let near: Vec<&Cgroup> = all.iter().filter(|c| is_near_limit(c)).collect();
    if near.is_empty() {
        page.fact(out, "cgroups", &format!("none of {} is near its limit", all.len()));
        return;
    }
    page.subject(out, "Cgroups near their limit");
    zombies(out, page);
    limits_table(out, page, &near);
}

/// Every cgroup, those in trouble first.
fn limits(out: &mut String, page: &Page<'_>, all: &[Cgroup]) {
    page.subject(out, "Cgroups and their limits: those near one first, then by use");
    zombies(out, page);
    // The top of version 2 has neither a use nor a limit of its own.
    let known = all.iter().filter(|c| c.now.usage.is_some() || c.now.limit.is_some());
    let (near, others): (Vec<_>, Vec<_>) = known.partition(|c| is_near_limit(c));
    let rows: Vec<_> = near.into_iter().chain(others).collect();
    limits_table(out, page, &rows);
}

fn limits_table(out: &mut String, page: &Page<'_>, rows: &[&Cgroup]) {
    if rows.is_empty() {
        out.push_str("  none below the top\n");
        return;
    }
    list(out, page, LIMITS, rows, |c| {
        [
            bytes(c.now.usage),
            if c.now.unlimited { "none".to_owned() } else { bytes(c.now.limit) },
            if c.now.unlimited { String::new() } else { share(c.limit_ratio) },
            bytes_rate(c.growth),
            events(c.limit_hits),
            c.oom_kills.map_or_else(|| units::UNKNOWN.to_owned(), |n| n.to_string()),
            name(c),
        ]
    });
}

const THROTTLING_LIMITS: &[Column] = &[
    Column::right("use"),
    Column::right("high"),
    Column::right("of high"),
    Column::right("hits"),
    Column::cut("cgroup", Cut::Start),
];

/// Limits at which tasks are slowed down. Version 1 has none.
fn throttling_limits(out: &mut String, page: &Page<'_>, all: &[Cgroup]) {
    let mut rows: Vec<(f64, &Cgroup)> = all
        .iter()
        .filter_map(|c| Some((c, c.now.high?)))
        .map(|(c, high)| (c.now.usage.map_or(0.0, |usage| usage as f64 / high.max(1) as f64), c))
        .collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    page.subject(out, "Cgroups and the limits that slow them down (memory.high)");
    list(out, page, THROTTLING_LIMITS, &rows, |(of_high, c)| {
        let of_high = share(c.now.usage.map(|_| *of_high));
        [bytes(c.now.usage), bytes(c.now.high), of_high, events(c.high_hits), name(c)]
    });
}

/// Name of the file of a cgroup as a source of the coverage.
const STAT: &str = "cgroups memory.stat";

/// Says why no cgroup has what memory.stat tells. False if one has it.
fn without_stat(out: &mut String, page: &Page<'_>, all: &[Cgroup]) -> bool {
    let none = all.iter().all(|c| c.now.stat.is_none());
    if none {
        page.not_read(out, "memory.stat", STAT);
    }
    none
}

const HOLDINGS: &[Column] = &[
    Column::right("anonymous"),
    Column::right("file"),
    Column::right("tmpfs"),
    Column::right("kernel"),
    Column::right("to reclaim"),
    Column::right("swap"),
    Column::cut("cgroup", Cut::Start),
];

fn holdings(out: &mut String, page: &Page<'_>, all: &[Cgroup]) {
    page.subject(out, "What cgroups hold, by use; cgroups below one are part of it");
    if without_stat(out, page, all) {
        return;
    }
    list(out, page, HOLDINGS, all, |c| {
        let of = |field: fn(&CgroupStat) -> Option<u64>| bytes(c.now.stat.as_ref().and_then(field));
        [
            of(|s| s.anon),
            of(|s| Some(s.file?.saturating_sub(s.shmem?))),
            of(|s| s.shmem),
            bytes(c.now.kernel),
            bytes(c.reclaimable),
            bytes(c.now.swap),
            name(c),
        ]
    });
}

const RETURNS: &[Column] = &[
    Column::right("anonymous"),
    Column::right("file"),
    Column::right("from swap"),
    Column::right("to swap"),
    Column::right("major faults"),
    Column::cut("cgroup", Cut::Start),
];

/// Refaults, swap-ins and major faults, most bytes first.
fn returns(out: &mut String, page: &Page<'_>, all: &[Cgroup]) {
    page.subject(out, "What cgroups read again soon after reclaim took it (refaults)");
    if without_stat(out, page, all) {
        return;
    }
    if page.model.interval.is_none() {
        out.push_str("  a rate needs an earlier snapshot\n");
        return;
    }
    let back = |c: &Cgroup| c.refaults.unwrap_or(0.0) + c.swap_in.unwrap_or(0.0);
    let faults = |c: &Cgroup| c.major_faults.unwrap_or(0.0);
    let mut rows: Vec<_> = all.iter().filter(|c| back(c) + faults(c) > 0.0).collect();
    if rows.is_empty() {
        out.push_str("  nothing\n");
        return;
    }
    rows.sort_by(|a, b| back(b).total_cmp(&back(a)).then(faults(b).total_cmp(&faults(a))));
    list(out, page, RETURNS, &rows, |c| {
        [
            bytes_rate(c.refaults_anon),
            bytes_rate(c.refaults_file),
            bytes_rate(c.swap_in),
            bytes_rate(c.swap_out),
            events(c.major_faults),
            name(c),
        ]
    });
    if rows.iter().all(|c| c.swap_in.is_none()) {
        page.fact(out, "swap", "memory.stat of this kernel does not tell what came from swap and went to it");
    }
}
