//! A test that hangs is ended, with what its threads wait for, instead of all the tests after it.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use super::seen;

/// Seconds that a test may go on without a sign; not set, there is no limit. Tests that measure or soak take long.
const LIMIT: &str = "OBSERVER_TEST_LIMIT";

/// A test that runs.
struct Running {
    name: String,
    begun: Instant,
    sign: Instant,
}

/// Tests that run, by their thread, and what panicked in any thread meanwhile: a test may wait for a thread that is gone.
#[derive(Default)]
struct State {
    running: HashMap<ThreadId, Running>,
    panics: Vec<String>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A test is watched as long as this lives.
#[derive(Debug)]
#[must_use]
pub(crate) struct Watched;

impl Watched {
    pub(super) fn new(name: &str) -> Self {
        static FIRST: Once = Once::new();
        FIRST.call_once(|| {
            if let Some(limit) = std::env::var(LIMIT).ok().and_then(|seconds| seconds.parse().ok()) {
                remember_panics();
                thread::spawn(move || watch(Duration::from_secs(limit)));
            }
        });
        let now = Instant::now();
        let running = Running { name: name.to_owned(), begun: now, sign: now };
        state().running.insert(thread::current().id(), running);
        Self
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let ended = {
            let mut state = state();
            state.panics.clear();
            state.running.remove(&thread::current().id())
        };
        if let Some(Running { name, begun, .. }) = ended {
            seen!("{name} took {:.1} s", begun.elapsed().as_secs_f64());
        }
    }
}

/// The test of this thread goes on: it was to do something many times.
pub(crate) fn sign() {
    if let Some(running) = state().running.get_mut(&thread::current().id()) {
        running.sign = Instant::now();
    }
}

/// The harness keeps what a test says until it ends, and one that hangs does not.
fn remember_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        state().panics.push(panic.to_string());
        usual(panic);
    }));
}

fn watch(limit: Duration) {
    loop {
        thread::sleep(Duration::from_secs(1));
        let Some(mut said) = stuck(&state(), limit) else { continue };
        threads(std::process::id(), &mut said);
        // Past the harness, which would keep it.
        let _ = std::io::stderr().write_all(said.as_bytes());
        // SAFETY: _exit has no preconditions. What the test started ends when its pipe does.
        unsafe { libc::_exit(101) };
    }
}

/// Names a test that has given no sign for so long, with the panics.
fn stuck(state: &State, limit: Duration) -> Option<String> {
    let test = state.running.values().find(|test| test.sign.elapsed() > limit)?;
    let mut said = format!("\nSTUCK {}: no sign of it for {} s\n", test.name, limit.as_secs());
    for line in state.panics.iter().flat_map(|panic| panic.lines()) {
        let _ = writeln!(said, "STUCK panic: {line}");
    }
    Some(said)
}

/// Says of each thread of a process, and of the processes that it started, where in the kernel it is.
fn threads(pid: u32, to: &mut String) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten().map(|task| task.path()) {
        let read = |file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
        let state = read("stat").rsplit(')').next().and_then(|rest| rest.trim().chars().next()).unwrap_or('?');
        let stack = read("stack");
        let places = stack.lines().filter_map(|line| line.split("] ").nth(1)).take(8).collect::<Vec<_>>();
        let _ = writeln!(to, "STUCK {pid} {:?} {state}: {}", read("comm").trim_end(), places.join(" < "));
        for child in read("children").split_ascii_whitespace().filter_map(|child| child.parse().ok()) {
            threads(child, to);
        }
    }
}
