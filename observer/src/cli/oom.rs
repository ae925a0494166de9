//! `observer oom`: kills in logs, listed and explained.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;

mod found;
mod search;

use found::Found;
use search::each;

use super::{Global, oom_watch, print};
use crate::output::oom::{self, Document};

/// Options of `observer oom`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Exit codes: 0 kills were found; 1 failed, the reason is on stderr; 2 wrong usage; 3 no kill was found."
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `observer oom`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Say why each process was killed
    Explain(Explain),
    /// Print a line for each kill
    List(List),
    /// Explain kills as they happen
    Watch(oom_watch::Args),
}

/// Where kills are looked for. Without any of them in the kernel's own buffer.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(multiple = true)]
pub struct Logs {
    /// Logs, also .gz, .xz and .zst, recordings and stored kills of observer, folders of them, or - for standard input
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Read the kernel's buffer, /dev/kmsg
    #[arg(long, conflicts_with = "paths")]
    pub kmsg: bool,
    /// Read the kernel's lines of all boots in the journal
    #[arg(long, conflicts_with_all = ["paths", "kmsg"])]
    pub journal: bool,
}

/// Options of `observer oom explain`.
#[derive(Debug, Clone, clap::Args)]
pub struct Explain {
    /// Where to look.
    #[command(flatten)]
    pub logs: Logs,
    /// Explain only the last so many kills
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub last: Option<u32>,
    /// Print a JSON object a line: the explanation and all that was read
    #[arg(long)]
    pub json: bool,
    /// Print Markdown, for a ticket
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// Options of `observer oom list`.
#[derive(Debug, Clone, clap::Args)]
pub struct List {
    /// Where to look.
    #[command(flatten)]
    pub logs: Logs,
    /// Print a JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Watch(args) => oom_watch::run(args, global),
        Command::Explain(args) => {
            let mut first = true;
            let mut show = |found: Found| {
                let (explanation, report) = (found.explain(), &found.report);
                let text = if args.json {
                    document(&found)?
                } else if args.markdown {
                    oom::markdown(&explanation, report)
                } else {
                    oom::text(&explanation, report, print::style(global))
                };
                let gap = if first || args.json { "" } else { "\n" };
                first = false;
                Ok(print::print(&format!("{gap}{text}"))?)
            };
            match args.last {
                None => each(&args.logs, show),
                Some(last) => {
                    let mut kept = std::collections::VecDeque::new();
                    let code = each(&args.logs, |found| {
                        if kept.len() == last as usize {
                            kept.pop_front();
                        }
                        kept.push_back(found);
                        Ok(())
                    })?;
                    kept.into_iter().try_for_each(&mut show)?;
                    Ok(code)
                }
            }
        }
        Command::List(args) => each(&args.logs, |found| {
            let text = if args.json { document(&found)? } else { oom::list(&found.explain(), &found.report) };
            Ok(print::print(&text)?)
        }),
    }
}

fn document(found: &Found) -> anyhow::Result<String> {
    let document = Document { version: oom::VERSION, explanation: &found.explain(), report: &found.report };
    Ok(serde_json::to_string(&document).context("cannot write JSON")? + "\n")
}
