//! Builds observer and starts it.

use crate::{ebpf, exec, paths};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// What observer needs where it is not root: the table in observer/src/source/capabilities.rs, which has the reasons.
const CAPABILITIES: &str = "cap_bpf,cap_perfmon,cap_sys_admin,cap_sys_ptrace,cap_dac_read_search,cap_syslog+ep";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments of observer. None: `top` on a terminal, `report` elsewhere
    #[arg(last = true)]
    args: Vec<OsString>,
}

/// Builds everything, then becomes observer. Returns only when that fails.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let binary = build()?;
    let mut words = args.args.clone();
    if words.is_empty() {
        words.push(if std::io::stdout().is_terminal() { "top" } else { "report" }.into());
    }
    let mut command = if exec::is_root() || needs_no_privilege(&words) || has_capabilities(&binary) {
        Command::new(&binary)
    } else {
        privileged(&binary)
    };
    command.args(words);
    exec::clean(&mut command);
    Err(command.exec()).with_context(|| format!("cannot start: {}", exec::line(&command)))
}

/// Builds the release binary with the eBPF object inside, and returns its path.
pub(crate) fn build() -> Result<std::path::PathBuf> {
    ebpf::build()?;
    exec::step("building observer (release)", exec::cargo().args(["build", "--release", "--package", "observer"]))?;
    Ok(paths::observer_binary())
}

/// Questions about the program itself and work on a recording load nothing into the kernel.
fn needs_no_privilege(words: &[OsString]) -> bool {
    words.iter().any(|word| {
        let word = word.to_string_lossy();
        matches!(word.as_ref(), "--version" | "-V" | "--help" | "-h" | "help")
            || word.split('=').next() == Some("--replay")
    })
}

/// True when the file was granted capabilities, as `setcap` does.
fn has_capabilities(binary: &Path) -> bool {
    let Some(getcap) = paths::program("getcap") else { return false };
    exec::capture(Command::new(getcap).arg(binary)).is_ok_and(|text| text.contains("cap_bpf"))
}

/// The binary through sudo; where that is not to be had, the binary as it is, which then says what it cannot see.
fn privileged(binary: &Path) -> Command {
    if let Some(sudo) = paths::program("sudo").filter(|sudo| sudo_usable(sudo)) {
        exec::say("starting observer through sudo: eBPF needs it");
        let mut command = Command::new(sudo);
        command.arg("--").arg(binary);
        return command;
    }
    exec::say(
        "not root and no usable sudo: observer starts without eBPF. To grant what it needs, let an administrator run:",
    );
    exec::say(&format!("    setcap {CAPABILITIES} {}", binary.display()));
    Command::new(binary)
}

/// sudo helps when it asks for no password, or when there is someone to type one.
fn sudo_usable(sudo: &Path) -> bool {
    if std::io::stdin().is_terminal() {
        return true;
    }
    let probe = Command::new(sudo)
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capabilities_are_those_that_observer_names() {
        let table = include_str!("../../observer/src/source/capabilities.rs");
        assert!(table.contains(CAPABILITIES), "{CAPABILITIES}");
    }

    #[test]
    fn only_what_loads_programs_asks_for_privilege() {
        let needs = |words: &[&str]| !needs_no_privilege(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(needs(&["top"]) && needs(&["report", "--for", "3s"]) && needs(&["doctor"]));
        assert!(!needs(&["--version", "--verbose"]) && !needs(&["top", "--help"]));
        assert!(!needs(&["top", "--replay", "dir"]) && !needs(&["report", "--replay=dir"]));
    }
}
