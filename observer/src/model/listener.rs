//! Listening sockets over an interval.

use serde::Serialize;

use super::interval::sort_descending;
use crate::snapshot;

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listener {
    /// What the kernel reports now.
    #[serde(flatten)]
    pub now: snapshot::tcp::Listener,
    /// Connections that it refused in the interval. `None` if it was not there at its begin.
    pub refused: Option<u64>,
    /// True if no more connection fits into its queue.
    pub full: Option<bool>,
}

/// All listening sockets: those that refused most in the interval, then those with the longest queues.
pub fn rank(now: &[snapshot::tcp::Listener], before: Option<&[snapshot::tcp::Listener]>) -> Vec<Listener> {
    let old = |cookie: u64| before.and_then(|b| b.iter().find(|l| l.cookie == cookie));
    let mut rows: Vec<_> = now
        .iter()
        .map(|l| Listener {
            // The kernel's counter has 32 bits, and goes round.
            refused: old(l.cookie).and_then(|o| Some(l.drops?.wrapping_sub(o.drops?).into())),
            full: l.queue.zip(l.limit).map(|(queue, limit)| queue > limit),
            now: l.clone(),
        })
        .collect();
    sort_descending(&mut rows, |r| f64::from(r.now.queue.unwrap_or(0)));
    sort_descending(&mut rows, |r| r.refused.unwrap_or(0) as f64);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(cookie: u64, queue: u32, drops: u32) -> snapshot::tcp::Listener {
        snapshot::tcp::Listener {
            cookie,
            netns: 1,
            local: ([0, 0, 0, 0].into(), 80),
            uid: 0,
            inode: 1,
            owner: None,
            cgroup: None,
            queue: Some(queue),
            limit: Some(4),
            drops: Some(drops),
        }
    }

    #[test]
    fn those_that_refuse_come_first_and_a_counter_may_go_round() {
        let before = [listener(1, 0, 7), listener(2, 0, u32::MAX)];
        let rows = rank(&[listener(1, 4, 7), listener(2, 0, 1), listener(3, 5, 9)], Some(&before));
        let seen: Vec<_> = rows.iter().map(|r| (r.now.cookie, r.refused, r.full)).collect();
        assert_eq!(seen, [(2, Some(2), Some(false)), (3, None, Some(true)), (1, Some(0), Some(false))]);
    }
}
