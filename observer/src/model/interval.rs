//! Rates over an interval.

use std::{collections::HashMap, hash::Hash};

use serde::Serialize;

use crate::snapshot::{Log2Histogram, Snapshot};

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

/// Growth of a counter since `before`; all of it where there is none, or where it shrank: what counts was attached anew.
pub(super) fn grown(now: u64, before: Option<u64>) -> u64 {
    now.checked_sub(before.unwrap_or(0)).unwrap_or(now)
}

/// Growth of what is in no row. What a process counted that ended and made room goes over from its row to the others: it is
/// not new. Only that is which the whole has grown by, and no row: `now` and `before` are the sums over everything.
pub(super) fn grown_outside(now: u64, before: Option<u64>, in_rows: u64) -> u64 {
    grown(now, before).saturating_sub(in_rows)
}

/// What a histogram counted since `before`; all of it as for [`grown`].
pub(super) fn grown_histogram(now: &Log2Histogram, before: Option<&Log2Histogram>) -> Log2Histogram {
    before.and_then(|before| now.since(before)).unwrap_or_else(|| now.clone())
}

/// The rows of a ranking: each row of `now` beside the one of `before` with the same key. `row` gives what to rank by and
/// what to show, or nothing where nothing was counted. Largest first; equal ones stay in their order.
pub(super) fn ranked<'a, T, K: Eq + Hash, R>(
    now: &'a [T],
    before: Option<&'a [T]>,
    key: impl Fn(&'a T) -> K,
    row: impl Fn(&'a T, Option<&'a T>) -> Option<(u64, R)>,
) -> Vec<R> {
    let old: HashMap<K, &T> = before.unwrap_or_default().iter().map(|t| (key(t), t)).collect();
    let mut rows: Vec<_> = now.iter().filter_map(|t| row(t, old.get(&key(t)).copied())).collect();
    rows.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    rows.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_row_counted_before_it_made_room_is_not_new() {
        // Rows of 500 and 3 and 7 others; the first ended after 2 more, the second went on by 4.
        assert_eq!(grown_outside(502 + 7 + 7, Some(500 + 3 + 7), 4), 2);
        assert_eq!(grown_outside(10, None, 9), 1, "without an earlier snapshot it is what is in no row");
        assert_eq!(grown_outside(5, Some(90), 3), 2, "counted anew");
    }

    #[test]
    fn rows_meet_those_of_their_key_and_the_quiet_are_left_out() {
        let (before, now) = ([("a", 5), ("b", 7), ("d", 9)], [("b", 7), ("a", 6), ("c", 4), ("d", 2)]);
        let grown = |t: &(&'static str, u64), old: Option<&(&'static str, u64)>| {
            let n = grown(t.1, old.map(|o| o.1));
            (n > 0).then_some((n, (t.0, n)))
        };
        assert_eq!(ranked(&now, Some(&before), |t| t.0, grown), [("c", 4), ("d", 2), ("a", 1)], "d was counted anew");
        assert_eq!(ranked(&now, None, |t| t.0, grown).len(), 4);
    }
}
