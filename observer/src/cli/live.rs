//! What every command that looks at this host begins with.

use std::time::Duration;

use tokio::time::Instant;

use super::interrupt::{Interrupt, Wait};
use crate::{
    snapshot::Snapshot,
    source::{Collector, Options},
};

/// Everything there is to see, with the embedded eBPF object.
pub(super) fn options() -> Options {
    Options::default()
}

/// A collector of this host.
pub(super) fn collector() -> Collector {
    Collector::new(options())
}

/// This host, seen until somebody asks us to stop.
#[derive(Debug)]
pub(super) struct Live {
    collector: Collector,
    interrupt: Interrupt,
}

impl Live {
    /// Begins to look.
    pub(super) fn new() -> anyhow::Result<Self> {
        // Signals come first: one that arrives while probes are attached ends the command as any other does.
        let mut interrupt = Interrupt::new()?;
        let collector = collector();
        if let Some(fd) = collector.events_fd() {
            interrupt.watch(fd)?;
        }
        Ok(Self { collector, interrupt })
    }

    /// Reads everything now.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let started = Instant::now();
        let snapshot = self.collector.snapshot();
        tracing::debug!("snapshot in {:?}", started.elapsed());
        snapshot
    }

    /// Waits until `deadline`. The error is the number of the signal that ended it.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> Result<(), i32> {
        loop {
            match self.interrupt.wait_until(deadline) {
                Wait::Elapsed => return Ok(()),
                Wait::Interrupted(signal) => return Err(signal),
                // Kept by the collector for the next snapshot.
                Wait::Readable => drop(self.collector.events()),
            }
        }
    }

    /// Waits for a time. The error is the number of the signal that ended it.
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), i32> {
        self.wait_until(Instant::now() + time)
    }
}
