//! Who asks for pages, over a window.

use std::collections::HashMap;

use super::{Evidence, common};
use crate::{
    model::Model,
    snapshot::{CgroupId, Name, page_alloc::AllocCounts},
    units,
};

/// The tracepoint behind every count here.
pub(super) const TRACEPOINT: &str = "kmem:mm_page_alloc";

/// What one process asked for in the window.
#[derive(Debug, Clone)]
pub(super) struct Allocator<'a> {
    pub comm: &'a Name,
    pub pid: u32,
    pub cgroup: Option<CgroupId>,
    pub cgroup_path: Option<&'a Name>,
    pub counts: AllocCounts,
}

impl Allocator<'_> {
    /// `NAME (pid N, cgroup PATH)`.
    pub(super) fn name(&self) -> String {
        process(self.comm, self.pid, self.cgroup_path)
    }
}

/// `NAME (pid N, cgroup PATH)`.
pub(super) fn process(comm: &Name, pid: u32, cgroup_path: Option<&Name>) -> String {
    match cgroup_path {
        Some(path) if pid != 0 => format!("{comm} (pid {pid}, cgroup {path})"),
        _ => common::process(comm, pid),
    }
}

/// The process with the most of `amount` in the window; `None` if all have none.
pub(super) fn most<'a>(models: &'a [Model], amount: impl Fn(&AllocCounts) -> u64) -> Option<Allocator<'a>> {
    let mut sums: HashMap<_, Allocator<'a>> = HashMap::new();
    for row in with_rates(models).flat_map(|p| &p.processes) {
        let counts = AllocCounts::default();
        let sum = sums.entry((row.pid, row.cgroup)).or_insert(Allocator {
            comm: &row.comm,
            pid: row.pid,
            cgroup: row.cgroup,
            cgroup_path: row.cgroup_path.as_ref(),
            counts,
        });
        sum.comm = &row.comm;
        sum.counts.add(&row.allocs.counts);
    }
    // Equal amounts: the smaller pid, so that the answer does not depend on the order of a map.
    let key = |a: &Allocator<'_>| (amount(&a.counts), std::cmp::Reverse(a.pid));
    sums.into_values().max_by_key(key).filter(|a| amount(&a.counts) > 0)
}

/// The cgroup with the most of `amount` in the window, ended processes included; its path where it is known.
pub(super) fn most_of_cgroup(models: &[Model], amount: impl Fn(&AllocCounts) -> u64) -> Option<(Option<&Name>, u64)> {
    let mut sums: HashMap<_, (Option<&Name>, u64)> = HashMap::new();
    for row in with_rates(models).flat_map(|p| &p.cgroups) {
        let sum = sums.entry(row.cgroup).or_default();
        sum.0 = row.path.as_ref();
        sum.1 += amount(&row.allocs.counts);
    }
    sums.into_values().max_by_key(|(path, n)| (*n, *path)).filter(|(_, n)| *n > 0)
}

/// All requests in the window; `None` where no model has an interval that counted them.
pub(super) fn total(models: &[Model]) -> Option<AllocCounts> {
    let mut sum = AllocCounts::default();
    let mut any = false;
    for counted in with_rates(models) {
        sum.add(&counted.total.counts);
        any = true;
    }
    any.then_some(sum)
}

/// Parts of the models that were counted over an interval, and not since the probes were attached.
pub(super) fn with_rates(models: &[Model]) -> impl Iterator<Item = &crate::model::page_alloc::PageAlloc> {
    models.iter().filter_map(|m| m.page_alloc.as_ref()).filter(|p| p.total.allocations.is_some())
}

/// Who asks for most pages: a hint where the kernel does not say whose the memory is.
pub(super) fn hint(models: &[Model], seconds: f64) -> Option<Evidence> {
    let who = most(models, AllocCounts::pages)?;
    let rate = units::per_second(who.counts.pages() as f64 / seconds.max(f64::MIN_POSITIVE));
    Some(Evidence::new(format!("most pages are asked for by {}", who.name()), format!("{rate} pages"), TRACEPOINT))
}

/// The size of a block: `order 9 (2 MiB)`.
pub(super) fn order_name(order: usize, page_size: u64) -> String {
    let bytes = u32::try_from(order).ok().and_then(|o| page_size.checked_shl(o));
    bytes.map_or_else(|| format!("order {order}"), |b| format!("order {order} ({})", units::bytes(b as f64)))
}
