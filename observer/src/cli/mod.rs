//! The command line: what may be asked, one file a subcommand.

pub mod config;
pub mod doctor;
mod duration;
mod interrupt;
pub mod live;
pub mod oom;
pub mod oom_watch;
mod print;
pub mod record;
mod recorded;
mod replay;
pub mod report;
pub mod serve;
pub mod stacks;
mod survive;
pub mod top;
mod version;
pub mod watched;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};
use tracing_subscriber::EnvFilter;

use crate::{output::tui::log, snapshot::Name};

/// Sees memory pressure and network throughput from inside the kernel, and says what is wrong and why.
///
/// Without a command it shows the live screen; where there is no terminal, it prints one report.
#[derive(Debug, Parser)]
#[command(name = "observer", disable_version_flag = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// Print the version; with --verbose also what the embedded eBPF object holds
    #[arg(short = 'V', long)]
    pub version: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Say on stderr what is being done
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Print no colors; the variable NO_COLOR does the same
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Take the thresholds of findings from this file; without it from /etc/observer/observer.toml, if there is one
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show this host live
    Top(top::Args),
    /// Serve metrics to Prometheus
    Serve(serve::Args),
    /// Print what happens in one interval, and what is wrong
    Report(report::Args),
    /// Say what observer can see on this host, and how to mend what it cannot
    Doctor(doctor::Args),
    /// Record this host, to be replayed by `top` and `report`
    Record(record::Args),
    /// Say why the OOM killer killed, from the kernel's log
    Oom(oom::Args),
    /// Print the thresholds that are in effect, as a configuration file
    Config(config::Args),
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, the reason is on stderr; 2 wrong usage; 130 interrupted.\n\
    `doctor` has its own, see `observer doctor --help`.";

impl Cli {
    /// The command line of this process; wrong usage ends the process with exit code 2.
    pub fn of_process() -> Self {
        let cli = Self::parse();
        if let Some(Command::Report(args)) = &cli.command
            && let Some(conflict) = args.conflict()
        {
            let mut command = Self::command();
            command.build();
            if let Some(report) = command.find_subcommand_mut("report") {
                report.error(ErrorKind::ArgumentConflict, conflict).exit();
            }
        }
        cli
    }
}

/// Does what was asked.
pub fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    if cli.version {
        return version::run(global);
    }
    match &cli.command {
        Some(Command::Top(args)) => top::run(args, global),
        Some(Command::Serve(args)) => serve::run(args, global),
        Some(Command::Report(args)) => report::run(args, global),
        Some(Command::Doctor(args)) => doctor::run(args, global),
        Some(Command::Record(args)) => record::run(args, global),
        Some(Command::Oom(args)) => oom::run(args, global),
        Some(Command::Config(args)) => config::run(args, global),
        None if io::stdout().is_terminal() && io::stdin().is_terminal() => top::run(&top::Args::default(), global),
        None => report::run(&report::Args::default(), global),
    }
}

/// Prints an error with its causes to stderr. Whoever stopped reading our output did not make us fail.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let closed = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(closed) {
        return ExitCode::SUCCESS;
    }
    // A path in it may have been chosen by somebody else.
    let _ = writeln!(io::stderr(), "observer: {}", Name::from(format!("{error:#}")));
    ExitCode::FAILURE
}

/// The exit code after a signal, as a shell gives it.
fn interrupted(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// Sends log lines to stderr: warnings, with --verbose all that is done; `OBSERVER_LOG` takes a filter of `tracing`.
pub fn start_log(verbose: bool) {
    let default = if verbose { "observer=debug" } else { "warn" };
    let filter = EnvFilter::try_from_env("OBSERVER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log::stderr)
        // It would say so on stderr, and panic where nobody reads that.
        .log_internal_errors(false)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
}
