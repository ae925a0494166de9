//! Reads shrinkers by function.

use std::io;

use aya::Ebpf;
use observer_ebpf::abi::shrinker::Value;

use super::{histogram, maps::Table};
use crate::{
    snapshot::{Name, coverage::Source, shrinker::Shrinker},
    source::kallsyms::Kallsyms,
};

/// Stands for every function whose name is not known.
const UNKNOWN: &str = "unknown function";

/// Reader of the map of shrinkers.
#[derive(Debug)]
pub(super) struct Reader {
    functions: Table<u64, Value>,
    symbols: Kallsyms,
    /// Functions without a name at the last read.
    nameless: usize,
}

impl Reader {
    /// Opens the map.
    pub(super) fn open(ebpf: &Ebpf) -> io::Result<Self> {
        Ok(Self { functions: Table::open(ebpf, "obs_shr_funcs")?, symbols: Kallsyms::default(), nameless: 0 })
    }

    /// Reads all sums.
    pub(super) fn read(&mut self) -> io::Result<Vec<Shrinker>> {
        let mut rows = Vec::new();
        self.functions.for_each(|function, value| rows.push((*function, *value)))?;
        self.symbols.learn(rows.iter().map(|(function, _)| *function));
        let all = rows.len();
        let mut out: Vec<Shrinker> = Vec::with_capacity(all);
        let mut unknown: Option<Shrinker> = None;
        for (function, value) in &rows {
            match (self.symbols.name(*function), &mut unknown) {
                (Some(name), _) => out.push(shrinker(name.clone(), value)),
                (None, None) => unknown = Some(shrinker(Name::from(UNKNOWN), value)),
                (None, Some(sum)) => add(sum, value),
            }
        }
        self.nameless = all - out.len();
        out.extend(unknown);
        Ok(out)
    }

    /// Says why functions have no name, if there are any.
    pub(super) fn source(&self) -> Option<Source> {
        let why = format!(
            "it names {} shrinkers by no function, they are told together; names are for those with cap_syslog, and for \
             nobody where kernel.kptr_restrict is 2",
            self.nameless
        );
        (self.nameless > 0).then(|| Source { name: Source::KALLSYMS.to_owned(), missing: Some(Name::from(why)) })
    }
}

fn shrinker(function: Name, value: &Value) -> Shrinker {
    Shrinker {
        function,
        count: value.count,
        total_ns: value.total_ns,
        max_ns: value.max_ns,
        freed: value.freed,
        latency_ns: histogram(&value.latency),
    }
}

fn add(sum: &mut Shrinker, value: &Value) {
    sum.count += value.count;
    sum.total_ns += value.total_ns;
    sum.max_ns = sum.max_ns.max(value.max_ns);
    sum.freed += value.freed;
    sum.latency_ns.add(&histogram(&value.latency));
}
