//! `observer --version`: which observer this is.

use std::process::ExitCode;

use super::Global;

/// Prints the version.
pub(super) fn run(_global: &Global) -> anyhow::Result<ExitCode> {
    println!("observer {}", env!("CARGO_PKG_VERSION"));
    Ok(ExitCode::SUCCESS)
}
