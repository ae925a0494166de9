//! A second try for tests that failed: a guest whose emulator runs a half-patched instruction dies of it, and another
//! program of the host may take the processor at the wrong moment. What passes only then is said to be flaky, and not hidden.

use super::outcome::Outcome;
use anyhow::Result;

/// More failures than these are no accident.
const ACCIDENTS: usize = 5;

/// Runs those of `all` that failed or came to no verdict once more, by `run`, if they are few, or if `died` says that it
/// was not the tests that failed but what they ran in.
pub(super) fn again(
    first: Outcome,
    all: &[String],
    died: bool,
    mut run: impl FnMut(&[String]) -> Result<Outcome>,
) -> Result<Outcome> {
    tried_again(first, all, died, &mut run)
}

fn tried_again(
    first: Outcome,
    all: &[String],
    died: bool,
    run: &mut dyn FnMut(&[String]) -> Result<Outcome>,
) -> Result<Outcome> {
    let open: Vec<String> = all.iter().filter(|name| !first.ended.contains(*name)).cloned().collect();
    if !first.has_failed() || open.is_empty() || (!died && open.len() > ACCIDENTS) {
        return Ok(first);
    }
    crate::exec::say(&format!("{} tests run again", open.len()));
    let mut second = run(&open)?;
    if died {
        // Most of these have run for the first time.
        second = tried_again(second, &open, false, run)?;
    }
    Ok(merged(first, second))
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
        let outcome = again(first(), &names(&["a", "b"]), false, run).unwrap();
        assert_eq!((outcome.passed, outcome.has_failed(), outcome.flaky), (2, false, vec!["b (at first)".to_owned()]));
        assert!(outcome.said.contains("left"));
    }

    #[test]
    fn what_fails_twice_has_failed() {
        let outcome = again(first(), &names(&["a", "b"]), false, |_| Ok(first())).unwrap();
        assert_eq!((outcome.failed, outcome.flaky.len()), (names(&["b"]), 0));
    }

    #[test]
    fn what_a_dead_guest_left_undone_is_done() {
        let died = Outcome::read("test a ... ok\ntest b ... ", Some("the guest died".to_owned()));
        let all = names(&["a", "b", "c", "d", "e", "f", "g", "h"]);
        let rest = |open: &[String]| Ok(Outcome { passed: open.len(), ..Outcome::default() });
        let outcome = again(died, &all, true, rest).unwrap();
        assert_eq!((outcome.passed, outcome.flaky), (8, names(&["the guest died (at first)"])));
    }

    #[test]
    fn what_fails_after_a_guest_died_has_its_second_try() {
        let died = Outcome::read("test a ... ", Some("the guest died".to_owned()));
        let outcomes = std::cell::RefCell::new(vec![
            Outcome::read("test a ... ok\ntest b ... ok\ntest result: ok. 2 passed; 0 failed\n", None),
            first(),
        ]);
        let run = |_: &[String]| Ok(outcomes.borrow_mut().pop().unwrap());
        let outcome = again(died, &names(&["a", "b"]), true, run).unwrap();
        assert!(!outcome.has_failed() && outcomes.borrow().is_empty(), "{outcome:?}");
        assert_eq!(outcome.flaky, names(&["b (at first)", "the guest died (at first)"]));
    }

    #[test]
    fn many_failures_are_no_accident() {
        let failed = Outcome::failed("all of them");
        let all = names(&["a", "b", "c", "d", "e", "f"]);
        let outcome = again(failed, &all, false, |_| panic!("it must not run")).unwrap();
        assert!(outcome.has_failed());
    }
}
