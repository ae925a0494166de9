//! How often a bed is judged, and how often it may go wrong.

use super::{seen, skipped};

/// Runs that are judged together, and how many of them must be right.
const ALL: usize = 20;
const RIGHT: usize = 19;

/// How often `OBSERVER_TEST_RUNS` asks for.
pub(crate) fn asked() -> Option<usize> {
    std::env::var("OBSERVER_TEST_RUNS").ok().and_then(|n| n.parse().ok())
}

/// Runs a bed as often as is asked for; of twenty runs one may go wrong. If nothing is asked for, once: and where that goes
/// wrong, the rest of the twenty decide. `run` does so many runs, or fewer, and says of each whether it was right; or what
/// the kernel or the machine lacks.
pub(crate) fn right_nearly_always(test: &str, mut run: impl FnMut(usize) -> Result<Vec<bool>, String>) {
    let asked = asked();
    let (mut runs, mut all) = (asked.unwrap_or(1), Vec::new());
    while all.len() < runs {
        super::watchdog::sign();
        match run(runs - all.len()) {
            Ok(right) => all.extend(right),
            Err(reason) => return skipped(test, &reason),
        }
        if asked.is_none() && all == [false] {
            seen!("{test}: wrong at first, {ALL} runs decide");
            runs = ALL;
        }
    }
    let right = all.iter().filter(|right| **right).count();
    seen!("{test}: right in {right} of {runs}");
    assert!(right >= runs - runs * (ALL - RIGHT) / ALL, "{test}: right in {right} of {runs}: {all:?}");
}
