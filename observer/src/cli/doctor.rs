//! `observer doctor`: what can be seen here, and what mends the rest.

use std::process::ExitCode;

use super::Global;

/// Options of `observer doctor`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the command `doctor` is not built yet")
}
