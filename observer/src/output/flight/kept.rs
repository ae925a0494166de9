//! The snapshots of the last minutes, in memory that was taken when observer began: a kill is no time to ask for more.

use std::{collections::VecDeque, ops::Range};

/// Bytes of all kept snapshots together, compressed.
pub(super) const BUDGET: usize = 8 << 20;
/// Snapshots that are kept at most.
pub(super) const MOST: usize = 1024;

/// A ring of encoded snapshots.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Box<[u8]>,
    /// Where the next one goes.
    head: usize,
    entries: VecDeque<Entry>,
    dropped: u64,
}

#[derive(Debug)]
struct Entry {
    at: Range<usize>,
    monotonic_ns: u64,
}

impl Kept {
    /// Takes the memory.
    pub(super) fn new(budget: usize) -> Self {
        // Written to, so that it is there: the kernel gives memory that was only asked for when it is first used.
        let bytes = vec![0xa5; budget].into_boxed_slice();
        Self { bytes, head: 0, entries: VecDeque::with_capacity(MOST), dropped: 0 }
    }

    /// Keeps one more, which is not empty; the oldest make room.
    pub(super) fn push(&mut self, payload: &[u8], monotonic_ns: u64) {
        if payload.len() > self.bytes.len() {
            self.dropped += 1;
            return;
        }
        let mut at = self.head..self.head + payload.len();
        if at.end > self.bytes.len() {
            // What lies between here and the end is the oldest.
            let head = self.head;
            self.drop_while(|entry| entry.start >= head);
            at = 0..payload.len();
        }
        self.drop_while(|entry| entry.start < at.end && at.start < entry.end);
        if self.entries.len() == MOST {
            self.drop_while({
                let mut first = true;
                move |_| std::mem::take(&mut first)
            });
        }
        let Some(room) = self.bytes.get_mut(at.clone()) else { return };
        room.copy_from_slice(payload);
        self.head = at.end;
        self.entries.push_back(Entry { at, monotonic_ns });
    }

    fn drop_while(&mut self, mut must_go: impl FnMut(&Range<usize>) -> bool) {
        while self.entries.front().is_some_and(|entry| must_go(&entry.at)) {
            self.entries.pop_front();
            self.dropped += 1;
        }
    }

    /// Those later than a time, but the last `at_least` in any case; oldest first.
    pub(super) fn since(&self, monotonic_ns: u64, at_least: usize) -> impl Iterator<Item = &[u8]> {
        let sure = self.entries.len().saturating_sub(at_least);
        let wanted = move |(i, entry): &(usize, &Entry)| *i >= sure || entry.monotonic_ns > monotonic_ns;
        self.entries.iter().enumerate().filter(wanted).filter_map(|(_, entry)| self.bytes.get(entry.at.clone()))
    }

    /// `CLOCK_MONOTONIC` of the newest one.
    pub(super) fn newest_ns(&self) -> Option<u64> {
        self.entries.back().map(|entry| entry.monotonic_ns)
    }

    /// Snapshots that had to make room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(kept: &Kept) -> Vec<Vec<u8>> {
        kept.since(0, 0).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn the_oldest_make_room() {
        let mut kept = Kept::new(10);
        for (i, payload) in [&b"aaaa"[..], b"bbbb", b"cc"].into_iter().enumerate() {
            kept.push(payload, i as u64 + 1);
        }
        assert_eq!(all(&kept), [&b"aaaa"[..], b"bbbb", b"cc"]);
        kept.push(b"ddd", 4);
        assert_eq!(all(&kept), [&b"bbbb"[..], b"cc", b"ddd"]);
        assert_eq!((kept.dropped(), kept.newest_ns()), (1, Some(4)));
        assert_eq!(kept.since(3, 2).collect::<Vec<_>>(), [&b"cc"[..], b"ddd"]);
        assert_eq!(kept.since(3, 0).collect::<Vec<_>>(), [b"ddd"]);
        kept.push(&[0; 11], 5);
        assert_eq!((all(&kept).len(), kept.dropped()), (3, 2), "what is larger than all is not kept");
    }

    proptest! {
        #[test]
        fn what_is_kept_are_the_last_ones_unharmed(sizes in proptest::collection::vec(1usize..40, 1..200)) {
            let mut kept = Kept::new(100);
            let payloads: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8; *n]).collect();
            for (i, payload) in payloads.iter().enumerate() {
                kept.push(payload, i as u64 + 1);
                let now = all(&kept);
                let told = &payloads[..=i];
                prop_assert!(!now.is_empty() && told.ends_with(&now));
                prop_assert_eq!(kept.dropped() as usize, told.len() - now.len());
            }
            // Wrapping wastes less than one of the largest size, twice.
            let held: usize = all(&kept).iter().map(Vec::len).sum();
            prop_assert!(held + 80 >= sizes.iter().sum::<usize>().min(100), "{}", held);
        }
    }
}
