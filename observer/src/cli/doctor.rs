//! `observer doctor`: what can be seen here, and what mends the rest.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use super::{Global, live, print};
use crate::{output::doctor, source};

/// Options of `observer doctor`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "Exit codes: 0 full; 1 degraded, something is not seen; 2 nothing works (also: wrong usage); 130 interrupted."
)]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let facts = source::doctor::gather(live::options(&live::Args::default()));
    let text = if args.json {
        doctor::json(&facts, io::stdout().is_terminal())? + "\n"
    } else {
        doctor::text(&facts, print::style(global))
    };
    print::print(&text)?;
    Ok(ExitCode::from(doctor::Status::of(&facts).exit_code()))
}
