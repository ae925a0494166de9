//! Reads the packets that were dropped.

use std::{collections::HashMap, io};

use aya::Ebpf;
use observer_ebpf::abi::drops::{Key, NO_REASON};

use super::{
    maps::{Array, PerCpuTable},
    names::Words,
};
use crate::{
    snapshot::{
        Name,
        coverage::Source,
        drops::{Drop, Drops},
    },
    source::kallsyms::Frames,
};

/// Reader of the map of drops.
#[derive(Debug)]
pub(super) struct Reader {
    drops: PerCpuTable<Key, u64>,
    other: Array<u64>,
    reasons: Words,
    functions: Frames,
    /// Places without a name at the last read.
    nameless: usize,
}

impl Reader {
    /// Opens the maps, the first of which holds at most `capacity` keys.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32, reasons: Words) -> io::Result<Self> {
        Ok(Self {
            drops: PerCpuTable::open(ebpf, "obs_drops", capacity)?,
            other: Array::open(ebpf, "obs_drops_rest")?,
            reasons,
            functions: Frames::default(),
            nameless: 0,
        })
    }

    /// Reads all counts. Places inside one function are told together.
    pub(super) fn read(&mut self) -> io::Result<Drops> {
        let mut rows: Vec<(Key, u64)> = Vec::new();
        self.drops.for_each(|key, cpus| rows.push((*key, cpus.sum())))?;
        let places: Vec<u64> = rows.iter().map(|(key, _)| key.location).collect();
        // All at once: looking names up takes one reading of a long file.
        self.functions.chain(&places);
        let mut merged: HashMap<(Key, Option<Name>), u64> = HashMap::new();
        for (key, packets) in rows {
            let function = self.function(key.location);
            let place = if function.is_some() { 0 } else { key.location };
            *merged.entry((Key { location: place, ..key }, function)).or_default() += packets;
        }
        self.nameless = merged.keys().filter(|(_, function)| function.is_none()).count();
        let mut list: Vec<_> = merged
            .into_iter()
            .map(|((key, function), packets)| Drop {
                reason: (key.reason != NO_REASON).then(|| self.reasons.get(key.reason)),
                function,
                netns: (key.netns != 0).then_some(u64::from(key.netns)),
                ifindex: (key.ifindex != 0).then_some(key.ifindex),
                protocol: (key.protocol != 0).then_some(key.protocol),
                packets,
            })
            .collect();
        list.sort_by_key(|drop| std::cmp::Reverse(drop.packets));
        Ok(Drops { list, other: self.other.get(0)? })
    }

    fn function(&mut self, place: u64) -> Option<Name> {
        let frame = self.functions.chain(&[place])?.into_iter().next()?;
        (frame.function.as_str() != "?").then_some(frame.function)
    }

    /// Says why places have no name, if there are any.
    pub(super) fn source(&self) -> Option<Source> {
        let why = format!(
            "/proc/kallsyms names {} places where packets were dropped by no function; names are for those with cap_syslog, and for \
             nobody where kernel.kptr_restrict is 2",
            self.nameless
        );
        (self.nameless > 0).then(|| Source { name: Source::DROP_FUNCTIONS.to_owned(), missing: Some(Name::from(why)) })
    }
}
