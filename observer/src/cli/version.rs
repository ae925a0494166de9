//! `observer --version`: which observer this is.

use std::process::ExitCode;

use super::{Global, print};

/// Prints the version.
pub(super) fn run(_global: &Global) -> anyhow::Result<ExitCode> {
    print::print(&format!("observer {}\n", env!("CARGO_PKG_VERSION")))?;
    Ok(ExitCode::SUCCESS)
}
