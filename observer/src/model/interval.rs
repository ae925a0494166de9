//! Rates over an interval.

use serde::Serialize;

use crate::snapshot::Snapshot;

/// The time between two snapshots of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Seconds of `CLOCK_MONOTONIC`, above zero.
    pub seconds: f64,
}

impl Interval {
    /// The interval from `before` to `now`. `None` if they are not of one boot or not in that order.
    pub fn between(before: &Snapshot, now: &Snapshot) -> Option<Self> {
        if before.host.boot_id != now.host.boot_id {
            return None;
        }
        let ns = now.stamp.monotonic_ns.checked_sub(before.stamp.monotonic_ns).filter(|ns| *ns > 0)?;
        Some(Self { seconds: ns as f64 / 1e9 })
    }

    /// `amount` per second.
    pub fn per_second(self, amount: u64) -> f64 {
        amount as f64 / self.seconds
    }
}

/// Growth of a counter per second. `None` if a side is missing, or the counter shrank.
pub(crate) fn rate(interval: Option<Interval>, now: Option<u64>, before: Option<u64>) -> Option<f64> {
    Some(interval?.per_second(now?.checked_sub(before?)?))
}

/// `part` of `whole`, 0 to 1. `None` if there is no whole.
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Sorts by a number, largest first; equal ones stay in their order.
pub(crate) fn sort_descending<T>(rows: &mut [T], key: impl Fn(&T) -> f64) {
    rows.sort_by(|a, b| key(b).total_cmp(&key(a)));
}
