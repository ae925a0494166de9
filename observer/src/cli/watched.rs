//! This host with an eye on OOM kills: what `serve`, `top`, `record` and `oom watch` have in common.

use std::{os::fd::BorrowedFd, path::PathBuf};

use super::{live, survive::Protection};
use crate::{
    output::{
        flight::{self, Bounds, FlightRecorder},
        metrics::sampler::Source,
        tui::feed::Host,
    },
    snapshot::{Snapshot, oom_record::Told},
    source::{Collector, host, oom_watch::OomNews},
};

/// Options of the commands that watch for OOM kills.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "OOM kills")]
#[group(skip)]
pub struct Args {
    /// Store each OOM kill in this folder, with the report of the kernel and the snapshots of the minutes before
    #[arg(long, value_name = "DIR")]
    pub oom_dir: Option<PathBuf>,
    /// Stored kills to keep at most; the oldest are removed
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub oom_keep: u32,
    /// Bytes of stored kills to keep at most, such as 64M or 2G; the oldest are removed
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = bytes)]
    pub oom_max_size: u64,
    /// Leave observer's own oom_score_adj as it is; else it is lowered to -999, where that is allowed
    #[arg(long)]
    pub keep_oom_score: bool,
}

/// A number of bytes with `K`, `M` or `G` for powers of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (text.get(..text.len() - 1), 1 << 10),
        Some(b'M' | b'm') => (text.get(..text.len() - 1), 1 << 20),
        Some(b'G' | b'g') => (text.get(..text.len() - 1), 1 << 30),
        _ => (Some(text), 1),
    };
    let bytes = number.and_then(|n| n.parse::<u64>().ok()).and_then(|n| n.checked_mul(factor)).filter(|n| *n > 0);
    bytes.ok_or_else(|| "write a number of bytes above 0, such as 1048576, 64M or 2G".to_owned())
}

/// This host, seen by one thread.
#[derive(Debug)]
pub(super) struct Watched {
    collector: Collector,
    recorder: Option<FlightRecorder>,
    protection: Protection,
    /// What was told of kills, where somebody asks for it.
    told: Option<Vec<Told>>,
}

impl Watched {
    /// Begins to look.
    pub(super) fn new(args: &Args, look: &live::Args) -> Self {
        // First: what is taken from here on stays in RAM.
        let protection = Protection::take(args.keep_oom_score);
        let recorder = args.oom_dir.clone().map(|folder| {
            let files = usize::try_from(args.oom_keep).unwrap_or(usize::MAX);
            FlightRecorder::new(flight::Options { folder, bounds: Bounds { files, bytes: args.oom_max_size } })
        });
        let recorder = recorder
            .and_then(|made| made.inspect_err(|error| tracing::warn!("OOM kills are not stored: {error}")).ok());
        let collector = live::collector(look);
        Self { collector, recorder, protection, told: None }
    }

    /// The same, and keeps what is told of kills for [`Self::take_told`].
    pub(super) fn telling(args: &Args) -> Self {
        Self { told: Some(Vec::new()), ..Self::new(args, &live::Args::default()) }
    }

    /// What was told of kills since the last call.
    pub(super) fn take_told(&mut self) -> Vec<Told> {
        self.told.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Why kills are not stored; `None` if they are, or need not be.
    pub(super) fn trouble(&self) -> Option<&crate::snapshot::Name> {
        self.recorder.as_ref().and_then(FlightRecorder::trouble)
    }
}

impl Source for Watched {
    fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.collector.snapshot();
        Source::take_events(self);
        self.protection.describe(&mut snapshot.coverage);
        if let Some(recorder) = &mut self.recorder {
            recorder.snapshot(&mut snapshot);
        }
        snapshot
    }

    fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        self.collector.events_fd()
    }

    fn take_events(&mut self) {
        let OomNews { kills, told } = self.collector.events();
        if let Some(recorder) = &mut self.recorder {
            kills.iter().for_each(|kill| recorder.kill(host::stamp(), kill));
            told.iter().for_each(|told| recorder.told(host::stamp(), told.event.clone(), told.report.clone()));
        }
        if let Some(kept) = &mut self.told {
            kept.extend(told);
        }
    }
}

impl Host for Watched {
    fn snapshot(&mut self) -> Snapshot {
        Source::snapshot(self)
    }

    fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        Source::events_fd(self)
    }

    fn take_events(&mut self) {
        Source::take_events(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(["1", "3K", "64M", "2g"].map(bytes), [Ok(1), Ok(3 << 10), Ok(64 << 20), Ok(2 << 30)]);
        for wrong in ["", "0", "M", "-1", "1.5G", "99999999999999999999G", "18446744073709551615K"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
