//! Which namespaces are read in one round, where there are too many for all of them.
//!
//! Rates need the same ones again and again, so the first ones found, and those that have tunnels, are read in every round.
//! Some of the rest take turns: so a tunnel is found wherever it is.

use std::collections::{HashMap, HashSet};

use crate::snapshot::network::Namespace;

/// Namespaces with tunnels that are read in every round at most.
const MAX_WITH_TUNNELS: usize = 256;
/// Others that are read in every round at most.
const MAX_ALWAYS: usize = 64;
/// Those of the rest that are read in one round.
const TURNS: usize = 16;

/// What is remembered of the rounds.
#[derive(Debug, Default)]
pub(super) struct Turns {
    round: u64,
    /// By inode: the last round in which it was read, and whether it had a tunnel in use.
    seen: HashMap<u64, (u64, bool)>,
}

impl Turns {
    /// Those that are to be read now, of all that are known beside the own one.
    pub(super) fn choose(&mut self, others: &[u64]) -> HashSet<u64> {
        self.round += 1;
        let known: HashSet<u64> = others.iter().copied().collect();
        self.seen.retain(|inode, _| known.contains(inode));
        let has_tunnel = |inode: &u64| self.seen.get(inode).is_some_and(|(_, tunnel)| *tunnel);
        let (with, without): (Vec<u64>, Vec<u64>) = others.iter().partition(|inode| has_tunnel(inode));
        let (with, more) = with.split_at(MAX_WITH_TUNNELS.min(with.len()));
        let (always, rest) = without.split_at(MAX_ALWAYS.min(without.len()));
        let mut rest: Vec<u64> = rest.iter().chain(more).copied().collect();
        rest.sort_by_key(|inode| self.seen.get(inode).map_or(0, |(round, _)| *round));
        rest.truncate(TURNS);
        let chosen: HashSet<u64> = with.iter().chain(always).copied().chain(rest).collect();
        // Also of what cannot be entered: its turn is over.
        chosen.iter().for_each(|inode| self.seen.entry(*inode).or_default().0 = self.round);
        chosen
    }

    /// Notes what was read.
    pub(super) fn note<'a>(&mut self, read: impl Iterator<Item = &'a Namespace>) {
        for namespace in read {
            let tunnels = namespace.tunnels.iter().flatten();
            let in_use = tunnels.into_iter().any(|tunnel| super::underlay::is_in_use(namespace, tunnel));
            self.seen.insert(namespace.netns, (self.round, in_use));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tunnel::Tunnel;

    fn namespace(netns: u64, tunnels: usize) -> Namespace {
        Namespace { netns, tunnels: Some(vec![Tunnel::default(); tunnels]), ..Namespace::default() }
    }

    #[test]
    fn a_tunnel_is_found_in_the_last_of_a_thousand_and_then_read_in_every_round() {
        let others: Vec<u64> = (1..=1000).collect();
        let mut turns = Turns::default();
        let (mut rounds, mut seen) = (0, HashSet::new());
        while !seen.contains(&1000) {
            let chosen = turns.choose(&others);
            assert_eq!(chosen.len(), MAX_ALWAYS + TURNS);
            let read: Vec<_> = chosen.iter().map(|inode| namespace(*inode, usize::from(*inode == 1000))).collect();
            turns.note(read.iter());
            seen.extend(chosen);
            rounds += 1;
        }
        assert!(rounds <= (1000 - MAX_ALWAYS).div_ceil(TURNS), "{rounds}");
        for _ in 0..3 {
            let chosen = turns.choose(&others);
            assert!(chosen.contains(&1000) && (1..=MAX_ALWAYS as u64).all(|inode| chosen.contains(&inode)));
        }
    }

    #[test]
    fn a_few_are_all_read() {
        let mut turns = Turns::default();
        assert_eq!(turns.choose(&[3, 5]), HashSet::from([3, 5]));
        assert_eq!(turns.choose(&[]), HashSet::new());
    }
}
