//! `observer config`: the thresholds that hold.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{Global, print};
use crate::{
    config::{self, DEFAULT_PLACE},
    diagnose::Thresholds,
};

/// Options of `observer config`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = super::EXIT_CODES)]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    print::print(&config::text(&thresholds(global)?))?;
    Ok(ExitCode::SUCCESS)
}

/// The thresholds that findings and verdicts are to rest on.
pub(super) fn thresholds(global: &Global) -> anyhow::Result<Thresholds> {
    let named: Option<&PathBuf> = global.config.as_ref();
    let thresholds = config::load(named.map(PathBuf::as_path), Path::new(DEFAULT_PLACE))?;
    if let Some(file) = &thresholds.file {
        tracing::debug!("thresholds from {file}, {} of them changed", thresholds.changed().count());
    }
    Ok(thresholds)
}
