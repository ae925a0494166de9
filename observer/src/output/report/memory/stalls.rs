//! Who stalls in reclaim, and for how long.

use super::{Page, Section, events_or_count, list, name, share, time, time_under};
use crate::{
    model::reclaim::Reclaim,
    output::text::{Column, Cut},
    snapshot::reclaim::ReclaimKind,
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Who stalls in reclaim");
    let Some(reclaim) = &page.model.reclaim else { return page.not_seen(out, "reclaim", "reclaim") };
    in_flight(out, page, reclaim);
    if reclaim.cgroups.is_empty() && reclaim.in_flight.is_empty() {
        out.push_str("  no task\n");
    }
    if !reclaim.cgroups.is_empty() {
        cgroups(out, page, reclaim);
        out.push('\n');
    }
    if !reclaim.processes.is_empty() {
        processes(out, page, reclaim);
    }
}

fn kind(kind: ReclaimKind) -> &'static str {
    match kind {
        ReclaimKind::Direct => "host",
        ReclaimKind::Memcg => "cgroup",
    }
}

fn in_flight(out: &mut String, page: &Page<'_>, reclaim: &Reclaim) {
    for ongoing in reclaim.in_flight.iter().take(page.rows()) {
        let task = &ongoing.task;
        let text = format!(
            "{} (pid {}, tid {}) in {} for {}, order {}, limit of the {}",
            task.comm,
            task.pid,
            task.tid,
            name(ongoing.cgroup_path.as_ref()),
            units::seconds(ongoing.age_seconds),
            task.order,
            kind(task.kind)
        );
        page.fact(out, "now", &text);
    }
    page.left_out(out, reclaim.in_flight.len(), Section::Memory);
}

const CGROUPS: &[Column] = &[
    Column::left("limit of"),
    Column::right("stalls"),
    Column::right("of the time"),
    Column::right("mean"),
    Column::right("50 % under"),
    Column::right("99 % under"),
    Column::cut("cgroup", Cut::Start),
];

fn cgroups(out: &mut String, page: &Page<'_>, reclaim: &Reclaim) {
    list(out, page, CGROUPS, &reclaim.cgroups, |c| {
        [
            kind(c.kind).to_owned(),
            events_or_count(c.stalls.per_second, c.stalls.totals.count),
            share(c.stalls.stalled_ratio),
            time(c.stalls.mean_seconds),
            time_under(&c.latency_ns, 0.5),
            time_under(&c.latency_ns, 0.99),
            name(c.path.as_ref()),
        ]
    });
}

const PROCESSES: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::left("limit of"),
    Column::right("stalls"),
    Column::right("of the time"),
    Column::right("99 % under"),
    Column::cut("cgroup", Cut::Start),
];

fn processes(out: &mut String, page: &Page<'_>, reclaim: &Reclaim) {
    list(out, page, PROCESSES, &reclaim.processes, |p| {
        [
            p.pid.to_string(),
            p.comm.to_string(),
            kind(p.kind).to_owned(),
            events_or_count(p.stalls.per_second, p.stalls.totals.count),
            share(p.stalls.stalled_ratio),
            time_under(&p.latency_ns, 0.99),
            name(p.cgroup_path.as_ref()),
        ]
    });
}
