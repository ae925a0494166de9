//! `observer report`: one interval of this host, as text or JSON.

use std::process::ExitCode;

use super::Global;

/// Options of `observer report`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the command `report` is not built yet")
}
