//! Sets up, builds, runs, tests, lints and measures observer.
//!
//! `cargo xtask run` and `cargo xtask test` need no step before them: each command installs what it needs itself.

mod bench;
mod ebpf;
mod exec;
mod fuzz;
mod lint;
mod paths;
mod run;
mod setup;
mod test;
mod vm;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sets up, builds, runs, tests and measures observer", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Get what building and testing need: a Rust compiler with the `core` sources, bpf-linker, and what makes real traffic
    Setup,
    /// Build the eBPF object that gets embedded into the binary
    BuildEbpf,
    /// Build everything and start observer: the live screen, or one report where there is no terminal
    Run(run::Args),
    /// Run every test there is; what cannot run here is listed with the reason
    Test(test::Args),
    /// Check format, lints of both sides, and licenses and sources of dependencies
    Lint,
    /// Measure what the page allocation probe costs, beside an empty program and bpftrace
    Bench(bench::Args),
    /// Try to break the parser of OOM logs and what explains them, with inputs that are made to reach new code
    Fuzz(fuzz::Args),
    /// Run a command under another kernel, in a qemu guest that needs no /dev/kvm
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup => setup::setup().map(|_| {
            setup::measure::get();
            ExitCode::SUCCESS
        }),
        Command::BuildEbpf => ebpf::build().map(|_| ExitCode::SUCCESS),
        Command::Run(args) => run::run(&args),
        Command::Test(args) => test::test(&args),
        Command::Lint => lint::lint(),
        Command::Bench(args) => bench::bench(&args),
        Command::Fuzz(args) => fuzz::fuzz(&args),
        Command::Vm(args) => vm::vm(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
