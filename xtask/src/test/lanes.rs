//! The lanes, in the order in which they run: what is quick and needs nothing comes first.

use super::again::again;
use super::outcome::Outcome;
use super::rooms::{GUEST_TIME, ROOMS, Room, SILENCE, SLOW_DISK, TEST_TIME, V1_ALONE};
use super::shown::Quiet;
use super::tracefs::Tracefs;
use super::{Built, Lane, Only};
use crate::setup::{apt, measure};
use crate::vm::{self, Disk, Ending, Guest};
use crate::{exec, paths};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, iter};

/// Programs that kernel tests start, with the packages they come in.
const TOOLS: [(&str, &str); 6] = [
    ("ip", "iproute2"),
    ("ss", "iproute2"),
    ("tc", "iproute2"),
    ("bridge", "iproute2"),
    ("wg", "wireguard-tools"),
    ("ethtool", "ethtool"),
];
/// Programs that other tests start, with the packages they come in.
const OTHER_PROGRAMS: [(&str, &str); 3] = [("prometheus", "prometheus"), ("promtool", "prometheus"), ("tmux", "tmux")];
/// Programs that kernel tests use where they are there.
const OPTIONAL_TOOLS: [&str; 5] = ["ping", "iptables", "nft", "iperf3", "wrk"];
/// What tells the kernel tests to end one that hangs: after so many seconds without a sign.
const LIMIT: &str = "OBSERVER_TEST_LIMIT";

/// Every lane there is.
pub(super) fn all() -> Vec<Lane> {
    let lane =
        |name: &str, only, run: fn(&Built) -> Result<Outcome>| Lane { name: name.to_owned(), only, run: Box::new(run) };
    let mut all = vec![
        lane("unit", Only::Unit, unit),
        lane("golden, command line", Only::Cli, cli),
        lane("kernel, this one", Only::Kernel, kernel),
    ];
    for room in ROOMS {
        let run = move |built: &Built| in_vm(room, built);
        all.push(Lane { name: format!("{} (VM)", room.name), only: Only::Vm, run: Box::new(run) });
    }
    all.push(lane("dashboards", Only::Dashboards, dashboards));
    all
}

fn unit(_: &Built) -> Result<Outcome> {
    other_programs();
    cargo_test(&["--lib", "--bins"], &[])
}

fn cli(built: &Built) -> Result<Outcome> {
    if built.other_tests.is_empty() {
        return Ok(Outcome::skipped("observer/tests has none besides the kernel tests"));
    }
    other_programs();
    let selected: Vec<&str> = built.other_tests.iter().flat_map(|name| ["--test", name]).collect();
    cargo_test(&selected, &[])
}

/// Gets the programs that tests hand their output to. Without them the tests that need one say so themselves.
fn other_programs() {
    if let Err(error) = apt::need("some tests", &OTHER_PROGRAMS) {
        exec::say(&format!("{error:#}"));
    }
}

fn kernel(built: &Built) -> Result<Outcome> {
    let Some(program) = &built.kernel_test else {
        return Ok(Outcome::skipped("observer/tests/kernel is not there"));
    };
    if !exec::is_root() {
        return Ok(Outcome::skipped("not root; run: sudo cargo xtask test --only kernel"));
    }
    if let Err(error) = apt::need("kernel tests", &TOOLS) {
        return Ok(Outcome::skipped(&format!("{error:#}")));
    }
    measure::get();
    let _traces = Tracefs::mounted();
    let tests = ["--test", "kernel"];
    let first = cargo_test(&tests, &["--test-threads=1"])?;
    again(first, &kernel_tests(program, &[])?, |open| {
        let names = open.iter().map(String::as_str);
        cargo_test(&tests, &["--test-threads=1", "--exact"].into_iter().chain(names).collect::<Vec<_>>())
    })
}

/// Shows what is worth it.
fn quiet(tee: exec::Tee) -> exec::Tee {
    let mut quiet = Quiet::default();
    tee.only(move |line| quiet.wants(line))
}

/// Keeps everything that a lane said in a log.
fn keep(lane: &str, tee: &exec::Tee) -> Result<()> {
    let path = paths::log(&format!("test {lane}"))?;
    fs::write(&path, tee.text()).with_context(|| format!("cannot write {}", path.display()))
}

/// Names of the kernel tests that some arguments choose.
fn kernel_tests(program: &Path, chosen: &[&str]) -> Result<Vec<String>> {
    let list = exec::capture(Command::new(program).args(["--list", "--format", "terse"]).args(chosen))?;
    Ok(list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs tests by cargo. Always for the whole workspace, whatever is selected: otherwise dependencies would be built again
/// with other features.
fn cargo_test(selected: &[&str], harness: &[&str]) -> Result<Outcome> {
    let mut command = exec::cargo();
    // What a test says when it cannot run here would otherwise be thrown away.
    command.args(["test", "--workspace", "--no-fail-fast"]).args(selected).args(["--", "--show-output"]).args(harness);
    command.env(LIMIT, TEST_TIME.as_secs().to_string());
    let mut tee = quiet(exec::Tee::default());
    let status = exec::tee(&mut command, &mut tee)?;
    keep(&selected.join(" "), &tee)?;
    let ending = (!status.success()).then(|| format!("{status}: {}", exec::line(&command)));
    Ok(Outcome::read(&tee.text(), ending))
}

/// The same program of kernel tests, in a guest.
fn in_vm(room: &Room, built: &Built) -> Result<Outcome> {
    let Some(test) = &built.kernel_test else {
        return Ok(Outcome::skipped("observer/tests/kernel is not there"));
    };
    if std::env::consts::ARCH != "x86_64" {
        return Ok(Outcome::skipped("kernels for VMs are x86_64 ones"));
    }
    // Tests that miss one say so.
    let _ = apt::need("tests with real traffic", &measure::PROGRAMS);
    if let Err(error) = apt::need("a VM", &vm::NEEDS).and_then(|()| apt::need("kernel tests", &TOOLS)) {
        return Ok(Outcome::skipped(&format!("{error:#}")));
    }
    let chosen = room.chosen();
    let first = guest_tests(room, built, test, &chosen)?;
    let mut outcome = again(first, &kernel_tests(test, &chosen)?, |open| {
        let names = open.iter().map(String::as_str);
        guest_tests(room, built, test, &iter::once("--exact").chain(names).collect::<Vec<_>>())
    })?;
    if outcome.passed == 0 && !outcome.has_failed() {
        outcome.failed.push("no test ran".to_owned());
    }
    Ok(outcome)
}

/// Starts the guest and runs the tests that the arguments choose.
fn guest_tests(room: &Room, built: &Built, test: &Path, chosen: &[&str]) -> Result<Outcome> {
    let (in_test, in_observer, in_recordings) = ("/opt/kernel-test", "/opt/observer", "/opt/recordings");
    let environment = [
        format!("OBSERVER_BIN={in_observer}"),
        format!("OBSERVER_RECORDINGS={in_recordings}"),
        "OBSERVER_TEST_WHOLE_MACHINE=1".to_owned(),
        format!("{LIMIT}={}", TEST_TIME.as_secs()),
    ];
    let optional = OPTIONAL_TOOLS.iter().copied().filter(|tool| paths::program(tool).is_some());
    let mut adds = vec![(test.to_owned(), in_test.to_owned())];
    if room.with_observer {
        adds.push((built.observer.clone(), in_observer.to_owned()));
    }
    let how = if room.stripped { "--strip-all" } else { "--strip-debug" };
    adds.iter_mut().try_for_each(|(program, _)| strip(program, how, room.name))?;
    let guest = Guest {
        kernel: room.series,
        memory: room.memory.to_owned(),
        cpus: 2,
        one_thread: room.one_thread,
        numa: room.numa,
        disk: room.slow_disk.then(|| Disk { size: SLOW_DISK.0.to_owned(), write: Some(SLOW_DISK.1) }),
        adds,
        tools: TOOLS.iter().map(|(tool, _)| *tool).chain(optional).map(str::to_owned).collect(),
        // What the scenarios of memory pressure recorded, to be looked at, or to be played by tests/replay.rs from then on.
        take: room.records.then(|| (in_recordings.to_owned(), paths::work().join("recordings"))),
        append: String::new(),
        timeout: GUEST_TIME,
        silence: Some(SILENCE),
        command: (if room.v1_alone { &["sh", "-c", V1_ALONE, "sh"][..] } else { &[] })
            .iter()
            .copied()
            .chain(iter::once("env"))
            .chain(environment.iter().map(String::as_str))
            .chain(room.slow_disk.then_some(SLOW_DISK.2))
            .chain([in_test, "--test-threads=1", "--show-output"])
            .chain(chosen.iter().copied())
            .map(Into::into)
            .collect(),
    };
    let mut tee = quiet(exec::Tee::prefixed(room.name));
    let ending = vm::run(&guest, &mut tee)?;
    keep(room.name, &tee)?;
    let ending = match ending {
        Ending::Exited(0) => None,
        Ending::Exited(code) => Some(format!("the tests ended with exit code {code}")),
        Ending::TimedOut => Some(format!("the guest was ended after {} s", GUEST_TIME.as_secs())),
        Ending::Silent { why } => Some(format!("the guest was ended after {} s of silence: {why}", SILENCE.as_secs())),
        Ending::Died { why, console } => Some(format!("the guest died: {why} (its kernel log: {})", console.display())),
    };
    Ok(Outcome::read(&tee.text(), ending))
}

/// Puts a smaller copy for a room in the place of a program: its memory is its disk, and tests need room there.
fn strip(program: &mut PathBuf, how: &str, room: &str) -> Result<()> {
    let folder = paths::work().join("stripped").join(room);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let copy = folder.join(program.file_name().context("a program has a name")?);
    exec::capture(Command::new("strip").arg(how).arg("-o").arg(&copy).arg(&*program))?;
    *program = copy;
    Ok(())
}

/// Configuration for Prometheus, rules and their tests, by Prometheus' own tool.
fn dashboards(_: &Built) -> Result<Outcome> {
    let folder = paths::root().join("dashboards");
    let files = yaml(&folder)?;
    if files.is_empty() {
        return Ok(Outcome::skipped("dashboards/ has no rules"));
    }
    if let Err(error) = apt::need("testing the rules of Prometheus", &[("promtool", "prometheus")]) {
        return Ok(Outcome::skipped(&format!("{error:#}")));
    }
    let mut outcome = Outcome::default();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let Some(words) = promtool(&text) else {
            outcome.skipped.push(format!("{}: neither rules nor tests nor configuration", file.display()));
            continue;
        };
        let mut command = Command::new("promtool");
        let output = exec::output(command.args(words).arg(&file).current_dir(&folder))?;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        println!("{}\n{}", exec::line(&command), said.trim_end());
        if output.status.success() {
            outcome.passed += 1;
        } else {
            outcome.failed.push(exec::line(&command));
        }
    }
    Ok(outcome)
}

/// What promtool has to do with a file, by the key it has at the top.
fn promtool(text: &str) -> Option<[&'static str; 2]> {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    if has("tests:") {
        Some(["test", "rules"])
    } else if has("groups:") {
        Some(["check", "rules"])
    } else if has("scrape_configs:") {
        Some(["check", "config"])
    } else {
        None
    }
}

/// YAML files of a folder and those below, sorted.
fn yaml(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yml" || end == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_file_is_known_by_its_top_key() {
        assert_eq!(promtool("rule_files:\n  - a.yml\ntests:\n"), Some(["test", "rules"]));
        assert_eq!(promtool("# rules\ngroups:\n"), Some(["check", "rules"]));
        assert_eq!(promtool("global:\nrule_files:\nscrape_configs:\n"), Some(["check", "config"]));
        assert_eq!(promtool("other: 1\n  tests: 2\n"), None);
    }
}
