//! The real binary, serving.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::http;

/// Long enough for a loaded machine, short enough to end a run that hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `check` has an answer; panics with `what` when it takes too long.
pub(crate) fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = check() {
            return answer;
        }
        assert!(Instant::now() < until, "waited {DEADLINE:?} for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// True if the tests may load kernel probes.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// `observer serve` on a free port of loopback. It is killed when this is dropped.
pub(crate) struct Target {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Target {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::run(&mut Command::new(env!("CARGO_BIN_EXE_observer")), arguments)
    }

    /// The same with a command that stands for the binary.
    pub(crate) fn run(command: &mut Command, arguments: &[&str]) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("observer: metrics at http://").and_then(|l| l.strip_suffix("/metrics"));
        let address = address.unwrap_or_else(|| panic!("it said {line:?}")).parse().unwrap();
        let target = Self { child, address };
        wait_for("observer to be ready", || (http::get(address, "/-/ready").status == 200).then_some(()));
        target
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        wait_for("observer to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that is to end by itself; its exit code, stdout and stderr.
pub(crate) fn run_to_end(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = wait_for("the command to end", || child.try_wait().unwrap());
    let read = |stream: &mut dyn Read| {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    (status.code(), read(&mut child.stdout.take().unwrap()), read(&mut child.stderr.take().unwrap()))
}

/// True if a program can be started; says so in the words that the test lane looks for if it cannot.
pub(crate) fn has(test: &str, program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).exists()));
    if !found {
        println!("SKIPPED {test}: {program} is not installed");
    }
    found
}
