//! What every command that looks at this host begins with.

use crate::source::{Collector, Options};

/// A collector of this host with the embedded eBPF object.
pub(super) fn collector() -> Collector {
    Collector::new(Options::default())
}
