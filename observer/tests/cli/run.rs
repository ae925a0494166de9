//! Runs the binary.

use std::{
    fs,
    io::Read,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command with arguments, without what the caller's environment would change.
pub(crate) fn observer(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_observer"));
    command.args(args).env_remove("NO_COLOR").env_remove("OBSERVER_LOG").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> Run {
    command.stdout(Stdio::piped());
    finish_redirected(command)
}

/// Runs a command whose stdout goes elsewhere to its end.
pub(crate) fn finish_redirected(mut command: Command) -> Run {
    let child = command.stderr(Stdio::piped()).spawn().expect("the command starts");
    let output = child.wait_with_output().expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("all output is UTF-8");
    let run = Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    for out in [&run.stdout, &run.stderr] {
        let raw: Vec<char> = out.chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert!(raw.is_empty(), "control characters {raw:?} in {out}");
    }
    run
}

/// Runs observer with arguments to its end.
pub(crate) fn run(args: &[&str]) -> Run {
    finish(observer(args))
}

/// A process that is ended with the test.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts observer with arguments; stdout is kept for [`Self::end`].
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = observer(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        Self(command.spawn().expect("observer starts"))
    }

    /// True if the process catches the signal. Source: /proc/PID/status SigCgt.
    pub(crate) fn catches(&self, signal: i32) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let mask = status.lines().find_map(|l| l.strip_prefix("SigCgt:")).map(str::trim);
        mask.and_then(|m| u64::from_str_radix(m, 16).ok()).is_some_and(|m| m >> (signal - 1) & 1 == 1)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        nix::sys::signal::kill(pid, signal).expect("it is our child");
    }

    /// Waits for the end: exit code and stdout.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut out = String::new();
        self.0.stdout.take().expect("stdout is a pipe").read_to_string(&mut out).expect("text");
        (self.0.wait().expect("it is our child").code(), out)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is true; fails after 20 s.
pub(crate) fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_true() {
        assert!(begin.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder for one test, and a path in it.
pub(crate) fn folder() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().to_owned();
    (folder, move |name: &str| path.join(name))
}
