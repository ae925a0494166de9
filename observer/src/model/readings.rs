//! What was read of each connection between the two ends of a long interval. Pure.
//!
//! Counters are worth the same however seldom they are read. What a connection waits for at the moment it is looked at (is its
//! congestion window used up, does data wait) is not: one reading is an accident, ten are a share of the time.

use std::collections::HashMap;

use super::Model;
use crate::snapshot::tcp::{Sockets, TcpInfo};

/// Readings of one interval at most, evenly spread over it.
const MOST: usize = 16;
/// Readings of single connections at most: with very many connections there are fewer of each.
const MOST_OF_ALL: usize = 100_000;

/// What one reading says of each connection, by its network namespace and cookie.
type Reading = HashMap<(u64, u64), TcpInfo>;

/// Readings between the ends of an interval, thinned out evenly when they become too many.
#[derive(Debug)]
pub struct Readings {
    /// Each with its number.
    kept: Vec<(usize, Reading)>,
    /// Readings there were.
    seen: usize,
    /// Those are kept whose number it divides.
    every: usize,
}

impl Default for Readings {
    fn default() -> Self {
        Self { kept: Vec::new(), seen: 0, every: 1 }
    }
}

impl Readings {
    /// Adds the connections of a further reading.
    pub fn add(&mut self, sockets: &Sockets) {
        self.seen += 1;
        if !self.seen.is_multiple_of(self.every) {
            return;
        }
        let reading = sockets.list.iter().map(|s| ((s.netns, s.cookie), s.info)).collect();
        self.kept.push((self.seen, reading));
        let connections: usize = self.kept.iter().map(|(_, reading)| reading.len()).sum();
        if self.kept.len() > MOST || (connections > MOST_OF_ALL && self.kept.len() > 1) {
            self.every *= 2;
            let every = self.every;
            self.kept.retain(|(number, _)| number.is_multiple_of(every));
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl Model {
    /// The same with what was read of its connections between its two ends.
    #[must_use]
    pub fn with_readings(mut self, readings: &Readings) -> Self {
        let connections = self.tcp.sockets.iter_mut().flat_map(|open| &mut open.list);
        for connection in connections.filter(|c| c.grown.is_some()) {
            let key = (connection.now.netns, connection.now.cookie);
            connection.between = readings.kept.iter().filter_map(|(_, reading)| reading.get(&key).copied()).collect();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tcp::Socket;

    fn reading(n: u64, connections: u64) -> Sockets {
        let socket = |cookie| {
            let mut socket = Socket::new(cookie, 1, ([10, 0, 0, 1].into(), 1), ([10, 0, 0, 2].into(), 443));
            socket.info.bytes_acked = Some(n);
            socket
        };
        Sockets { list: (0..connections).map(socket).collect(), ..Sockets::default() }
    }

    fn kept(readings: u64, connections: u64) -> Vec<u64> {
        let mut all = Readings::default();
        (1..=readings).for_each(|n| all.add(&reading(n, connections)));
        all.kept.iter().filter_map(|(_, reading)| reading.get(&(1, 0))?.bytes_acked).collect()
    }

    #[test]
    fn few_are_all_kept() {
        assert_eq!(kept(16, 1), (1..=16).collect::<Vec<_>>());
    }

    #[test]
    fn many_are_thinned_out_evenly() {
        for readings in [17, 100, 1000] {
            let kept = kept(readings, 1);
            assert!((8..=16).contains(&kept.len()), "{kept:?}");
            let steps: Vec<u64> = kept.windows(2).map(|w| w[1] - w[0]).collect();
            assert!(steps.iter().all(|step| *step == steps[0]), "{kept:?}");
        }
    }

    #[test]
    fn of_very_many_connections_there_are_fewer() {
        assert!(kept(16, 30_000).len() <= 3);
    }
}
