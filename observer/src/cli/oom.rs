//! `observer oom`: kills in logs, listed and explained.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};

use super::{Global, print};
use crate::{
    diagnose::oom::explain,
    output::oom::{self, Document},
    snapshot::{Name, oom_report::OomReport},
    source::oom_log::{Scanner, input},
};

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
}

/// Where kills are looked for. Without any of them in the kernel's own buffer.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(multiple = true)]
pub struct Logs {
    /// Files, also .gz, .xz and .zst, folders of them, or - for standard input
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

/// The exit code where no kill was found.
const NONE_FOUND: u8 = 3;

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Explain(args) => {
            let mut first = true;
            let mut show = |report: &OomReport| {
                let explanation = explain(report);
                let text = if args.json {
                    document(report)?
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
                    let code = each(&args.logs, |report| {
                        if kept.len() == last as usize {
                            kept.pop_front();
                        }
                        kept.push_back(report.clone());
                        Ok(())
                    })?;
                    kept.iter().try_for_each(&mut show)?;
                    Ok(code)
                }
            }
        }
        Command::List(args) => each(&args.logs, |report| {
            let text = if args.json { document(report)? } else { oom::list(&explain(report), report) };
            Ok(print::print(&text)?)
        }),
    }
}

fn document(report: &OomReport) -> anyhow::Result<String> {
    let explanation = explain(report);
    let document = Document { version: oom::VERSION, explanation: &explanation, report };
    Ok(serde_json::to_string(&document).context("cannot write JSON")? + "\n")
}

/// Shows every report of every log. A log that cannot be read does not keep the others from being read.
fn each(logs: &Logs, mut show: impl FnMut(&OomReport) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let (mut found, mut lines, mut failures) = (0u64, 0, Vec::new());
    let mut read = |log: Result<input::Log, input::InputError>| -> anyhow::Result<()> {
        let log = match log {
            Ok(log) => log,
            Err(error) => {
                failures.push(anyhow::Error::new(error));
                return Ok(());
            }
        };
        let mut scanner = Scanner::new(log.bytes, log.name).context("cannot search logs")?;
        for report in scanner.by_ref() {
            match report {
                Ok(report) => {
                    found += 1;
                    show(&report)?;
                }
                Err(error) => failures.push(anyhow::Error::new(error)),
            }
        }
        lines += scanner.lines();
        Ok(())
    };
    if logs.journal {
        read(input::journal())?;
    } else if logs.paths.is_empty() {
        read(input::kmsg())?;
    }
    for path in &logs.paths {
        if path.as_os_str() == "-" {
            read(input::stdin())?;
            continue;
        }
        match input::files(path) {
            Ok(files) => files.iter().try_for_each(|file| read(input::open(file)))?,
            Err(error) => read(Err(error))?,
        }
    }
    let mut failures = failures.into_iter();
    if let Some(last) = failures.next_back() {
        for failure in failures {
            tracing::error!("{}", Name::from(format!("{failure:#}")));
        }
        return Err(last);
    }
    if found == 0 {
        if lines == 0 {
            bail!("nothing could be read: the log is empty");
        }
        tracing::warn!("no OOM kill in {lines} lines");
        return Ok(ExitCode::from(NONE_FOUND));
    }
    Ok(ExitCode::SUCCESS)
}
