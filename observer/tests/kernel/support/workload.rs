//! A process that does work when told to: the test binary, started again.

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
};

use super::cgroup::Cgroup;

/// Environment variable that makes the test binary a workload: its kind and arguments, separated by spaces.
pub(crate) const WORKLOAD: &str = "OBSERVER_TEST_WORKLOAD";

/// A workload process. It stops at each step until it is told to go on. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Workload {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Workload {
    /// Starts `what` (see [`super::child`]), inside `cgroup` if there is one, and waits until it is ready.
    pub(crate) fn start(what: &str, cgroup: Option<&Cgroup>) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command.env_clear().env(WORKLOAD, what).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(cgroup) = cgroup {
            let mut procs = OpenOptions::new().write(true).open(cgroup.procs()).expect("the cgroup is there");
            // SAFETY: between fork and exec only one write to an open file is done.
            unsafe { command.pre_exec(move || procs.write_all(b"0")) };
        }
        let mut child = command.spawn().expect("the test binary starts again");
        let input = child.stdin.take().expect("stdin is a pipe");
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut workload = Self { child, input, output };
        assert_eq!(workload.said(), "ready", "workload {what}");
        workload
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it do its next step, and waits for what it says after it.
    pub(crate) fn step(&mut self) -> String {
        self.go();
        self.said()
    }

    /// Lets it do its next step.
    pub(crate) fn go(&mut self) {
        self.input.write_all(b"\n").expect("the workload reads");
    }

    /// Waits for the next line that it says; empty if it has ended.
    pub(crate) fn said(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the workload writes");
        line.trim_end().to_owned()
    }

    /// Lets it end, and waits until it is gone.
    pub(crate) fn finish(mut self) {
        self.go();
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "the workload ended with {status}");
    }

    /// Waits until it is killed, and gives the signal.
    pub(crate) fn killed_by(mut self) -> Option<i32> {
        let status: ExitStatus = self.child.wait().expect("it is our child");
        status.signal()
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // It may have ended, or been waited for, already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
