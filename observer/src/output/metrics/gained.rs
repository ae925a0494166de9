//! The busiest few by name, of counts that are older than observer and that it does not see at every look.
//!
//! Counters of interfaces, CPUs and sockets began long before, and an interface may be missing from one snapshot and be there
//! in the next one. So what counts is the growth from look to look: none at the first one, and none of a field that shrank.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
};

use super::top_k::{Counts, LINGER_NS, TopK, add};

/// Series by label, at most `top` of them, and the rest.
#[derive(Debug)]
pub(super) struct Gained<K, const N: usize> {
    last: HashMap<K, (Counts<N>, u64)>,
    series: TopK<K, N>,
}

impl<K: Eq + Hash, const N: usize> Gained<K, N> {
    /// No series yet; at most `top` will have a name, by the sum of their counts.
    pub(super) fn new(top: usize) -> Self {
        Self { last: HashMap::new(), series: TopK::new(top, |c| c.iter().sum()) }
    }

    /// Takes cumulative counts: what names a row for good, its label, its counts. What is missing is remembered for a while.
    pub(super) fn update(&mut self, now_ns: u64, rows: impl IntoIterator<Item = (K, Vec<String>, Counts<N>)>) {
        let mut grown = BTreeMap::new();
        for (key, label, counts) in rows {
            let growth = match self.last.insert(key, (counts, now_ns)) {
                Some((before, _)) => std::array::from_fn(|i| match (counts.get(i), before.get(i)) {
                    (Some(now), Some(before)) => now.saturating_sub(*before),
                    _ => 0,
                }),
                None => [0; N],
            };
            add(grown.entry(label).or_insert([0; N]), &growth);
        }
        self.last.retain(|_, (_, seen_ns)| now_ns.saturating_sub(*seen_ns) < LINGER_NS);
        self.credit(now_ns, grown);
    }

    /// Takes what has grown since the last time, by label; what has not grown lives, too.
    pub(super) fn credit(&mut self, now_ns: u64, grown: BTreeMap<Vec<String>, Counts<N>>) {
        let mut total = [0; N];
        grown.values().for_each(|counts| add(&mut total, counts));
        let living: HashSet<_> = grown.keys().cloned().collect();
        self.series.credit(now_ns, grown, total, |label| living.contains(label));
    }

    /// Every series with its label values, then the rest, whose `labels` label values are all `other`.
    pub(super) fn each(&self, labels: usize, show: impl FnMut(&[&str], &Counts<N>)) {
        self.series.each(labels, show);
    }

    /// True if the label has a series.
    pub(super) fn has(&self, label: &[String]) -> bool {
        self.series.labels().any(|l| l == label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_past_a_gap_and_a_counter_that_shrank_make_no_jump() {
        let mut gained = Gained::<u32, 2>::new(8);
        let mut at = |second: u64, rows: &[(u32, Counts<2>)]| {
            gained.update(second * SECOND, rows.iter().map(|(key, counts)| (*key, vec![key.to_string()], *counts)));
            let mut sums = [0; 2];
            gained.each(1, |_, counts| add(&mut sums, counts));
            sums
        };
        assert_eq!(at(1, &[(1, [1000, 1000])]), [0, 0]);
        assert_eq!(at(2, &[(1, [1005, 1000]), (2, [50, 50])]), [5, 0]);
        assert_eq!(at(3, &[(2, [51, 49])]), [6, 0], "one field of the second shrank");
        assert_eq!(at(4, &[(1, [1010, 1001]), (2, [51, 49])]), [11, 1], "the first one missed a look");
        assert_eq!(at(1000, &[]), [0, 0], "both have ended");
        assert_eq!(at(1001, &[(1, [2000, 2000])]), [0, 0], "and were forgotten");
    }
}
