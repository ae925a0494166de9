//! Retries of the page allocator over an interval.

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, grown, ranked},
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
    ranked(&now.rows, before.map(|b| b.rows.as_slice()), key, |r, old| {
        let count = grown(r.count, old.map(|o| o.count));
        let row = Retry {
            cgroup_path: paths.get(r.cgroup),
            in_interval: count,
            refused_in_interval: grown(r.refused, old.map(|o| o.refused)),
            per_second: interval.map(|i| i.per_second(count)),
            who: r.clone(),
        };
        (count > 0).then_some((count, row))
    })
}
