//! What a lane came to, read from the words of the test harness.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// Lines of what a failed test said that the summary repeats.
const SAID_LINES: usize = 40;

/// What a lane came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) passed: usize,
    /// What failed, each in one line.
    pub(super) failed: Vec<String>,
    /// What did not run, each with the reason.
    pub(super) skipped: Vec<String>,
    /// What passed only when it ran again, each in one line.
    pub(super) flaky: Vec<String>,
    /// Names of the tests that came to a good end: they passed, or were not to run.
    pub(super) ended: BTreeSet<String>,
    /// What the failed tests said, and those that were stuck.
    pub(super) said: String,
    /// True if a test program, or what it runs in, was gone before the closing line.
    pub(super) cut_off: bool,
}

impl Outcome {
    /// A lane that cannot run here.
    pub(super) fn skipped(reason: &str) -> Self {
        Self { skipped: vec![reason.to_owned()], ..Self::default() }
    }

    /// A lane that could not be run as it should.
    pub(super) fn failed(reason: &str) -> Self {
        Self { failed: vec![reason.to_owned()], ..Self::default() }
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Reads the output of one or more test programs. `ending` says how they ended, None for well: a program that died
    /// printed no failure.
    pub(super) fn read(output: &str, ending: Option<String>) -> Self {
        let mut reader = Reader::default();
        for line in output.lines() {
            reader.line(line.trim_end());
        }
        reader.count_passed();
        let mut outcome = reader.outcome;
        outcome.cut_off = !reader.is_closed && ending.is_some();
        if let Some(ending) = ending
            && (outcome.failed.is_empty() || outcome.cut_off)
        {
            let place = reader.running.map_or(String::new(), |test| format!(", in the middle of {test}"));
            outcome.failed.push(ending + &place);
        }
        outcome
    }
}

/// Follows the words of the harness. What a test itself prints may stand between `test a::b ... ` and its verdict, so
/// totals come from `test result:`, and names of failures from the list before it.
#[derive(Default)]
struct Reader {
    outcome: Outcome,
    /// Names under the last `failures:`.
    failures: Option<Vec<String>>,
    /// Lines of what a failed test said, so far; None outside of that.
    said: Option<usize>,
    /// Last words of the tests that said they cannot run here, and were then counted as passed.
    skipped_tests: Vec<String>,
    /// Tests that passed, by name.
    passed_tests: Vec<String>,
    /// The test whose verdict has not come yet.
    running: Option<String>,
    /// True after the closing line of a program, until the next one begins.
    is_closed: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(totals) = line.strip_prefix("test result: ") {
            self.result(totals);
        } else if line.starts_with("running ") && line.trim_end_matches('s').ends_with(" test") {
            self.is_closed = false;
        } else if line == "failures:" {
            self.failures = Some(Vec::new());
            self.said = None;
        } else if self.failures.is_some() && line.starts_with("---- ") {
            self.said = Some(0);
            self.repeat(line);
        } else if self.said.is_some() {
            self.repeat(line);
        } else if let Some(name) = line.strip_prefix("    ").filter(|name| !name.contains(' '))
            && let Some(failures) = &mut self.failures
        {
            failures.push(name.to_owned());
        } else if let Some((name, rest)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ...")) {
            // What a test prints past the harness begins a new line, and the space before it is trimmed.
            self.running = Some(name.to_owned());
            self.words(rest.trim_start());
        } else {
            self.words(line);
        }
    }

    /// Keeps a line for the summary.
    fn repeat(&mut self, line: &str) {
        if let Some(lines) = &mut self.said {
            *lines += 1;
            if *lines <= SAID_LINES && !line.is_empty() {
                self.outcome.said.push_str(line);
                self.outcome.said.push('\n');
            }
        }
    }

    /// What stands on a line of its own, or after `test a::b ... `.
    fn words(&mut self, words: &str) {
        if let Some(reason) = words.strip_prefix("SKIPPED ") {
            self.outcome.skipped.push(reason.to_owned());
            self.skipped_tests.extend(reason.split(':').next().map(str::to_owned));
        } else if words.starts_with("STUCK ") {
            self.outcome.said.push_str(words);
            self.outcome.said.push('\n');
        } else if words == "ok" {
            self.outcome.ended.extend(self.running.clone());
            self.passed_tests.extend(self.running.take());
        } else if let Some(reason) = words.strip_prefix("ignored")
            && let Some(name) = self.running.take()
        {
            self.outcome.skipped.push(format!("{name}: ignored{reason}"));
            self.outcome.ended.insert(name);
        }
    }

    /// Passed tests that did not say that they were skipped.
    fn not_skipped(&self, passed: usize) -> usize {
        // A test that says it was skipped has not passed, whatever the harness thinks.
        let skipped = |test: &&String| {
            let own_name = test.rsplit("::").next();
            self.skipped_tests.iter().any(|skipped| Some(skipped.as_str()) == own_name || skipped == *test)
        };
        passed.saturating_sub(self.passed_tests.iter().filter(skipped).count())
    }

    /// Counts what passed in a program that died before it could say so.
    fn count_passed(&mut self) {
        self.outcome.passed += self.not_skipped(self.passed_tests.len());
    }

    /// The closing line of one program.
    fn result(&mut self, totals: &str) {
        self.outcome.passed += self.not_skipped(number_before(totals, " passed"));
        let mut failures = self.failures.take().unwrap_or_default();
        let missing = number_before(totals, " failed").saturating_sub(failures.len());
        // Where a name was lost, the count must not be.
        failures.extend((0..missing).map(|_| "a test whose name was lost in its output".to_owned()));
        self.outcome.failed.append(&mut failures);
        self.skipped_tests.clear();
        self.passed_tests.clear();
        self.running = None;
        self.is_closed = true;
    }
}

/// The number right before some words: 12 in `ok. 12 passed`.
fn number_before(text: &str, words: &str) -> usize {
    let before = text.split_once(words).map(|(before, _)| before);
    before.and_then(|before| before.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

/// The table of lanes, everything that failed or did not run, and one closing line.
pub(super) fn summary(results: &[(String, Outcome, Duration)]) -> String {
    let mut text = String::from("\nlane                    passed  failed skipped    time\n");
    let (mut passed, mut failed, mut skipped, mut flaky) = (0, 0, 0, 0);
    let mut details = String::new();
    for (lane, outcome, time) in results {
        let counts = (outcome.passed, outcome.failed.len(), outcome.skipped.len());
        let seconds = time.as_secs_f64();
        let _ = writeln!(text, "{lane:<22} {:>7} {:>7} {:>7} {seconds:>6.1}s", counts.0, counts.1, counts.2);
        passed += counts.0;
        failed += counts.1;
        skipped += counts.2;
        flaky += outcome.flaky.len();
        for name in &outcome.failed {
            let _ = writeln!(details, "FAILED  {lane}: {name}");
        }
        details.push_str(&outcome.said);
        for name in &outcome.flaky {
            let _ = writeln!(details, "FLAKY   {lane}: {name}");
        }
        for reason in &outcome.skipped {
            let _ = writeln!(details, "SKIPPED {lane}: {reason}");
        }
    }
    if !details.is_empty() {
        let _ = write!(text, "\n{details}");
    }
    let flaky = if flaky > 0 { format!(", {flaky} flaky") } else { String::new() };
    let _ = writeln!(text, "\n{passed} passed, {failed} failed, {skipped} skipped{flaky}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 4 tests\n\
        test a::one ... ok\n\
        test a::two ... ignored, needs a terminal\n\
        test a::three ... FAILED\n\
        test a::four ... \n\
        SKIPPED four: no cgroup v2 here\n\
        ok\n\
        test a::five ... something it said\n\
        FAILED\n\n\
        failures:\n\n---- a::three stdout ----\n    left\n\n\nfailures:\n    a::three\n    a::five\n\n\
        test result: FAILED. 2 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
        running 1 test\n\
        test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";

    #[test]
    fn the_words_of_the_harness_are_counted() {
        let outcome = Outcome::read(OUTPUT, Some("exit status: 101".to_owned()));
        assert_eq!(outcome.passed, 11);
        assert_eq!(outcome.failed, ["a::three", "a::five"]);
        assert_eq!(outcome.skipped, ["a::two: ignored, needs a terminal", "four: no cgroup v2 here"]);
        assert_eq!(outcome.ended.iter().collect::<Vec<_>>(), ["a::four", "a::one", "a::two"]);
        assert_eq!(outcome.said, "---- a::three stdout ----\n    left\n");
    }

    #[test]
    fn a_part_of_a_test_that_was_skipped_takes_no_pass_away() {
        let output = "test a ... ok\nSKIPPED pressure in a: no cgroup v2\ntest result: ok. 1 passed; 0 failed\n";
        let outcome = Outcome::read(output, None);
        assert_eq!((outcome.passed, outcome.skipped.len()), (1, 1));
    }

    #[test]
    fn a_program_that_died_has_failed() {
        let outcome = Outcome::read("running 2 tests\ntest a ... ok\n", Some("signal: 9".to_owned()));
        assert_eq!(outcome.failed, ["signal: 9"]);
        assert_eq!((outcome.has_failed(), outcome.passed), (true, 1));
    }

    #[test]
    fn a_program_that_was_cut_off_tells_where() {
        let output = "running 3 tests\ntest a ... ok\ntest b ... \nSTUCK b: no sign of it\n";
        let outcome = Outcome::read(output, Some("exit code 101".to_owned()));
        assert!(outcome.cut_off);
        assert_eq!(outcome.failed, ["exit code 101, in the middle of b"]);
        assert_eq!(outcome.said, "STUCK b: no sign of it\n");
        assert!(!Outcome::read(OUTPUT, Some("exit status: 101".to_owned())).cut_off);
        assert!(Outcome::read("", Some("the guest died".to_owned())).cut_off, "it did not even boot");
    }

    #[test]
    fn failures_whose_names_were_lost_still_count() {
        let outcome = Outcome::read("test result: FAILED. 0 passed; 2 failed; 0 ignored\n", None);
        assert_eq!(outcome.failed.len(), 2);
    }

    #[test]
    fn nothing_that_did_not_run_is_missing_from_the_summary() {
        let results = [
            ("unit".to_owned(), Outcome { passed: 3, ..Outcome::default() }, Duration::from_millis(1500)),
            ("kernel 6.1".to_owned(), Outcome::skipped("no qemu"), Duration::ZERO),
            ("cli".to_owned(), Outcome::failed("a::b"), Duration::ZERO),
        ];
        let text = summary(&results);
        assert!(text.contains("unit                         3       0       0    1.5s\n"), "{text}");
        assert!(text.contains("SKIPPED kernel 6.1: no qemu\n") && text.contains("FAILED  cli: a::b\n"), "{text}");
        assert!(text.ends_with("\n3 passed, 1 failed, 1 skipped\n"), "{text}");
    }
}
