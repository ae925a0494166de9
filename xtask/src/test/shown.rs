//! Which of the words of the test harness are worth a reader's time.

/// Leaves out what passing tests said, which is long: the numbers they saw, and panics that were meant to be.
#[derive(Default)]
pub(super) struct Quiet {
    hides: bool,
}

impl Quiet {
    /// True if the next line is to be shown.
    pub(super) fn wants(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.hides = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.hides = false;
        }
        !self.hides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passing_tests_said_is_left_out() {
        let lines = "test a ... ok\nsuccesses:\n---- a stdout ----\nseen: 1\nfailures:\nleft\ntest result: FAILED.";
        let mut quiet = Quiet::default();
        let shown: Vec<&str> = lines.lines().filter(|line| quiet.wants(line)).collect();
        assert_eq!(shown, ["test a ... ok", "failures:", "left", "test result: FAILED."]);
    }
}
