//! Pressure stall information: how long tasks waited, of the host and of its cgroups.

use super::{Page, cgroups, list, time};
use crate::{
    model::cgroup::Cgroup,
    output::text::{Column, Cut, Table},
    snapshot::{
        coverage::Source,
        pressure::{Resource, Stall},
    },
    units,
};

pub(super) fn facts(out: &mut String, page: &Page<'_>) {
    let memory = page.model.pressure.as_ref().and_then(|p| p.memory.as_ref());
    let Some(Resource { some, full }) = memory else {
        return page.not_read(out, "stalls", Source::PRESSURE_MEMORY);
    };
    let text = format!(
        "some task waited for memory {} of the last 10/60/300 s, {} since boot; all tasks {}, {}",
        averages(*some),
        total(*some),
        averages(*full),
        total(*full)
    );
    page.fact(out, "stalls", &text);
}

/// Shares of the last 10, 60 and 300 s: `31/15.5/3.88 %`.
fn averages(stall: Option<Stall>) -> String {
    let Some(stall) = stall else { return units::UNKNOWN.to_owned() };
    let shares = [stall.avg10, stall.avg60, stall.avg300].map(units::percent);
    shares.join("/").replace(" %/", "/")
}

fn total(stall: Option<Stall>) -> String {
    time(stall.map(|s| s.total_seconds))
}

const HOST: &[Column] = &[
    Column::left("waited for"),
    Column::left("who"),
    Column::right("10 s"),
    Column::right("60 s"),
    Column::right("300 s"),
    Column::right("since boot"),
];

/// Stalls of the host by what was waited for.
pub(super) fn table(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Stalls of the host (PSI): share of the last 10, 60 and 300 s, and their sum");
    let pressure = page.model.pressure.clone().unwrap_or_default();
    let resources = [
        ("memory", pressure.memory, Source::PRESSURE_MEMORY),
        ("block devices", pressure.io, Source::PRESSURE_IO),
        ("a CPU", pressure.cpu, Source::PRESSURE_CPU),
    ];
    let mut table = Table::new(HOST);
    for (what, resource, _) in &resources {
        let Some(resource) = resource else { continue };
        for (who, stall) in [("some task", resource.some), ("all tasks", resource.full)] {
            let share = |average: fn(&Stall) -> f64| super::share(stall.as_ref().map(average));
            table.row([
                (*what).to_owned(),
                who.to_owned(),
                share(|s| s.avg10),
                share(|s| s.avg60),
                share(|s| s.avg300),
                total(stall),
            ]);
        }
    }
    if !table.is_empty() {
        table.render(out, page.style, 2);
    }
    for (what, _, source) in resources.iter().filter(|(_, resource, _)| resource.is_none()) {
        page.not_read(out, what, source);
    }
}

const CGROUPS: &[Column] = &[
    Column::right("some 10/60/300 s"),
    Column::right("some, sum"),
    Column::right("all 10/60/300 s"),
    Column::right("all, sum"),
    Column::cut("cgroup", Cut::Start),
];

/// Name of the file of a cgroup as a source of the coverage.
const FILE: &str = "cgroups memory.pressure";

const WITHOUT: &str = "no cgroup has memory.pressure: version 1 keeps none, nor does the root of version 2";

/// Stalls for memory by cgroup, longest of the last 10 s first.
pub(super) fn by_cgroup(out: &mut String, page: &Page<'_>, all: &[Cgroup]) {
    page.subject(out, "Stalls of cgroups for memory (PSI)");
    let mut rows: Vec<(&Cgroup, &Resource)> = all.iter().filter_map(|c| Some((c, c.now.pressure.as_ref()?))).collect();
    if rows.is_empty() {
        let reason = page.model.coverage.source_reason(FILE);
        match reason {
            Some(reason) => page.not_seen_because(out, "memory.pressure", Some(reason)),
            None => page.style.paragraph(out, "  ", 4, WITHOUT),
        }
        return;
    }
    let lately = |r: &Resource| r.some.map_or((0.0, 0.0), |s| (s.avg10, s.total_seconds));
    rows.retain(|(_, r)| lately(r) > (0.0, 0.0));
    rows.sort_by(|(_, a), (_, b)| lately(b).partial_cmp(&lately(a)).unwrap_or(std::cmp::Ordering::Equal));
    if rows.is_empty() {
        out.push_str("  none since the cgroups were made\n");
        return;
    }
    list(out, page, CGROUPS, &rows, |(cgroup, Resource { some, full })| {
        [averages(*some), total(*some), averages(*full), total(*full), cgroups::name(cgroup)]
    });
}
