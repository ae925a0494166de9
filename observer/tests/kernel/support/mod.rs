//! What the tests are made of.

pub(crate) mod bpf;
pub(crate) mod cgroup;
pub(crate) mod child;
pub(crate) mod connections;
pub(crate) mod cpu;
pub(crate) mod file;
mod file_work;
pub(crate) mod hidden;
pub(crate) mod hoard;
pub(crate) mod hogs;
pub(crate) mod line;
pub(crate) mod memory;
pub(crate) mod mounted;
pub(crate) mod netns;
pub(crate) mod observer;
pub(crate) mod perf;
pub(crate) mod runs;
pub(crate) mod socket;
pub(crate) mod sockets;
pub(crate) mod sysctl;
pub(crate) mod trace;
pub(crate) mod wait;
pub(crate) mod watchdog;
pub(crate) mod wire;
pub(crate) mod workload;

use std::io::Write;

/// Says that a test was not run, past the test harness, which hides what a passing test prints.
pub(crate) fn skipped(test: &str, reason: &str) {
    // In one write, and on a line of its own: the harness writes there too.
    let _ = std::io::stderr().write_all(format!("\nSKIPPED {test}: {reason}\n").as_bytes());
}

/// Watches this test, if it may load programs and make cgroups; else says that it is skipped.
pub(crate) fn may_run(test: &str) -> Option<watchdog::Watched> {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped(test, "not root");
    }
    root.then(|| watchdog::Watched::new(test))
}

/// Prints a line of numbers that a test has seen; shown with `--nocapture`.
macro_rules! seen {
    ($($arg:tt)*) => { println!("seen: {}", format_args!($($arg)*)) };
}
pub(crate) use seen;

/// Returns from a test that needs root and has none; another one is watched from here to its end.
macro_rules! needs_root {
    ($name:expr) => {
        let Some(_watched) = $crate::support::may_run($name) else { return };
    };
}
pub(crate) use needs_root;
