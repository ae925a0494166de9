//! A second try for tests that failed: a guest whose emulator runs a half-patched instruction dies of it, and another
//! program of the host may take the processor at the wrong moment. What passes only then is said to be flaky, and not hidden.

use super::outcome::Outcome;
use anyhow::Result;

/// More failures than these are no accident.
const ACCIDENTS: usize = 5;
/// How often a program that was cut off is started again, for those tests that it did not come to.
const STARTS: usize = 2;

/// Runs those of `all` that failed or came to no verdict once more, by `run`, if they are few, or if the program was cut off:
/// then most of them run for the first time, and what fails of them has its second try as well.
pub(super) fn again(
    first: Outcome,
    all: &[String],
    mut run: impl FnMut(&[String]) -> Result<Outcome>,
) -> Result<Outcome> {
    let mut outcome = first;
    for _ in 0..STARTS {
        let open: Vec<String> = all.iter().filter(|name| !outcome.ended.contains(*name)).cloned().collect();
        if !outcome.has_failed() || open.is_empty() || (!outcome.cut_off && open.len() > ACCIDENTS) {
            break;
        }
        crate::exec::say(&format!("{} tests run again", open.len()));
        let was_cut_off = outcome.cut_off;
        outcome = merged(outcome, run(&open)?);
        if !was_cut_off {
            break;
        }
    }
    Ok(outcome)
}

fn merged(first: Outcome, second: Outcome) -> Outcome {
    let mut flaky = first.flaky;
    flaky.extend(second.flaky);
    flaky.extend(
        first.failed.into_iter().filter(|name| !second.failed.contains(name)).map(|name| format!("{name} (at first)")),
    );
    let mut skipped = first.skipped;
    skipped.extend(second.skipped);
    skipped.sort();
    skipped.dedup();
    Outcome {
        passed: first.passed + second.passed,
        failed: second.failed,
        cut_off: second.cut_off,
        skipped,
        flaky,
        ended: first.ended.into_iter().chain(second.ended).collect(),
        // Also of what then passed: it is worth knowing.
        said: first.said + &second.said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn first() -> Outcome {
        let output = "test a ... ok\ntest b ... FAILED\nfailures:\n---- b stdout ----\nleft\nfailures:\n    b\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored\n";
        Outcome::read(output, None)
    }

    #[test]
    fn only_what_failed_runs_again_and_is_flaky_when_it_passes() {
        let run = |open: &[String]| {
            assert_eq!(open, ["b"]);
            Ok(Outcome::read("test b ... ok\ntest result: ok. 1 passed; 0 failed\n", None))
        };
        let outcome = again(first(), &names(&["a", "b"]), run).unwrap();
        assert_eq!((outcome.passed, outcome.has_failed(), outcome.flaky), (2, false, vec!["b (at first)".to_owned()]));
        assert!(outcome.said.contains("left"));
    }

    #[test]
    fn what_fails_twice_has_failed() {
        let mut runs = 0;
        let run = |_: &[String]| {
            runs += 1;
            Ok(first())
        };
        let outcome = again(first(), &names(&["a", "b"]), run).unwrap();
        assert_eq!((outcome.failed, outcome.flaky.len(), runs), (names(&["b"]), 0, 1));
    }

    fn died() -> Outcome {
        Outcome::read("running 8 tests\ntest a ... ok\ntest b ... ", Some("the guest died".to_owned()))
    }

    #[test]
    fn what_a_dead_guest_left_undone_is_done() {
        let all = names(&["a", "b", "c", "d", "e", "f", "g", "h"]);
        let rest = |open: &[String]| Ok(Outcome { passed: open.len(), ..Outcome::default() });
        let outcome = again(died(), &all, rest).unwrap();
        assert_eq!((outcome.passed, outcome.flaky), (8, names(&["the guest died, in the middle of b (at first)"])));
    }

    #[test]
    fn what_fails_after_a_guest_died_has_its_second_try() {
        let mut outcomes = vec![Outcome::read("test b ... ok\ntest result: ok. 1 passed; 0 failed\n", None), first()];
        let run = |_: &[String]| Ok(outcomes.pop().unwrap());
        let outcome = again(died(), &names(&["a", "b"]), run).unwrap();
        assert!(!outcome.has_failed() && outcomes.is_empty(), "{outcome:?}");
        assert_eq!(outcome.flaky, names(&["the guest died, in the middle of b (at first)", "b (at first)"]));
    }

    #[test]
    fn what_hangs_each_time_has_failed() {
        let mut runs = 0;
        let run = |_: &[String]| {
            runs += 1;
            Ok(died())
        };
        let outcome = again(died(), &names(&["a", "b", "c"]), run).unwrap();
        assert_eq!((outcome.has_failed(), outcome.cut_off, runs), (true, true, STARTS));
    }

    #[test]
    fn many_failures_are_no_accident() {
        let failed = Outcome::failed("all of them");
        let all = names(&["a", "b", "c", "d", "e", "f"]);
        let outcome = again(failed, &all, |_| panic!("it must not run")).unwrap();
        assert!(outcome.has_failed());
    }
}
