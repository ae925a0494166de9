//! Cgroups that were removed and still hold memory.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, common::no_source};
use crate::{snapshot::coverage::Source, units};

/// Removed cgroups that are worth knowing of, if they are more than those in use.
const MANY: u64 = 200;
/// Removed cgroups from which walking them costs every reclaim and every reading of statistics time.
const TOO_MANY: u64 = 2000;

pub(super) const RULE: Rule =
    Rule { name: "zombie_cgroups", about: "Removed memory cgroups live on, held by page cache or slab.", check };

fn check(window: &Window<'_>) -> Outcome {
    let Some(summary) = &window.newest().cgroup_summary else {
        return no_source(window, "memory cgroups", Source::CGROUPS);
    };
    let Some(dying) = summary.dying else {
        let lacks = "the number of removed cgroups (cgroup.stat, or num_cgroups of /proc/cgroups where the whole hierarchy is seen)".into();
        return Outcome::NoData { lacks, reason: None };
    };
    if dying < MANY || dying <= summary.listed {
        return Outcome::Quiet;
    }
    let mut evidence = vec![
        Evidence::new(
            "removed cgroups that live on",
            units::count(dying as f64),
            "cgroup.stat nr_dying_subsys_memory or nr_dying_descendants (v2); /proc/cgroups num_cgroups less those listed (v1)",
        ),
        Evidence::new("cgroups in use", units::count(summary.listed as f64), "folders of the hierarchy"),
    ];
    let models = window.all();
    let first = models.iter().find_map(|m| Some((m.stamp, m.cgroup_summary.as_ref()?.dying?)));
    if let Some((stamp, before)) = first {
        let ns = window.newest().stamp.monotonic_ns.saturating_sub(stamp.monotonic_ns);
        if ns > 0 {
            let rate = (dying as f64 - before as f64) / (ns as f64 / 1e9);
            evidence.push(Evidence::new("growth a second", format!("{rate:+.1}"), "the same, two readings"));
        }
    }
    let percpu = window.newest().memory.meminfo.as_ref().and_then(|m| m.percpu);
    if let Some(percpu) = percpu {
        let what = "per-CPU allocations, where each cgroup has its counters";
        evidence.push(Evidence::new(what, units::bytes(percpu as f64), "/proc/meminfo Percpu"));
    }
    Outcome::Fires(Finding {
        rule: RULE.name,
        severity: if dying >= TOO_MANY { Severity::Warning } else { Severity::Info },
        verdict: format!(
            "{} removed cgroups live on: page cache or slab that they were charged for still holds them",
            units::count(dying as f64)
        ),
        evidence,
        advice: vec![
            "They go when their memory is reclaimed. To see whether it is page cache: `sync; echo 1 > /proc/sys/vm/drop_caches` on a quiet moment lets those go.".into(),
            "Before a cgroup is removed, empty it: memory.reclaim (v2), memory.force_empty (v1). Files on tmpfs and in shared images keep the first cgroup that touched them.".into(),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::Cgroups,
    };

    fn outcome(dying: Option<u64>) -> Outcome {
        let at = |second| {
            let mut s = snapshot_at(second);
            s.cgroups = Some(Cgroups { dying, ..Cgroups::default() });
            s
        };
        check(&Window::new(&models(&[at(1), at(2)])).unwrap())
    }

    #[test]
    fn many_are_said_and_thousands_are_warned_of() {
        assert_eq!(outcome(Some(30)), Outcome::Quiet);
        assert_eq!(fired(outcome(Some(300))).severity, Severity::Info);
        assert_eq!(fired(outcome(Some(30_000))).severity, Severity::Warning);
        assert!(matches!(outcome(None), Outcome::NoData { .. }));
    }
}
