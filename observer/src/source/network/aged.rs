//! What is costly to ask and does not change all the time.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// Answers, kept for a while.
#[derive(Debug)]
pub(super) struct Aged<K, V> {
    keep: Duration,
    known: HashMap<K, (Instant, V)>,
}

impl<K: Hash + Eq, V> Aged<K, V> {
    /// Keeps each answer so long.
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, known: HashMap::new() }
    }

    /// Begins a round: forgets what is too old.
    pub(super) fn begin(&mut self, now: Instant) {
        self.known.retain(|_, (asked, _)| now.duration_since(*asked) < self.keep);
    }

    /// The answer that is kept.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|(_, value)| value)
    }

    /// The answer that is kept, or a new one.
    pub(super) fn get_or_ask<E>(
        &mut self,
        key: K,
        now: Instant,
        ask: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<&V, E> {
        use std::collections::hash_map::Entry;
        let (_, value) = match self.known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let value = ask(place.key())?;
                place.insert((now, value))
            }
        };
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_asked_for_again_when_it_is_old() {
        let (mut aged, begun) = (Aged::new(Duration::from_secs(5)), Instant::now());
        let mut at = |seconds, answer: Result<u8, ()>| {
            let now = begun + Duration::from_secs(seconds);
            aged.begin(now);
            aged.get_or_ask("key", now, |_| answer).copied()
        };
        assert_eq!((at(0, Ok(1)), at(4, Ok(2)), at(5, Err(())), at(6, Ok(3))), (Ok(1), Ok(1), Err(()), Ok(3)));
    }
}
