//! `observer record`: snapshots into a folder.

use std::process::ExitCode;

use super::Global;

/// Options of `observer record`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the command `record` is not built yet")
}
