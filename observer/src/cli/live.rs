//! What every command that looks at this host begins with.

use std::{os::fd::BorrowedFd, time::Duration};

use tokio::time::Instant;

use super::{
    interrupt::{Interrupt, Wait},
    watched::{self, Watched},
};
use crate::{
    model::readings::Readings,
    output::metrics::sampler::Source,
    snapshot::Snapshot,
    source::{Collector, Options},
};

/// Readings of the connections while a report is made, unless time is short.
const READINGS: f64 = 12.0;
/// Least time between two of them.
const LEAST_STEP: Duration = Duration::from_millis(200);
/// They take no more than one part in so many of the time.
const SHARE: u32 = 20;

/// Options of the commands that look at this host: what costs too much to be seen always, and how far addresses are added up.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// See where the time to a connection's first byte goes: two probes that run at each TCP segment
    #[arg(long)]
    pub first_byte: bool,
    /// With --first-byte: see also how long what comes in waits for its soft interrupt: three probes at each interrupt
    #[arg(long, requires = "first_byte")]
    pub softirq_wait: bool,
    /// Traffic by network: bits of the prefix by which remote IPv4 addresses are one network (default 24)
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=32))]
    pub ipv4_prefix: Option<u8>,
    /// The same for IPv6 (default 48)
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=128))]
    pub ipv6_prefix: Option<u8>,
}

/// What there is to see, with the embedded eBPF object.
pub(super) fn options(args: &Args) -> Options {
    let mut options = Options { watch_oom: true, ..Options::default() };
    options.kernel.first_byte = args.first_byte;
    options.kernel.softirq_wait = args.softirq_wait;
    let traffic = &mut options.kernel.traffic;
    traffic.v4_prefix = args.ipv4_prefix.unwrap_or(traffic.v4_prefix);
    traffic.v6_prefix = args.ipv6_prefix.unwrap_or(traffic.v6_prefix);
    options
}

/// A collector of this host.
pub(super) fn collector(args: &Args) -> Collector {
    Collector::new(options(args))
}

/// This host, seen until somebody asks us to stop.
#[derive(Debug)]
pub(super) struct Live<S> {
    source: S,
    interrupt: Interrupt,
}

impl Live<Collector> {
    /// Begins to look.
    pub(super) fn new(args: &Args) -> anyhow::Result<Self> {
        Self::begin(|| collector(args))
    }

    /// Waits until `deadline`, and reads the connections now and then. The error is the number of the signal that ended it.
    pub(super) fn watch_until(&mut self, deadline: Instant, last: &Snapshot) -> Result<Readings, i32> {
        let mut readings = Readings::default();
        let mut step = (deadline - Instant::now()).div_f64(READINGS).max(LEAST_STEP);
        let mut next = Instant::now() + step;
        while next + LEAST_STEP <= deadline {
            self.wait_until(next)?;
            let Some(sockets) = self.source.sockets(last) else { break };
            readings.add(&sockets);
            // A reading of very many connections takes long, and is not to be what the host is busy with.
            step = step.max(next.elapsed() * SHARE);
            next += step;
        }
        self.wait_until(deadline)?;
        Ok(readings)
    }
}

impl Live<Watched> {
    /// Begins to look, with an eye on OOM kills.
    pub(super) fn watching(args: &watched::Args, look: &Args) -> anyhow::Result<Self> {
        Self::begin(|| Watched::new(args, look))
    }
}

impl<S: Source> Live<S> {
    fn begin(open: impl FnOnce() -> S) -> anyhow::Result<Self> {
        // Signals come first: one that arrives while probes are attached ends the command as any other does.
        let mut interrupt = Interrupt::new()?;
        let source = open();
        if let Some(fd) = source.events_fd() {
            interrupt.watch(fd)?;
        }
        Ok(Self { source, interrupt })
    }

    /// Reads everything now.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let started = Instant::now();
        let snapshot = self.source.snapshot();
        tracing::debug!("snapshot in {:?}", started.elapsed());
        snapshot
    }

    /// Waits until `deadline`. The error is the number of the signal that ended it.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> Result<(), i32> {
        loop {
            match self.interrupt.wait_until(deadline) {
                Wait::Elapsed => return Ok(()),
                Wait::Interrupted(signal) => return Err(signal),
                // Kept for the next snapshot.
                Wait::Readable => self.source.take_events(),
            }
        }
    }
}

impl Source for Collector {
    fn snapshot(&mut self) -> Snapshot {
        Self::snapshot(self)
    }

    fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        Self::events_fd(self)
    }

    fn take_events(&mut self) {
        // They are in the next snapshot.
        drop(self.events());
    }
}
