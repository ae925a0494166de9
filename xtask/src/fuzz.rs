//! Builds the fuzz target with instructions that count what was reached, and runs it.

use crate::{exec, paths};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long to try
    #[arg(long, default_value_t = 600, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Run these inputs once instead, such as one that a run left behind
    #[arg(value_name = "FILE")]
    inputs: Vec<std::path::PathBuf>,
}

/// What cargo-fuzz passes as well, without a sanitizer: there is no unsafe code in what is tried. A stable compiler takes
/// all of it.
const COUNTERS: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
];
/// The target for which programs of this host are built: named, so that the flags are not for build scripts.
const HOST: &str = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
/// Longest input, in bytes: more than the longest report that is a seed.
const LONGEST: u32 = 48 << 10;

/// The command `fuzz`.
pub(crate) fn fuzz(args: &Args) -> Result<ExitCode> {
    crate::ebpf::build()?;
    let package = paths::root().join("observer/fuzz");
    let work = paths::work().join("fuzz");
    let (found, failed) = (work.join("found"), work.join("failed"));
    for folder in [&found, &failed] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    exec::step("building the fuzz target", &mut build(&package, &work))?;
    let mut run = Command::new(work.join(HOST).join("release/oom_log"));
    exec::clean(&mut run);
    run.current_dir(paths::root());
    run.arg(format!("-artifact_prefix={}/", failed.display())).args(["-timeout=20", "-rss_limit_mb=768"]);
    if args.inputs.is_empty() {
        run.arg(format!("-max_total_time={}", args.seconds)).arg(format!("-max_len={LONGEST}"));
        run.arg(format!("-dict={}", package.join("oom_log.dict").display())).arg("-print_final_stats=1");
        // The first folder gets what is found; the others are where it begins.
        run.arg(&found).arg(package.join("corpus/oom_log")).arg(paths::root().join("observer/tests/oom/logs"));
    } else {
        run.args(&args.inputs);
    }
    exec::say(&exec::line(&run));
    let status = run.status().with_context(|| format!("cannot start: {}", exec::line(&run)))?;
    if !status.success() {
        bail!("the fuzz target failed ({status}): the input is in {}", failed.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn build(package: &Path, work: &Path) -> Command {
    let mut cargo = exec::cargo();
    cargo.current_dir(package).env("RUSTFLAGS", COUNTERS.join(" "));
    cargo.args(["build", "--release", "--locked", "--bin", "oom_log", "--target", HOST, "--target-dir"]).arg(work);
    cargo
}
