//! What every command that looks at this host begins with.

use crate::source::{Collector, Options};

/// Everything there is to see, with the embedded eBPF object.
pub(super) fn options() -> Options {
    Options::default()
}

/// A collector of this host.
pub(super) fn collector() -> Collector {
    Collector::new(options())
}
