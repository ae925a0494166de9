//! What several rules need: means over a window, and the ways to say who and why not.

use super::{Outcome, Window};
use crate::{
    model::Model,
    snapshot::{CgroupId, Name},
};

/// Mean of a rate over the models that have it, weighted by their intervals.
pub(super) fn mean(models: &[Model], rate: impl Fn(&Model) -> Option<f64>) -> Option<f64> {
    weighted(models.iter().filter_map(|m| Some((rate(m)?, m.interval?.seconds))))
}

/// Mean of rates, each with the seconds that it held for.
pub(super) fn weighted(rates: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (amount, seconds) = rates.fold((0.0, 0.0), |sum, (rate, s)| (sum.0 + rate * s, sum.1 + s));
    (seconds > 0.0).then(|| amount / seconds)
}

/// Mean growth of a level that grew in most of the intervals: what goes up and down is no growth. `None` if it did not, or
/// no model tells.
pub(super) fn steady_growth(models: &[Model], growth: impl Fn(&Model) -> Option<f64>) -> Option<f64> {
    let known: Vec<f64> = models.iter().filter_map(&growth).collect();
    let grew = known.iter().filter(|g| **g > 0.0).count();
    mean(models, growth).filter(|g| *g > 0.0 && grew * 3 >= known.len() * 2)
}

/// What a rule answers that compares two snapshots and has one.
pub(super) fn needs_interval(window: &Window<'_>) -> Option<Outcome> {
    let missing = window.newest().interval.is_none();
    missing.then(|| Outcome::NoData { lacks: "a second snapshot of the same boot".into(), reason: None })
}

/// What a rule answers without a source, with the reason that coverage gives.
pub(super) fn no_source(window: &Window<'_>, lacks: &str, source: &str) -> Outcome {
    Outcome::NoData { lacks: lacks.into(), reason: window.newest().coverage.source_reason(source).cloned() }
}

/// What a rule answers without the probes of a part, with the reason that coverage gives.
pub(super) fn no_probe(window: &Window<'_>, lacks: &str, feeds: &str) -> Outcome {
    Outcome::NoData { lacks: lacks.into(), reason: window.newest().coverage.probe_reason(feeds).cloned() }
}

/// A cgroup for people.
pub(super) fn cgroup(path: Option<&Name>, id: Option<CgroupId>) -> String {
    match (path, id) {
        (Some(path), _) => format!("cgroup {path}"),
        (None, Some(CgroupId(id))) => format!("cgroup with id {id} (gone or not listed)"),
        (None, None) => "an unknown cgroup".into(),
    }
}

/// A process for people.
pub(super) fn process(comm: &Name, pid: u32) -> String {
    if pid == 0 { "interrupts on an idle CPU".to_owned() } else { format!("{comm} (pid {pid})") }
}

/// The process of a cgroup that allocates most, or of the host if no cgroup is given.
pub(super) fn top_allocator(model: &Model, cgroup: Option<CgroupId>) -> Option<&crate::model::page_alloc::Process> {
    let all = &model.page_alloc.as_ref()?.processes;
    all.iter().find(|p| p.pid != 0 && (cgroup.is_none() || p.cgroup == cgroup))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::testing::{models, snapshot_at};
    use crate::snapshot::memory::Meminfo;

    fn levels(levels: &[u64]) -> Vec<Model> {
        let at = |(second, level): (usize, &u64)| {
            let mut s = snapshot_at(second as u64 + 1);
            s.memory.meminfo = Some(Meminfo { shmem: Some(*level), ..Meminfo::default() });
            s
        };
        models(&levels.iter().enumerate().map(at).collect::<Vec<_>>())
    }

    #[test]
    fn what_goes_up_and_down_is_no_growth() {
        let growth = |levels_: &[u64]| steady_growth(&levels(levels_), |m| m.memory.growth.shmem);
        assert_eq!(growth(&[0, 10, 20, 30]), Some(10.0));
        assert_eq!(growth(&[0, 40, 20, 30]), Some(10.0), "two of three intervals");
        assert_eq!(growth(&[0, 60, 20, 10]), None);
        assert_eq!(growth(&[30, 20, 10]), None);
        assert_eq!(growth(&[1]), None);
    }
}
