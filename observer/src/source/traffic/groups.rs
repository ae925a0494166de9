//! The busiest few of a kind, each with a count that begins at zero when it gets its row.

use std::{cmp::Reverse, collections::HashMap, hash::Hash};

use crate::snapshot::tcp::{Share, TrafficTotals};

/// Rows of one kind. Every growth is credited once: to the row of its key, or to none. So the growth of the total less that
/// of the rows is exactly what is in no row, over any time.
#[derive(Debug)]
pub(super) struct Groups<K> {
    most: usize,
    rows: HashMap<K, Row>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Row {
    totals: TrafficTotals,
    /// Bytes of late: of the last round all, of the one before half, and so on.
    weight: u64,
}

impl<K: Copy + Eq + Hash> Groups<K> {
    /// No row yet, and never more than `most`.
    pub(super) fn new(most: usize) -> Self {
        Self { most, rows: HashMap::new() }
    }

    /// Credits what was counted in one round. A key without a row gets one if there is room, or if it was busier in this
    /// round than the quietest row has been of late, which then loses its place.
    pub(super) fn credit(&mut self, grown: HashMap<K, TrafficTotals>) {
        self.rows.values_mut().for_each(|row| row.weight /= 2);
        let mut newcomers = Vec::new();
        for (key, totals) in grown {
            match self.rows.get_mut(&key) {
                Some(row) => {
                    row.totals.add(&totals);
                    row.weight = row.weight.saturating_add(weight(&totals));
                }
                None => newcomers.push((weight(&totals), key, totals)),
            }
        }
        newcomers.sort_unstable_by_key(|(weight, ..)| Reverse(*weight));
        let mut newcomers = newcomers.into_iter();
        for (weight, key, totals) in newcomers.by_ref().take(self.most.saturating_sub(self.rows.len())) {
            self.rows.insert(key, Row { totals, weight });
        }
        let mut quiet: Vec<_> = self.rows.iter().map(|(key, row)| (row.weight, *key)).collect();
        quiet.sort_unstable_by_key(|(weight, _)| *weight);
        for ((weight, key, totals), (quietest, loser)) in newcomers.zip(quiet) {
            if weight <= quietest {
                break;
            }
            self.rows.remove(&loser);
            self.rows.insert(key, Row { totals, weight });
        }
    }

    /// All rows, the one with the most traffic of late first.
    pub(super) fn shares<T>(&self, show: impl Fn(&K) -> T) -> Vec<Share<T>> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(_, row)| Reverse((row.weight, row.totals.bytes())));
        rows.into_iter().map(|(key, row)| Share { key: show(key), totals: row.totals }).collect()
    }
}

/// What a key is ranked by: bytes, and something for each connection, so that those without data count too.
fn weight(totals: &TrafficTotals) -> u64 {
    totals.bytes().saturating_add(totals.began).saturating_add(totals.ended)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(n: u64) -> TrafficTotals {
        TrafficTotals { bytes_acked: n, ..TrafficTotals::default() }
    }

    fn rows(groups: &Groups<u8>) -> HashMap<u8, u64> {
        groups.shares(|k| *k).into_iter().map(|s| (s.key, s.totals.bytes_acked)).collect()
    }

    #[test]
    fn what_is_busy_now_takes_the_place_of_what_was() {
        let mut groups = Groups::new(2);
        groups.credit(HashMap::from([(1, bytes(1000)), (2, bytes(10)), (3, bytes(5))]));
        assert_eq!(rows(&groups), HashMap::from([(1, 1000), (2, 10)]));
        groups.credit(HashMap::from([(3, bytes(50)), (2, bytes(1))]));
        assert_eq!(rows(&groups), HashMap::from([(1, 1000), (3, 50)]), "it begins at zero");
        (0..6).for_each(|_| groups.credit(HashMap::from([(3, bytes(50)), (2, bytes(40))])));
        assert_eq!(groups.shares(|k| *k).iter().map(|s| s.key).collect::<Vec<_>>(), [3, 2], "busiest first");
    }

    proptest! {
        #[test]
        fn rows_grow_by_what_is_theirs_and_never_by_more_than_the_total(
            rounds in proptest::collection::vec(proptest::collection::hash_map(0u8..12, 0u64..1000, 0..12), 1..30)
        ) {
            let mut groups = Groups::new(3);
            let mut before = HashMap::new();
            for grown in rounds {
                groups.credit(grown.iter().map(|(k, n)| (*k, bytes(*n))).collect());
                let now = rows(&groups);
                prop_assert!(now.len() <= 3);
                for (key, n) in &now {
                    let had = before.get(key).copied().unwrap_or(0);
                    prop_assert_eq!(n - had, grown.get(key).copied().unwrap_or(0));
                }
                before = now;
            }
        }
    }
}
