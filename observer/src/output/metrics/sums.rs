//! Sums by a few labels over rows that come and go.
//!
//! The kernel side makes room in its maps: the row of a cgroup that is gone disappears with what it counted. A sum over
//! the rows that are left would go back; here what a row has counted stays in the sum of its label.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use super::top_k::{Counts, add, since};

/// Sums of the rows by label.
#[derive(Debug)]
pub(super) struct Sums<K, L, const N: usize> {
    last: HashMap<K, Counts<N>>,
    sums: BTreeMap<L, Counts<N>>,
}

impl<K, L, const N: usize> Default for Sums<K, L, N> {
    fn default() -> Self {
        Self { last: HashMap::new(), sums: BTreeMap::new() }
    }
}

impl<K: Eq + Hash, L: Ord, const N: usize> Sums<K, L, N> {
    /// Takes the cumulative counts of a snapshot: what names a row for good, its label, its counts.
    pub(super) fn update(&mut self, rows: impl IntoIterator<Item = (K, L, Counts<N>)>) {
        let mut seen = HashMap::new();
        for (key, label, counts) in rows {
            let growth = since(&counts, self.last.get(&key));
            add(self.sums.entry(label).or_insert([0; N]), &growth);
            seen.insert(key, counts);
        }
        self.last = seen;
    }

    /// Every label with its sum.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&L, &Counts<N>)> {
        self.sums.iter()
    }

    /// The sum of a label; zeros if there was no row of it.
    pub(super) fn get(&self, label: &L) -> Counts<N> {
        self.sums.get(label).copied().unwrap_or([0; N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_gone_stays_in_its_sum() {
        let mut sums = Sums::<u32, &str, 1>::default();
        sums.update([(1, "a", [5]), (2, "a", [7]), (3, "b", [1])]);
        sums.update([(2, "a", [9]), (3, "b", [1])]);
        assert_eq!((sums.get(&"a"), sums.get(&"b"), sums.get(&"c")), ([14], [1], [0]));
        // The same key again, begun anew.
        sums.update([(1, "a", [2]), (2, "a", [1])]);
        assert_eq!(sums.iter().collect::<Vec<_>>(), [(&"a", &[17]), (&"b", &[1])]);
    }
}
