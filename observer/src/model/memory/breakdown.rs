//! Where RAM is, and what no counter explains.

use serde::Serialize;

use crate::snapshot;

/// RAM by use. The parts do not overlap.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Breakdown {
    /// RAM that the kernel manages.
    pub total: u64,
    /// Every use that a counter tells, in a fixed order; together with [`Self::unexplained`] they are the total.
    pub parts: Vec<Part>,
    /// What is left when every part is taken from the total: pages that a driver or another part of the kernel took for
    /// itself. Negative where counters that are read one after the other overlap.
    pub unexplained: i64,
    /// Counters that this kernel lacks or that could not be read: their memory is in [`Self::unexplained`].
    pub not_counted: Vec<&'static str>,
}

/// One use of RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is, such as `anonymous`.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// The counters that tell it, such as `/proc/meminfo AnonPages`.
    pub source: &'static str,
}

impl Breakdown {
    pub(super) fn new(_now: &snapshot::memory::Memory) -> Option<Self> {
        None
    }
}
