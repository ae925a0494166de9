//! `observer oom watch`: kills explained as they happen.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use tokio::time::Instant;

use super::{
    Global, duration,
    interrupt::{Interrupt, Wait},
    print, watched,
};
use crate::{
    output::{metrics::sampler::Source, oom},
    snapshot::{Snapshot, coverage::Source as Read},
    source::host,
};

/// Options of `observer oom watch`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "SIGINT, SIGTERM and SIGHUP end it in order.\n\
    Exit codes: 0 ended by a signal; 1 failed, the reason is on stderr; 2 wrong usage.")]
pub struct Args {
    /// Print a JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Time from one snapshot to the next: with --oom-dir the last of them are stored with a kill
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::interval)]
    pub interval: Duration,
    /// Storing of kills.
    #[command(flatten)]
    pub watch: watched::Args,
}

/// Runs the command.
pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    // Signals come first: one that arrives while probes are attached ends the command as any other does.
    let mut interrupt = Interrupt::new()?;
    let mut host = watched::Watched::telling(&args.watch);
    if let Some(fd) = host.events_fd() {
        interrupt.watch(fd)?;
    }
    let mut unseen = Unseen::default();
    let first = host.snapshot();
    unseen.new_kills(&first);
    eprintln!("{}", begin(&first, &host));
    let mut next = Instant::now() + args.interval;
    loop {
        match interrupt.wait_until(next) {
            Wait::Interrupted(_) => return Ok(ExitCode::SUCCESS),
            Wait::Readable => host.take_events(),
            Wait::Elapsed => {
                let snapshot = host.snapshot();
                if let Some(kills) = unseen.new_kills(&snapshot) {
                    let line = oom::only_counted(kills, &snapshot.stamp, args.json).context("cannot write JSON")?;
                    print::print(&line)?;
                }
                next = (next + args.interval).max(Instant::now());
            }
        }
        for told in host.take_told() {
            let now = host::stamp();
            let text = if args.json {
                oom::watched_json(&told, &now).context("cannot write JSON")? + "\n"
            } else {
                oom::watched(&told, &now, print::style(global)) + "\n"
            };
            print::print(&text)?;
        }
    }
}

/// What is watched, for the one who started it.
fn begin(first: &Snapshot, host: &watched::Watched) -> String {
    let mut by = Vec::new();
    by.extend(first.oom.is_some().then_some("oom:mark_victim"));
    by.extend(first.coverage.source_reason(Read::KMSG).is_none().then_some("/dev/kmsg"));
    by.extend(first.memory.vmstat.as_ref().and_then(|v| v.oom_kill).map(|_| "/proc/vmstat"));
    let mut text = match by.as_slice() {
        [] => "observer: no source tells of OOM kills".to_owned(),
        by => format!("observer: watching for OOM kills by {}", by.join(", ")),
    };
    let reasons = [
        first.oom.is_none().then(|| first.coverage.probe_reason("oom")).flatten().map(|r| ("the probe", r)),
        first.coverage.source_reason(Read::KMSG).map(|r| ("the kernel's log", r)),
        host.trouble().map(|r| ("storing", r)),
    ];
    for (what, reason) in reasons.into_iter().flatten() {
        text += &format!("\nobserver: without {what}: {reason}");
    }
    text
}

/// Kills that /proc/vmstat alone can tell.
#[derive(Debug, Default)]
struct Unseen {
    last: Option<u64>,
}

impl Unseen {
    /// Kills since the last snapshot, where nothing but their count is known.
    fn new_kills(&mut self, snapshot: &Snapshot) -> Option<u64> {
        let counts = snapshot.oom_watch.as_ref()?.counts;
        if counts.probe.is_some() || counts.log.is_some() {
            return None;
        }
        let last = std::mem::replace(&mut self.last, counts.vmstat);
        counts.vmstat.zip(last).map(|(now, last)| now.saturating_sub(last)).filter(|kills| *kills > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::oom_watch::{LogKills, OomCounts, OomWatch};

    #[test]
    fn the_count_of_the_host_is_told_only_where_nothing_else_tells() {
        let at = |vmstat, log: Option<LogKills>| {
            let counts = OomCounts { vmstat: Some(vmstat), log, ..OomCounts::default() };
            Snapshot { oom_watch: Some(OomWatch { counts, ..OomWatch::default() }), ..Snapshot::default() }
        };
        let mut unseen = Unseen::default();
        let told: Vec<_> = [3, 3, 5].map(|n| unseen.new_kills(&at(n, None))).into();
        assert_eq!(told, [None, None, Some(2)]);
        assert_eq!(unseen.new_kills(&at(9, Some(LogKills::default()))), None);
    }
}
