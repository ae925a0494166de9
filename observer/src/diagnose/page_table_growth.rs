//! Page tables take more and more of RAM.

use std::collections::HashMap;

use super::{Evidence, Finding, Outcome, Rule, Window, common, growth};
use crate::{
    model::Model,
    snapshot::{Name, coverage::Source},
    units,
};

/// Share of RAM from which page tables that grow matter: a process that uses all of what it maps needs a five-hundredth of
/// that for them, so this is ten times the need.
const LEAST_RATIO: f64 = 0.02;

pub(super) const RULE: Rule = Rule {
    name: "page_table_growth",
    about: "Page tables hold much of RAM and grow: sparse mappings, or many processes that map the same.",
    check,
};

/// Processes of one name together: a server with a process a client has each of them small.
struct Group<'a> {
    comm: &'a Name,
    processes: u64,
    page_tables: u64,
    rss: u64,
    largest_pid: u32,
    largest: u64,
}

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let info = newest.memory.meminfo.as_ref();
    let (Some(ram), Some(available), Some(tables)) =
        (growth::ram(newest), growth::available(newest), info.and_then(|m| m.page_tables))
    else {
        return common::no_source(window, "bytes of page tables", Source::MEMINFO);
    };
    if (tables as f64) < LEAST_RATIO * ram as f64 {
        return Outcome::Quiet;
    }
    let (models, _) = window.last(growth::LOOK_BACK_SECONDS);
    let rate = common::steady_growth(models, |m| m.memory.growth.page_tables);
    let Some(rate) = rate else { return Outcome::Quiet };
    let Some((severity, seconds)) = growth::exhaustion(rate, available) else { return Outcome::Quiet };

    let group = culprit(models);
    let who = group.as_ref().map_or(String::new(), |g| {
        if g.processes > 1 {
            format!(
                ", most of them of {} processes named {} (the largest is pid {})",
                g.processes, g.comm, g.largest_pid
            )
        } else {
            format!(", most of them of {} (pid {})", g.comm, g.largest_pid)
        }
    });
    let verdict =
        format!("Page tables grow by {} and hold {}{who}", units::bytes_per_second(rate), growth::of_ram(tables, ram));
    let mut evidence =
        vec![Evidence::new("page tables of all processes", growth::of_ram(tables, ram), "/proc/meminfo PageTables")];
    if let Some(g) = &group {
        let value = format!(
            "{} for a resident set of {} in {} processes",
            units::bytes(g.page_tables as f64),
            units::bytes(g.rss as f64),
            g.processes
        );
        evidence.push(Evidence::new(format!("page tables of {}", g.comm), value, "/proc/PID/status VmPTE, VmRSS"));
    }
    evidence.extend(growth::evidence(rate, "/proc/meminfo PageTables, two readings", seconds, "what is available"));
    let advice = vec![
        "Large shared mappings of many processes (a database's buffer pool): put them on huge pages (hugetlbfs, `huge=` of tmpfs), which need one table where small pages need 512.".into(),
        "Sparse use of a large mapping: the tables stay until it is unmapped, also where its pages were given back (MADV_DONTNEED). Fewer, denser or shorter-lived mappings cost less.".into(),
        "Fewer processes: a pool of connections in front of a server that starts one process each.".into(),
    ];
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice })
}

/// The name whose processes grew most over the window; the one that holds most where nobody is known to have grown.
fn culprit(models: &[Model]) -> Option<Group<'_>> {
    let newest = groups(models.last()?);
    let oldest = models.first().filter(|_| models.len() > 1).map(groups).unwrap_or_default();
    let grown = |g: &Group<'_>| g.page_tables.saturating_sub(oldest.get(g.comm).map_or(0, |o| o.page_tables));
    newest.into_values().filter(|g| g.page_tables > 0).max_by_key(|g| (grown(g), g.page_tables, g.largest_pid))
}

fn groups(model: &Model) -> HashMap<&Name, Group<'_>> {
    let mut groups: HashMap<&Name, Group<'_>> = HashMap::new();
    for (p, tables) in model.processes.iter().flat_map(|p| &p.list).filter_map(|p| Some((p, p.page_tables?))) {
        let empty = Group { comm: &p.comm, processes: 0, page_tables: 0, rss: 0, largest_pid: p.pid, largest: 0 };
        let group = groups.entry(&p.comm).or_insert(empty);
        group.processes += 1;
        group.page_tables += tables;
        group.rss += p.rss;
        if tables > group.largest {
            (group.largest, group.largest_pid) = (tables, p.pid);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{
            Severity,
            testing::{fired, models, snapshot_at},
        },
        snapshot::{Snapshot, memory, process},
    };

    const MIB: u64 = 1 << 20;

    fn over(levels: [u64; 3]) -> Outcome {
        let snapshots: Vec<Snapshot> = (0..3)
            .map(|i| {
                let mut s = snapshot_at(i as u64 + 1);
                s.memory.meminfo = Some(memory::Meminfo {
                    total: Some(1000 * MIB),
                    available: Some(500 * MIB),
                    page_tables: Some(levels[i] * MIB),
                    ..Default::default()
                });
                let of = |pid, comm: &str, page_tables: u64| process::Process {
                    pid,
                    comm: comm.into(),
                    page_tables: Some(page_tables),
                    ..Default::default()
                };
                let backend = levels[i] * MIB / 3;
                let list = vec![of(5, "steady", 18 * MIB), of(6, "backend", backend), of(7, "backend", backend + 1)];
                s.processes = Some(process::Processes { list, not_listed: 0 });
                s
            })
            .collect();
        check(&Window::new(&models(&snapshots)).unwrap())
    }

    #[test]
    fn processes_of_one_name_count_together() {
        let finding = fired(over([24, 27, 30]));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.verdict.contains("2 processes named backend (the largest is pid 7)"), "{}", finding.verdict);
        assert!(finding.verdict.contains("3 MiB/s"), "{}", finding.verdict);
    }

    #[test]
    fn few_and_steady_tables_are_no_finding() {
        assert_eq!(over([3, 6, 9]), Outcome::Quiet);
        assert_eq!(over([90, 90, 90]), Outcome::Quiet);
    }

    #[test]
    fn without_meminfo_it_says_so() {
        let snapshots = [snapshot_at(1), snapshot_at(2)];
        assert!(matches!(check(&Window::new(&models(&snapshots)).unwrap()), Outcome::NoData { .. }));
    }
}
