//! `observer report`: one interval of this host or of a recording, as text or JSON.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Global, config, duration,
    live::{self, Live},
    print, replay, stacks,
};
use crate::{
    diagnose::diagnose,
    model::Model,
    output::{
        json,
        report::{self, Report, Section},
    },
};

/// Options of `observer report`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = super::EXIT_CODES)]
pub struct Args {
    /// Print this part with all its rows; without it all parts, cut to their top rows
    #[arg(value_enum)]
    pub section: Option<Section>,
    /// How long to look: 100ms to 1h
    #[arg(long = "for", value_name = "TIME", default_value = "3s", value_parser = duration::interval)]
    pub time: Duration,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Take a recording instead of this host: from its first snapshot to its last
    #[arg(long, value_name = "DIR", conflicts_with_all = ["time", "first_byte", "ipv4_prefix", "ipv6_prefix"])]
    pub replay: Option<PathBuf>,
    /// Begin this long after the recording's first snapshot
    #[arg(long, value_name = "TIME", requires = "replay", value_parser = duration::parse)]
    pub begin: Option<Duration>,
    /// End this long after the recording's first snapshot
    #[arg(long, value_name = "TIME", requires = "replay", value_parser = duration::parse)]
    pub end: Option<Duration>,
    /// What to look at.
    #[command(flatten)]
    pub look: live::Args,
    /// Stacks instead of the report.
    #[command(flatten)]
    pub stacks: stacks::StackArgs,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            section: None,
            time: Duration::from_secs(3),
            json: false,
            replay: None,
            begin: None,
            end: None,
            look: live::Args::default(),
            stacks: stacks::StackArgs::default(),
        }
    }
}

impl Args {
    /// What the options ask for together and cannot have.
    pub(super) fn conflict(&self) -> Option<String> {
        let section = self.section.filter(|s| self.stacks.stacks && *s != Section::Memory)?;
        Some(format!("the argument '--stacks' cannot be used with '{}': stacks are of memory", section.name()))
    }
}

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    if args.stacks.stacks {
        return stacks::run(args, global);
    }
    let thresholds = config::thresholds(global)?;
    let model = match &args.replay {
        Some(path) => {
            let (before, readings, now) = replay::ends(path, args.begin, args.end)?;
            Model::new(&now, before.as_ref()).with_readings(&readings)
        }
        None => match observe(args)? {
            Ok(model) => model,
            Err(signal) => return Ok(super::interrupted(signal)),
        },
    };
    let diagnosis = diagnose(std::slice::from_ref(&model), &thresholds);
    let report = Report { model: &model, diagnosis: &diagnosis, section: args.section };
    let text = if args.json {
        json::document(&report, io::stdout().is_terminal())? + "\n"
    } else {
        report::text(&report, print::style(global))
    };
    print::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at this host. The inner error is the number of the signal that ended it.
fn observe(args: &Args) -> anyhow::Result<Result<Model, i32>> {
    let mut live = Live::new(&args.look)?;
    let before = live.snapshot();
    let readings = match live.watch_until(Instant::now() + args.time, &before) {
        Ok(readings) => readings,
        Err(signal) => return Ok(Err(signal)),
    };
    let now = live.snapshot();
    Ok(Ok(Model::new(&now, Some(&before)).with_readings(&readings)))
}
