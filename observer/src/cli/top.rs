//! `observer top`: the live screen.

use std::process::ExitCode;

use super::Global;

/// Options of `observer top`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the command `top` is not built yet")
}
