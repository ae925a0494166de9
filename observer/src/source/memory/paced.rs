//! Reading no more often than the cost allows.

use std::time::{Duration, Instant};

use crate::{
    snapshot::{
        Name,
        coverage::{Coverage, Source},
    },
    source::{SourceError, cost::counted},
};

/// A value that is costly to read, with what its last reading took.
#[derive(Debug)]
pub(super) struct Paced<T> {
    share: f64,
    last: Option<Result<T, Name>>,
    next: Option<Instant>,
}

impl<T: Clone> Paced<T> {
    /// Spends at most this share of the time, 0 to 1.
    pub(super) fn new(share: f64) -> Self {
        Self { share, last: None, next: None }
    }

    /// Reads if it is time, else gives what was read last.
    pub(super) fn read(
        &mut self,
        now: Instant,
        name: &str,
        coverage: &mut Coverage,
        read: impl FnOnce() -> Result<T, SourceError>,
    ) -> Option<T> {
        if self.next.is_none_or(|next| next <= now) {
            let begun = Instant::now();
            self.last = Some(counted(coverage, name, read).map_err(|e| e.reason()));
            self.next = Some(now + pause(begun.elapsed(), self.share));
        }
        let (value, missing) = match self.last.clone()? {
            Ok(value) => (Some(value), None),
            Err(reason) => (None, Some(reason)),
        };
        coverage.sources.push(Source { name: name.to_owned(), missing });
        value
    }
}

/// Time from one reading to the next, if one takes `took`.
fn pause(took: Duration, share: f64) -> Duration {
    took.div_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reading_is_not_repeated_at_once_and_a_failure_neither() {
        assert_eq!(pause(Duration::from_millis(20), 0.01), Duration::from_secs(2));
        let (mut paced, mut coverage) = (Paced::new(0.01), Coverage::default());
        let begun = Instant::now();
        let slow = |value| {
            move || {
                let until = Instant::now() + Duration::from_millis(5);
                while Instant::now() < until {}
                Ok(value)
            }
        };
        assert_eq!(paced.read(begun, "x", &mut coverage, slow(1)), Some(1));
        assert_eq!(paced.read(begun + Duration::from_millis(400), "x", &mut coverage, slow(2)), Some(1));
        let later = begun + Duration::from_secs(3600);
        let gone = || Err(SourceError::io("read", "x", nix::errno::Errno::ENOENT));
        assert_eq!(paced.read(later, "x", &mut coverage, gone), None::<i32>);
        assert!(coverage.sources.last().unwrap().missing.is_some());
        assert_eq!(coverage.sources.len(), 3, "each snapshot lists the source");
    }
}
