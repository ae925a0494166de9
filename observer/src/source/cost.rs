//! What reading each source costs observer: CPU time of the threads that read, user and system.

use std::{cell::Cell, collections::BTreeMap};

use nix::{
    sys::time::TimeValLike,
    time::{ClockId, clock_gettime},
};

use crate::snapshot::coverage::{Cost, Coverage};

/// Runs `read` and lists what it cost. Without the clock nothing is listed.
pub(super) fn counted<T>(coverage: &mut Coverage, source: &str, read: impl FnOnce() -> T) -> T {
    let begin = thread_ns();
    let value = read();
    let spent = thread_ns().zip(begin).map(|(end, begin)| end.saturating_sub(begin));
    coverage.costs.extend(spent.map(|cpu_ns| Cost { source: source.to_owned(), cpu_ns }));
    value
}

thread_local! {
    /// What threads have spent that read something for this one, and have ended.
    static HELPERS: Cell<u64> = const { Cell::new(0) };
}

/// CPU time of this thread, and of those that have read something for it, in nanoseconds.
pub(super) fn thread_ns() -> Option<u64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok()?;
    u64::try_from(time.num_nanoseconds()).ok().map(|own| own + HELPERS.get())
}

/// Adds what a thread has spent that has read something for this one.
pub(super) fn add_of_helper(cpu_ns: u64) {
    HELPERS.set(HELPERS.get() + cpu_ns);
}

/// What was spent so far, by source.
#[derive(Debug, Default)]
pub(super) struct Spent(BTreeMap<String, u64>);

impl Spent {
    /// Adds what one snapshot cost, and leaves the sums in their place.
    pub(super) fn add_up(&mut self, coverage: &mut Coverage) {
        for cost in coverage.costs.drain(..) {
            *self.0.entry(cost.source).or_default() += cost.cpu_ns;
        }
        coverage.costs.extend(self.0.iter().map(|(source, ns)| Cost { source: source.clone(), cpu_ns: *ns }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_and_sums_grow() {
        let work = || (0..2_000_000u64).fold(0u64, |sum, i| std::hint::black_box(sum.wrapping_mul(31) + i));
        let mut spent = Spent::default();
        let mut first = Coverage::default();
        counted(&mut first, "a", work);
        counted(&mut first, "b", || ());
        spent.add_up(&mut first);
        let mut second = Coverage::default();
        counted(&mut second, "a", work);
        counted(&mut second, "a", work);
        spent.add_up(&mut second);
        let of = |c: &Coverage, name: &str| c.costs.iter().find(|c| c.source == name).map(|c| c.cpu_ns);
        assert_eq!(second.costs.len(), 2, "one sum a source: {second:?}");
        assert!(of(&first, "a") > of(&first, "b"), "{first:?}");
        assert!(of(&second, "a").unwrap() > of(&first, "a").unwrap(), "{first:?} {second:?}");
        assert_eq!(of(&second, "b"), of(&first, "b"), "what is not read costs nothing more");
    }

    #[test]
    fn what_a_helper_spends_counts() {
        let mut coverage = Coverage::default();
        counted(&mut coverage, "a", || add_of_helper(1_000_000_000));
        assert!(coverage.costs.first().is_some_and(|cost| cost.cpu_ns >= 1_000_000_000));
    }
}
