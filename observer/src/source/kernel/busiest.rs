//! The heaviest of many sockets, in little memory, and the sum of the others.

use std::cmp::Reverse;

use observer_ebpf::abi::socket::Socket as Raw;

use crate::snapshot::tcp::SocketTotals;

/// Sockets as they come, of which the heaviest are kept.
#[derive(Debug)]
pub(super) struct Busiest {
    most: usize,
    kept: Vec<(u64, u64, Raw)>,
    other: SocketTotals,
}

impl Busiest {
    /// Keeps `most` of them.
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Vec::new(), other: SocketTotals::default() }
    }

    /// Takes one.
    pub(super) fn push(&mut self, weight: u64, netns: u64, raw: &Raw) {
        self.kept.push((weight, netns, *raw));
        // With room for as many again, each is looked at a few times at most.
        if self.kept.len() >= self.most.saturating_mul(2).max(16) {
            self.cut();
        }
    }

    /// The heaviest with their namespaces, heaviest first, and the sum of the rest.
    pub(super) fn finish(mut self) -> (Vec<(u64, Raw)>, SocketTotals) {
        self.cut();
        self.kept.sort_unstable_by_key(|entry| Reverse(rank(entry)));
        (self.kept.into_iter().map(|(_, netns, raw)| (netns, raw)).collect(), self.other)
    }

    fn cut(&mut self) {
        if self.kept.len() <= self.most {
            return;
        }
        self.kept.select_nth_unstable_by_key(self.most, |entry| Reverse(rank(entry)));
        for (_, _, raw) in self.kept.drain(self.most..) {
            self.other.sockets += 1;
            self.other.bytes_acked += raw.bytes_acked;
            self.other.bytes_received += raw.bytes_received;
            self.other.retrans_segs += u64::from(raw.total_retrans);
        }
    }
}

/// By what goes on now; where nothing does, by what was carried since it began.
fn rank((weight, _, raw): &(u64, u64, Raw)) -> (u64, u64) {
    (*weight, raw.bytes_acked.saturating_add(raw.bytes_received))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kernel::maps::zeroed;

    fn raw(cookie: u64, bytes_acked: u64) -> Raw {
        Raw { cookie, bytes_acked, ..zeroed() }
    }

    #[test]
    fn the_heaviest_are_kept_in_any_order_of_arrival() {
        for step in [1_u64, 7, 999] {
            let mut busiest = Busiest::new(10);
            for n in (0..1000).map(|n| n * step % 1000) {
                busiest.push(n, 1, &raw(n, 1000 - n));
            }
            assert!(busiest.kept.len() < 20);
            let (list, other) = busiest.finish();
            assert_eq!(
                list.iter().map(|(_, raw)| raw.cookie).collect::<Vec<_>>(),
                (990..1000).rev().collect::<Vec<_>>()
            );
            assert_eq!((other.sockets, other.bytes_acked), (990, (11..=1000).sum()));
        }
    }

    #[test]
    fn of_the_quiet_those_are_kept_that_carried_most() {
        let mut busiest = Busiest::new(2);
        [(0, 5), (0, 90), (1, 0), (0, 7)].iter().for_each(|(weight, n)| busiest.push(*weight, 1, &raw(*n, *n)));
        let (list, other) = busiest.finish();
        assert_eq!((list[0].1.cookie, list[1].1.cookie, other.bytes_acked), (0, 90, 12));
    }

    #[test]
    fn none_may_be_kept() {
        let mut busiest = Busiest::new(0);
        (0..40).for_each(|n| busiest.push(n, 1, &raw(n, 1)));
        assert_eq!((busiest.finish().1.sockets, Busiest::new(3).finish().0.len()), (40, 0));
    }
}
