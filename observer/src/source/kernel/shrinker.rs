//! Reads shrinkers by function.

use std::io;

use aya::Ebpf;
use observer_ebpf::abi::shrinker::Value;

use super::{histogram, maps::Table};
use crate::{snapshot::shrinker::Shrinker, source::kallsyms::Kallsyms};

/// Reader of the map of shrinkers.
#[derive(Debug)]
pub(super) struct Reader {
    functions: Table<u64, Value>,
    symbols: Kallsyms,
}

impl Reader {
    /// Opens the map.
    pub(super) fn open(ebpf: &Ebpf) -> io::Result<Self> {
        Ok(Self { functions: Table::open(ebpf, "obs_shr_funcs")?, symbols: Kallsyms::default() })
    }

    /// Reads all sums.
    pub(super) fn read(&mut self) -> io::Result<Vec<Shrinker>> {
        let mut rows = Vec::new();
        self.functions.for_each(|function, value| rows.push((*function, *value)))?;
        self.symbols.learn(rows.iter().map(|(function, _)| *function));
        Ok(rows.iter().map(|(function, value)| self.shrinker(*function, value)).collect())
    }

    fn shrinker(&self, function: u64, value: &Value) -> Shrinker {
        Shrinker {
            function: self.symbols.name(function),
            count: value.count,
            total_ns: value.total_ns,
            max_ns: value.max_ns,
            freed: value.freed,
            latency_ns: histogram(&value.latency),
        }
    }
}
