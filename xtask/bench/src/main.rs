//! What a probe on page allocation costs: a loop of page faults with nothing attached, with an empty program, with
//! observer's own, and with bpftrace doing the same job, taking turns in one run.
//!
//! Each round of a variant stands between two rounds with nothing attached. Where those two differ, the machine did
//! something else in between, and the round is thrown away.

mod report;
mod stats;
mod variant;
mod workload;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use stats::Sample;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use variant::Variant;

/// On a busy machine many rounds are thrown away. After this many turns for each round asked for, what there is must do.
const MOST_TURNS: usize = 5;

#[derive(Parser)]
#[command(about = "What observer's page allocation probe costs, in one run with what it is compared to")]
struct Cli {
    #[command(subcommand)]
    command: Option<Role>,
    /// Object with the empty program
    #[arg(long, value_name = "FILE")]
    empty: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Rounds of each variant that are not thrown away
    #[arg(long, default_value_t = 30, value_name = "N")]
    rounds: usize,
}

#[derive(Subcommand)]
enum Role {
    /// The loop of page faults; prints nanoseconds a page
    #[command(hide = true)]
    Workload,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    if matches!(cli.command, Some(Role::Workload)) {
        println!("{}{:.3}", workload::ANSWER, workload::nanoseconds_a_page()?);
        return Ok(ExitCode::SUCCESS);
    }
    let empty = cli.empty.clone().context("--empty FILE is needed")?;
    let variants = variant::all(empty)?;
    let samples = measure(&variants, cli.rounds)?;
    let report = report::Report::new(&variants, &samples)?;
    if cli.json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.table());
    }
    Ok(if report.missed().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Samples of each variant, in the order of `variants`: turns are taken until each has enough that count.
fn measure(variants: &[Variant], rounds: usize) -> Result<Vec<Vec<Sample>>> {
    if rounds == 0 {
        bail!("--rounds must be at least 1");
    }
    // What is loaded for the first time, such as bpftrace itself, would slow down the first round.
    for variant in variants {
        variant.round().with_context(|| format!("warming up: {}", variant.name()))?;
    }
    let mut samples = vec![Vec::new(); variants.len()];
    let mut before = variant::nothing()?;
    for turn in 1..=rounds * MOST_TURNS {
        for (variant, samples) in variants.iter().zip(&mut samples) {
            let with = variant.round().with_context(|| format!("turn {turn}: {}", variant.name()))?;
            let after = variant::nothing()?;
            samples.push(Sample { before, with, after });
            before = after;
        }
        let enough = samples.iter().map(|samples| stats::steady(samples)).min().unwrap_or_default();
        if std::io::stderr().is_terminal() {
            eprint!("\rround {enough} of {rounds}, turn {turn}");
        }
        if enough >= rounds {
            break;
        }
    }
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    Ok(samples)
}
