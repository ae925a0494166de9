//! The command line where something is missing: no rights, no BTF.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, setgid, setgroups, setuid},
};
use serde_json::Value;

use crate::{lifecycle::binary, support::needs_root};

/// Uid and gid of nobody.
const NOBODY: u32 = 65_534;

/// How a run ended.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command to its end. Whatever it was given, its output is text without control characters, and it did not panic.
fn run(command: &mut Command) -> Run {
    let output = command.output().expect("observer starts");
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).expect("all output is UTF-8");
        let raw: Vec<char> = text.chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert!(raw.is_empty(), "control characters {raw:?} in {text}");
        text
    };
    let run = Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run
}

fn observer(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(args);
    command
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}", run.stdout))
}

/// The program where everybody may execute it.
struct Public {
    folder: PathBuf,
}

impl Public {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("observer-test-bin-{}", std::process::id()));
        fs::create_dir(&folder).expect("a new folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("chmod");
        fs::copy(binary(), folder.join("observer")).expect("a copy of the program");
        Self { folder }
    }

    /// A command that runs as nobody, without any capability.
    fn as_nobody(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join("observer"));
        command.args(args).current_dir("/");
        let become_nobody = || {
            setgroups(&[])?;
            setgid(Gid::from_raw(NOBODY))?;
            setuid(Uid::from_raw(NOBODY))?;
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made.
        unsafe { command.pre_exec(become_nobody) };
        command
    }
}

impl Drop for Public {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A command that sees an empty /sys/kernel/btf.
fn without_btf(args: &[&str]) -> Command {
    let mut command = observer(args);
    let hide = || -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none: Option<&Path> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        mount(Some("none"), "/sys/kernel/btf", Some("tmpfs"), MsFlags::empty(), none)?;
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(hide) };
    command
}

/// Names of probes that are not attached, and of those that are.
fn absent_and_attached(coverage: &Value) -> (usize, usize) {
    let probes = coverage["probes"].as_array().expect("a list of probes");
    let absent = probes.iter().filter(|p| p["state"]["is"] == "absent").count();
    (absent, probes.len() - absent)
}

#[test]
fn nobody_gets_a_report_that_says_what_is_missing() {
    needs_root!("nobody_gets_a_report_that_says_what_is_missing");
    let public = Public::new();
    let seen = run(&mut public.as_nobody(&["report", "--json", "--for", "200ms"]));
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    let document = json(&seen);
    let (absent, attached) = absent_and_attached(&document["coverage"]);
    assert!(absent > 0 && attached == 0, "{absent} absent, {attached} attached");
    assert!(document["page_alloc"].is_null() && document["reclaim"].is_null() && document["oom"].is_null());
    assert!(document["memory"]["meminfo"]["total"].as_u64() > Some(0), "what nobody may read is read");
    for probe in document["coverage"]["probes"].as_array().expect("probes") {
        let state = &probe["state"];
        assert!(state["reason"].as_str().is_some_and(|r| !r.is_empty()), "{probe}");
        assert!(state["remedy"].as_str().is_some_and(|r| r.starts_with("sudo setcap cap_bpf")), "{probe}");
    }
    let text = run(&mut public.as_nobody(&["report", "--for", "200ms"]));
    assert_eq!(text.code, Some(0), "{}", text.stderr);
    assert!(text.stdout.contains("to mend it: sudo setcap cap_bpf"), "{}", text.stdout);
}

#[test]
fn the_doctor_of_nobody_names_capabilities_and_the_command() {
    needs_root!("the_doctor_of_nobody_names_capabilities_and_the_command");
    let public = Public::new();
    let seen = run(&mut public.as_nobody(&["doctor", "--json"]));
    assert_eq!(seen.code, Some(1), "{}", seen.stderr);
    let document = json(&seen);
    assert_eq!(document["status"], "degraded");
    let checks = document["checks"].as_array().expect("checks");
    for name in ["cap_bpf", "cap_perfmon", "tp_btf"] {
        let check = checks.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no check {name}"));
        assert_eq!(check["verdict"], "missing", "{check}");
        assert!(check["mend"].as_str().is_some_and(|m| m.starts_with("sudo setcap ")), "{check}");
    }
    let text = run(&mut public.as_nobody(&["doctor"]));
    assert_eq!(text.code, Some(1));
    let commands = text.stdout.lines().filter(|l| l.trim_start().starts_with("sudo setcap ")).count();
    assert_eq!(commands, 1, "one command mends all of it: {}", text.stdout);
}

#[test]
fn nobody_may_not_record_where_he_may_not_write() {
    needs_root!("nobody_may_not_record_where_he_may_not_write");
    let public = Public::new();
    let seen = run(&mut public.as_nobody(&["record", "--out", "/observer-test-recording", "--for", "1s"]));
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(1), ""));
    assert!(seen.stderr.contains("cannot create folder /observer-test-recording: "), "{}", seen.stderr);
}

#[test]
fn without_btf_everything_else_is_seen() {
    needs_root!("without_btf_everything_else_is_seen");
    let seen = run(&mut without_btf(&["report", "--json", "--for", "200ms"]));
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    let document = json(&seen);
    let (absent, attached) = absent_and_attached(&document["coverage"]);
    assert!(absent > 0 && attached == 0, "{absent} absent, {attached} attached");
    for probe in document["coverage"]["probes"].as_array().expect("probes") {
        let reason = probe["state"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("/sys/kernel/btf/vmlinux"), "{reason}");
        assert!(probe["state"]["remedy"].as_str().is_some_and(|r| r.contains("CONFIG_DEBUG_INFO_BTF")), "{probe}");
    }
    assert!(document["memory"]["vm"]["faults"].as_f64() > Some(0.0));

    let doctor = run(&mut without_btf(&["doctor"]));
    assert_eq!(doctor.code, Some(1), "{}", doctor.stderr);
    let line = doctor.stdout.lines().find(|l| l.contains(" BTF ")).expect("a line about BTF");
    assert!(line.trim_start().starts_with("NO"), "{line}");
}
