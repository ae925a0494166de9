//! Retries of the page allocator over an interval.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, sort_descending},
};
use crate::snapshot::{Name, retry};

/// Retries of one kind by one process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retry {
    /// The process, with its counts since the probes were attached.
    #[serde(flatten)]
    pub who: retry::Retry,
    /// Path of its cgroup, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// Times in the interval; since the probes were attached if there is no interval.
    pub in_interval: u64,
    /// Times in the interval that the answer was no.
    pub refused_in_interval: u64,
    /// Times a second.
    pub per_second: Option<f64>,
}

/// Retries by process, most first.
pub(super) fn rank(
    now: &retry::Retries,
    before: Option<&retry::Retries>,
    interval: Option<Interval>,
    paths: &Paths<'_>,
) -> Vec<Retry> {
    let interval = interval.filter(|_| before.is_some());
    let key = |r: &retry::Retry| (r.cgroup, r.pid, r.kind);
    let old: HashMap<_, _> = before.map(|b| b.rows.iter().map(|r| (key(r), r)).collect()).unwrap_or_default();
    let mut rows: Vec<_> = now
        .rows
        .iter()
        .map(|r| {
            let old = old.get(&key(r));
            let count = r.count.checked_sub(old.map_or(0, |o| o.count)).unwrap_or(r.count);
            Retry {
                cgroup_path: paths.get(r.cgroup),
                in_interval: count,
                refused_in_interval: r.refused.checked_sub(old.map_or(0, |o| o.refused)).unwrap_or(r.refused),
                per_second: interval.map(|i| i.per_second(count)),
                who: r.clone(),
            }
        })
        .filter(|r| r.in_interval > 0)
        .collect();
    sort_descending(&mut rows, |r| r.in_interval as f64);
    rows
}
