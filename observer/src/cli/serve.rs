//! `observer serve`: a target for Prometheus.

use std::process::ExitCode;

use super::Global;

/// Options of `observer serve`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the command `serve` is not built yet")
}
