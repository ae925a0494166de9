//! Room in the kernel's maps of cgroups: hosts that start containers all the time see more cgroups than any map holds.

use std::{collections::HashSet, hash::Hash, io};

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
    /// Keys of cgroups that were gone at the last read already: no task works in their name any more.
    gone: HashSet<K>,
}

impl<K: Plain + Eq + Hash, V: Plain> CgroupTable<K, V> {
    /// Opens the map of that name, which keeps `capacity` rows.
    pub(super) fn open(ebpf: &Ebpf, name: &str, capacity: u32) -> io::Result<Self> {
        Ok(Self { rows: Table::open(ebpf, name)?, capacity, gone: HashSet::new() })
    }

    /// Reads all rows. When more than half of the map is taken, those whose cgroup was gone at the last read and still is
    /// are dropped: their last counts have been told. `cgroup` gives a key's cgroup, 0 if unknown; `is_gone` tells whether
    /// a cgroup surely is no more.
    pub(super) fn read(
        &mut self,
        cgroup: impl Fn(&K) -> u64,
        is_gone: &dyn Fn(CgroupId) -> bool,
    ) -> io::Result<Vec<(K, V)>> {
        let mut rows = Vec::new();
        self.rows.for_each(|key, value| rows.push((*key, *value)))?;
        let crowded = rows.len() > self.capacity as usize / 2;
        let told = std::mem::take(&mut self.gone);
        let ended = |key: &K| crowded && cgroup(key) != 0 && is_gone(CgroupId(cgroup(key)));
        let (gone, mut kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(key, _)| ended(key));
        for (key, value) in gone {
            if told.contains(&key) {
                self.rows.delete(&key)?;
            } else {
                self.gone.insert(key);
                kept.push((key, value));
            }
        }
        Ok(kept)
    }
}
