//! Room in the kernel's maps of cgroups: hosts that start containers all the time see more cgroups than any map holds.

use std::{collections::HashMap, hash::Hash, io};

use aya::Ebpf;
use observer_ebpf::abi::Plain;

use super::maps::Table;
use crate::snapshot::CgroupId;

/// A table whose keys belong to cgroups.
#[derive(Debug)]
pub(super) struct CgroupTable<K, V> {
    rows: Table<K, V>,
    /// Rows that the kernel side keeps.
    capacity: u32,
    /// Rows of cgroups that were gone at the last read already, with what was told of them.
    gone: HashMap<K, V>,
}

impl<K: Plain + Eq + Hash, V: Plain + PartialEq> CgroupTable<K, V> {
    /// Opens the map of that name, which keeps `capacity` rows.
    pub(super) fn open(ebpf: &Ebpf, name: &str, capacity: u32) -> io::Result<Self> {
        Ok(Self { rows: Table::open(ebpf, name)?, capacity, gone: HashMap::new() })
    }

    /// Reads all rows. When more than half of the map is taken, those whose cgroup is gone are dropped once all that they
    /// count has been told. `cgroup` gives a key's cgroup, 0 if unknown; `is_gone` tells whether a cgroup surely is no more.
    pub(super) fn read(
        &mut self,
        cgroup: impl Fn(&K) -> u64,
        is_gone: &dyn Fn(CgroupId) -> bool,
    ) -> io::Result<Vec<(K, V)>> {
        let mut rows = Vec::new();
        self.rows.for_each(|key, value| rows.push((*key, *value)))?;
        let crowded = rows.len() > self.capacity as usize / 2;
        let ended = |key: &K| crowded && cgroup(key) != 0 && is_gone(CgroupId(cgroup(key)));
        let told = std::mem::take(&mut self.gone);
        let (kept, dropped, gone) = sort(rows, ended, &told);
        self.gone = gone;
        dropped.iter().try_for_each(|key| self.rows.delete(key))?;
        Ok(kept)
    }
}

/// Rows that are told, keys of those that are dropped, and rows of cgroups that have ended.
type Sorted<K, V> = (Vec<(K, V)>, Vec<K>, HashMap<K, V>);

/// A row is dropped if its cgroup had ended at the last read already and nothing was counted since: between the reading of
/// a row and the question for its cgroup the cgroup may still count, and end.
fn sort<K: Copy + Eq + Hash, V: Copy + PartialEq>(
    rows: Vec<(K, V)>,
    ended: impl Fn(&K) -> bool,
    told: &HashMap<K, V>,
) -> Sorted<K, V> {
    let (mut kept, mut dropped, mut gone) = (Vec::with_capacity(rows.len()), Vec::new(), HashMap::new());
    for (key, value) in rows {
        if ended(&key) {
            if told.get(&key) == Some(&value) {
                dropped.push(key);
                continue;
            }
            gone.insert(key, value);
        }
        kept.push((key, value));
    }
    (kept, dropped, gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_dropped_only_when_all_of_it_was_told() {
        let ended = |key: &u64| *key != 1;
        let (kept, dropped, gone) = sort(vec![(1, 10), (2, 20), (3, 30)], ended, &HashMap::new());
        assert_eq!((kept.as_slice(), dropped.len()), (&[(1, 10), (2, 20), (3, 30)][..], 0), "told once at least");
        let (kept, dropped, gone) = sort(vec![(1, 10), (2, 21), (3, 30)], ended, &gone);
        assert_eq!((kept, dropped), (vec![(1, 10), (2, 21)], vec![3]), "the second has counted since");
        let (kept, dropped, gone) = sort(vec![(1, 11), (2, 21)], ended, &gone);
        assert_eq!((kept, dropped, gone.len()), (vec![(1, 11)], vec![2], 0));
    }

    #[test]
    fn a_cgroup_that_is_there_after_all_is_kept() {
        let (_, _, gone) = sort(vec![(2, 20)], |_| true, &HashMap::new());
        let (kept, dropped, gone) = sort(vec![(2, 20)], |_| false, &gone);
        assert_eq!((kept, dropped.len(), gone.len()), (vec![(2, 20)], 0, 0));
    }
}
