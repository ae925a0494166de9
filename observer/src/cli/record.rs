//! `observer record`: snapshots into a folder, to be replayed by `top` and `report`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::bail;
use tokio::time::Instant;

use super::{
    Global, duration,
    live::{self, Live},
    print, watched,
};
use crate::{
    recording::{Limits, Masker, Meta, Progress, Writer},
    units,
};

/// Options of `observer record`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "SIGINT, SIGTERM and SIGHUP end the recording in order.\n\
    Exit codes: 0 recorded; 1 failed, the reason is on stderr; 2 wrong usage.")]
pub struct Args {
    /// Folder to record into: a new or an empty one
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Time from one snapshot to the next: 100ms to 1h
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration::interval)]
    pub interval: Duration,
    /// How long to record, up to 30d; without it until a signal
    #[arg(long = "for", value_name = "TIME", value_parser = duration::recording)]
    pub time: Option<Duration>,
    /// Put pseudonyms in the place of names of hosts, processes, cgroups and interfaces, and of addresses
    #[arg(long)]
    pub mask: bool,
    /// What to look at.
    #[command(flatten)]
    pub look: live::Args,
    /// Storing of OOM kills.
    #[command(flatten)]
    pub watch: watched::Args,
}

/// Runs the command.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    if let Some(time) = args.time.filter(|time| *time < args.interval) {
        bail!("--for ({time:?}) is shorter than --interval ({:?})", args.interval);
    }
    let meta = Meta {
        observer: env!("CARGO_PKG_VERSION").to_owned(),
        interval_ns: u64::try_from(args.interval.as_nanos()).ok(),
        masked: args.mask,
    };
    // The folder comes first: whoever may not write has not loaded programs into the kernel.
    let mut writer = Writer::with_limits(&args.out, &meta, Limits::default())?;
    let mut live = Live::watching(&args.watch, &args.look)?;
    let mut masker = args.mask.then(Masker::default);
    let started = Instant::now();
    let last = args.time.map(|time| started + time);
    let mut next = started;
    loop {
        let mut snapshot = live.snapshot();
        if let Some(masker) = &mut masker {
            masker.mask(&mut snapshot);
        }
        match writer.append(&snapshot) {
            Ok(Progress::Continues) => {}
            Ok(Progress::Full(limit)) => {
                tracing::warn!("the recording is full: {limit:?}");
                break;
            }
            Err(e) => {
                // What was written before is whole: say so in the file, if that is still possible.
                let written = writer.written().snapshots;
                let ended = writer.finish().is_ok();
                let state = if ended { "the recording was ended with" } else { "the recording stops after" };
                return Err(anyhow::Error::new(e).context(format!("{state} {written} snapshots")));
            }
        }
        // A tick that was missed is not made up for.
        next = (next + args.interval).max(Instant::now());
        if last.is_some_and(|last| next > last) || live.wait_until(next).is_err() {
            break;
        }
    }
    let written = writer.finish()?;
    let line = format!(
        "{} snapshots over {} in {}: {} in {} file{}\n",
        written.snapshots,
        units::seconds(started.elapsed().as_secs_f64()),
        args.out.display(),
        units::bytes(written.bytes as f64),
        written.segments,
        if written.segments == 1 { "" } else { "s" }
    );
    print::print(&line)?;
    Ok(ExitCode::SUCCESS)
}
