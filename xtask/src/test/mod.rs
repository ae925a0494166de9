//! Runs every test there is, lane by lane, and says at the end what passed, what failed, and what did not run and why.

mod again;
mod lanes;
mod outcome;
mod rooms;
mod shown;
mod tracefs;

use crate::{ebpf, exec, paths};
use anyhow::Result;
use outcome::Outcome;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the kernels in VMs
    #[arg(long)]
    no_vm: bool,
    /// Run one lane only
    #[arg(long, value_name = "LANE")]
    only: Option<Only>,
}

/// What can be asked for by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    Unit,
    Cli,
    Kernel,
    Vm,
    Dashboards,
}

/// How a lane is run.
type Run = Box<dyn Fn(&Built) -> Result<Outcome> + Sync>;

/// One lane: its name, and how it is run.
struct Lane {
    name: String,
    only: Only,
    run: Run,
}

/// What building left behind.
struct Built {
    /// The program of the kernel tests. None: there are none.
    kernel_test: Option<PathBuf>,
    /// Names of the other integration tests of observer.
    other_tests: Vec<String>,
    /// The debug binary of observer.
    observer: PathBuf,
}

/// The command `test`.
pub(crate) fn test(args: &Args) -> Result<ExitCode> {
    ebpf::build()?;
    let built = build()?;
    let wanted = |lane: &Lane| args.only.is_none_or(|only| only == lane.only);
    let (guests, here): (Vec<Lane>, Vec<Lane>) =
        lanes::all().into_iter().filter(wanted).partition(|lane| lane.only == Only::Vm);
    let mut results: Vec<_> = here.iter().map(|lane| lane.result(&built)).collect();
    if args.no_vm {
        results.extend(
            guests.iter().map(|lane| (lane.name.clone(), Outcome::skipped("--no-vm was given"), Duration::ZERO)),
        );
    } else {
        results.extend(side_by_side(&guests, &built));
    }
    print!("{}", outcome::summary(&results));
    let failed = results.iter().any(|(_, outcome, _)| outcome.has_failed());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What a lane came to, and how long it took.
type LaneResult = (String, Outcome, Duration);

impl Lane {
    fn result(&self, built: &Built) -> LaneResult {
        exec::say(&format!("tests: {}", self.name));
        let begun = Instant::now();
        // A lane that cannot be run at all has failed; the others run nevertheless.
        let outcome = (self.run)(built).unwrap_or_else(|error| Outcome::failed(&format!("{error:#}")));
        (self.name.clone(), outcome, begun.elapsed())
    }
}

/// Runs lanes at the same time, as many as there are processors: a guest keeps one busy, whatever it runs, and what it makes
/// of memory pressure depends on its pace.
fn side_by_side(lanes: &[Lane], built: &Built) -> Vec<LaneResult> {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(lanes.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, lane)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, lanes.get(at)?)))
        {
            done.push((at, lane.result(built)));
        }
        done
    };
    let mut results = std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    results.sort_by_key(|(at, _)| *at);
    let missing = lanes.len() - results.len();
    let mut results: Vec<_> = results.into_iter().map(|(_, result)| result).collect();
    if missing > 0 {
        results.push(("guests".to_owned(), Outcome::failed(&format!("{missing} lanes panicked")), Duration::ZERO));
    }
    results
}

/// Builds all tests and the binary they start, and finds out which tests there are.
fn build() -> Result<Built> {
    exec::step("building the tests", exec::cargo().args(["test", "--workspace", "--no-run", "--quiet"]))?;
    let mut list = exec::cargo();
    list.args(["test", "--workspace", "--no-run", "--quiet", "--message-format=json"]);
    let messages = exec::capture(&mut list)?;
    let mut kernel_test = None;
    let mut other_tests = Vec::new();
    for (name, executable) in messages.lines().filter_map(integration_test) {
        if name == "kernel" {
            kernel_test = Some(executable);
        } else {
            other_tests.push(name);
        }
    }
    let observer = paths::cargo_target().join("debug/observer");
    Ok(Built { kernel_test, other_tests, observer })
}

/// Name and program of an integration test, from one of cargo's messages.
fn integration_test(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let target = message.get("target")?;
    let is_test = target.get("kind")?.as_array()?.iter().any(|kind| kind == "test");
    let executable = message.get("executable")?.as_str()?;
    is_test.then(|| Some((target.get("name")?.as_str()?.to_owned(), executable.into())))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integration_tests_are_told_from_other_targets() {
        let message = |kind: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"kernel"}},"executable":{executable}}}"#
            )
        };
        assert_eq!(
            integration_test(&message("test", r#""/t/kernel-1""#)),
            Some(("kernel".into(), "/t/kernel-1".into()))
        );
        assert_eq!(integration_test(&message("lib", r#""/t/kernel-1""#)), None);
        assert_eq!(integration_test(&message("test", "null")), None);
        assert_eq!(integration_test("warning: not JSON"), None);
    }
}
