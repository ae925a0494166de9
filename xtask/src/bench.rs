//! Builds the bench and starts it.

use crate::setup::{self, apt};
use crate::{ebpf, exec, paths};
use anyhow::{Context, Result, bail};
use std::process::{Command, ExitCode};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Rounds of each variant that are not thrown away
    #[arg(long, default_value_t = 30, value_name = "N")]
    rounds: usize,
}

/// The command `bench`.
pub(crate) fn bench(args: &Args) -> Result<ExitCode> {
    if !exec::is_root() {
        bail!("the bench attaches programs: run it as root (sudo cargo xtask bench)");
    }
    if let Err(error) = apt::need("the comparison", &[("bpftrace", "bpftrace")]) {
        exec::say(&format!("{error:#}"));
    }
    ebpf::build()?;
    let empty = ebpf::build_program(&setup::setup()?, "bench-ebpf")?;
    exec::step(
        "building the bench (release)",
        exec::cargo().args(["build", "--release", "--package", "observer-bench"]),
    )?;
    let mut command = Command::new(paths::cargo_target().join("release/observer-bench"));
    exec::clean(&mut command);
    command.arg("--empty").arg(empty).args(["--rounds", &args.rounds.to_string()]);
    if args.json {
        command.arg("--json");
    }
    let status = command.status().with_context(|| format!("cannot start: {}", exec::line(&command)))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
