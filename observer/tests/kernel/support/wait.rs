//! Waiting for a condition, with a limit.

use std::time::{Duration, Instant};

/// Longest wait for anything. Emulated machines are slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Asks until there is an answer; panics with `what` after [`LIMIT`].
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
