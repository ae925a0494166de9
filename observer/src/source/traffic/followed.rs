//! Every connection from look to look.

use std::collections::HashMap;

use super::{End, Gain, Holder, Look, Options, Sums};
use crate::snapshot::tcp::{Traffic, TrafficTotals};

/// Rounds after which a connection that is in no table has ended, although nobody told: the kernel does not run a probe
/// inside itself.
const SILENCE: u32 = 600;

/// What connections gained, connection by connection.
#[derive(Debug)]
pub struct Followed {
    sums: Sums,
    most: usize,
    open: HashMap<u64, Seen>,
    /// Number of the round of looks, from 1.
    round: u32,
    /// Of each connection that gained something in this round.
    gains: Vec<Open>,
    /// Of those that ended in it.
    ends: Vec<Gain>,
    /// Open connections that found no place in this round.
    not_followed: u64,
    /// True if each end is told, by [`Self::end`] or in a sum.
    ends_told: bool,
    /// Connections that ended and were not told of, and their bytes, at the begin of the last round and of this one.
    untold: [TrafficTotals; 2],
}

/// A connection as it was when it was last looked at.
#[derive(Debug, Clone, Copy)]
struct Seen {
    counted: Counted,
    /// Bytes of late, as rows are ranked by.
    weight: u64,
    cgroup: u64,
    holder: Option<Holder>,
    netns: u64,
    last_round: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    bytes_acked: u64,
    bytes_received: u64,
    retrans: u32,
}

impl Counted {
    /// Totals of what was counted since an earlier look.
    fn since(&self, before: &Self) -> TrafficTotals {
        TrafficTotals {
            bytes_acked: self.bytes_acked.saturating_sub(before.bytes_acked),
            bytes_received: self.bytes_received.saturating_sub(before.bytes_received),
            retrans_segs: self.retrans.saturating_sub(before.retrans).into(),
            ..TrafficTotals::default()
        }
    }
}

/// An open connection that gained something, until it is known who holds it.
#[derive(Debug)]
struct Open {
    cookie: u64,
    inode: u64,
    gain: Gain,
}

impl Followed {
    /// Nothing seen yet. Where ends are not told, what is looked at no more has ended.
    pub fn new(options: Options, ends_told: bool) -> Self {
        Self {
            sums: Sums::new(options),
            most: options.connections,
            open: HashMap::new(),
            round: 0,
            gains: Vec::new(),
            ends: Vec::new(),
            not_followed: 0,
            ends_told,
            untold: [TrafficTotals::default(); 2],
        }
    }

    /// Begins a round, in which each open connection is looked at once. `untold` are the connections that have ended without
    /// a word, with all their bytes, since observer began: to be read before the looks, in which they are missing then.
    pub fn begin(&mut self, untold: TrafficTotals) {
        self.round = self.round.saturating_add(1);
        self.not_followed = 0;
        let [_, last] = self.untold;
        self.untold = [last, untold];
    }

    /// Looks at an open connection. `read_before` is true if its namespace was read in an earlier round: then one that is
    /// met for the first time has begun since. Gives the connection's weight: bytes of late, and those that wait, so that one
    /// that is stuck is not passed over.
    pub fn look(&mut self, look: &Look, read_before: bool) -> u64 {
        let now = Counted { bytes_acked: look.bytes_acked, bytes_received: look.bytes_received, retrans: look.retrans };
        let round = self.round;
        let new = !self.open.contains_key(&look.cookie);
        if new && self.open.len() >= self.most {
            self.not_followed += 1;
            return look.waiting;
        }
        let fresh = look.born || read_before;
        let seen = self.open.entry(look.cookie).or_insert_with(|| Seen {
            counted: if fresh { Counted::default() } else { now },
            weight: 0,
            cgroup: look.cgroup,
            holder: look.opener,
            netns: look.place.netns,
            last_round: round,
        });
        let mut totals = now.since(&seen.counted);
        totals.began = u64::from(new && fresh);
        if look.cgroup != 0 {
            seen.cgroup = look.cgroup;
        }
        seen.counted = now;
        seen.last_round = round;
        seen.weight = (seen.weight / 2).saturating_add(totals.bytes());
        if !totals.is_zero() {
            let gain = Gain { holder: seen.holder, cgroup: seen.cgroup, place: look.place, totals };
            self.gains.push(Open { cookie: look.cookie, inode: look.inode, gain });
        }
        seen.weight.saturating_add(look.waiting)
    }

    /// Takes the end of a connection. Ends come after the looks of their round.
    pub fn end(&mut self, end: &End) {
        let now = Counted { bytes_acked: end.bytes_acked, bytes_received: end.bytes_received, retrans: end.retrans };
        let seen = self.open.remove(&end.cookie);
        // Of one that began before observer, and was never looked at, nobody knows how much of it is new.
        let before = seen.map(|s| s.counted).unwrap_or(if end.born { Counted::default() } else { now });
        let mut totals = now.since(&before);
        totals.began = u64::from(seen.is_none() && end.born);
        totals.ended = 1;
        let holder = seen.and_then(|s| s.holder).or(end.holder);
        let known = seen.map(|s| s.cgroup).filter(|id| *id != 0);
        let cgroup = known.unwrap_or(if end.cgroup != 0 { end.cgroup } else { holder.map_or(0, |h| h.cgroup) });
        self.ends.push(Gain { holder, cgroup, place: end.place, totals });
    }

    /// Ends the round: credits what was gained, after `holder` has been asked who holds a socket, by its inode. `is_read` says
    /// whether the open connections of a namespace were all looked at in this round.
    pub fn credit(&mut self, holder: impl Fn(u64) -> Option<Holder>, is_read: impl Fn(u64) -> bool) -> Traffic {
        let mut gains = std::mem::take(&mut self.ends);
        for Open { cookie, inode, mut gain } in self.gains.drain(..) {
            if let Some(held) = holder(inode) {
                gain.holder = Some(held);
                if let Some(seen) = self.open.get_mut(&cookie) {
                    seen.holder = Some(held);
                }
            }
            if gain.cgroup == 0 {
                gain.cgroup = gain.holder.map_or(0, |h| h.cgroup);
            }
            gains.push(gain);
        }
        self.sums.credit(&gains);
        self.forget(is_read);
        let mut traffic = self.sums.traffic();
        traffic.followed = self.open.len() as u64;
        traffic.not_followed = self.not_followed;
        let [_, untold] = self.untold;
        traffic.untold = untold.ended;
        traffic
    }

    /// Lets go of connections that are in no table of the kernel any more and whose end nobody will tell. One that was reset
    /// is in no table either, until its process closes it: then its end is told.
    fn forget(&mut self, is_read: impl Fn(u64) -> bool) {
        let [last, untold] = self.untold;
        let since = untold.since(&last).unwrap_or(untold);
        let (round, all) = (self.round, since.ended > 0 || !self.ends_told);
        let (mut credited, mut silent) = (TrafficTotals::default(), 0);
        self.open.retain(|_, seen| {
            if seen.last_round == round || !is_read(seen.netns) {
                return true;
            }
            // Without a byte there is no word of its end.
            if seen.counted == Counted::default() {
                return false;
            }
            let gone = all || round.saturating_sub(seen.last_round) > SILENCE;
            if gone {
                credited.add(&seen.counted.since(&Counted::default()));
                silent += 1;
            }
            !gone
        });
        // What they carried was credited as far as they were looked at.
        let ended = if self.ends_told { since.ended } else { silent };
        self.sums.add(&TrafficTotals { ended, ..since.less(&credited) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{snapshot::tcp::Service, source::traffic::Place};

    const WEB: Service = Service { port: 443, outgoing: true };

    fn place() -> Place {
        Place { netns: 1, remote: [192, 0, 2, 7].into(), service: WEB, ifindex: 2 }
    }

    fn look(cookie: u64, bytes: u64) -> Look {
        Look {
            cookie,
            inode: cookie,
            bytes_acked: bytes,
            bytes_received: 0,
            retrans: 0,
            waiting: 0,
            cgroup: 0,
            born: false,
            opener: None,
            place: place(),
        }
    }

    fn end(cookie: u64, bytes: u64, born: bool) -> End {
        End { cookie, bytes_acked: bytes, bytes_received: 0, retrans: 0, cgroup: 0, born, holder: None, place: place() }
    }

    fn holder(pid: u32) -> Option<Holder> {
        Some(Holder { pid, comm: *b"web\0\0\0\0\0\0\0\0\0\0\0\0\0", cgroup: 77 })
    }

    fn untold(ended: u64, bytes_acked: u64) -> TrafficTotals {
        TrafficTotals { ended, bytes_acked, ..TrafficTotals::default() }
    }

    /// Bytes, begun, ended.
    fn totals(traffic: &Traffic) -> (u64, u64, u64) {
        let t = &traffic.total;
        assert_eq!(
            traffic.services.iter().map(|s| s.totals.bytes()).sum::<u64>() + untold_bytes(traffic),
            t.bytes(),
            "{traffic:?}"
        );
        (t.bytes(), t.began, t.ended)
    }

    /// What is in no row although there is room.
    fn untold_bytes(traffic: &Traffic) -> u64 {
        traffic.total.bytes() - traffic.networks.iter().map(|s| s.totals.bytes()).sum::<u64>()
    }

    fn round(f: &mut Followed, read_before: bool, looks: &[Look], ends: &[End]) -> Traffic {
        f.begin(untold(0, 0));
        for l in looks {
            f.look(l, read_before);
        }
        ends.iter().for_each(|e| f.end(e));
        f.credit(|_| None, |_| true)
    }

    #[test]
    fn what_was_there_before_counts_from_the_first_look_on() {
        let mut f = Followed::new(Options::default(), true);
        assert_eq!(totals(&round(&mut f, false, &[look(1, 1000)], &[])), (0, 0, 0));
        assert_eq!(totals(&round(&mut f, true, &[look(1, 1010), look(2, 5)], &[])), (15, 1, 0));
        let t = round(&mut f, true, &[], &[end(1, 1011, false), end(2, 9, true), end(3, 100, true), end(4, 7, false)]);
        assert_eq!(totals(&t), (15 + 1 + 4 + 100, 2, 4), "the fourth began before observer");
        assert_eq!(t.followed, 0);
    }

    #[test]
    fn a_connection_belongs_to_who_holds_it_and_stays_his() {
        let mut f = Followed::new(Options::default(), true);
        f.begin(untold(0, 0));
        f.look(&Look { born: true, ..look(1, 10) }, false);
        f.credit(|_| holder(9), |_| true);
        f.begin(untold(0, 0));
        // Closed by somebody else.
        f.end(&End { holder: holder(10), ..end(1, 30, true) });
        let t = f.credit(|_| None, |_| true);
        let of: Vec<_> = t.processes.iter().map(|s| (s.key.as_ref().map(|o| o.pid), s.totals.bytes())).collect();
        assert_eq!(of, [(Some(9), 30)]);
        assert_eq!(
            t.cgroups.iter().map(|s| (s.key.map(|id| id.0), s.totals.bytes())).collect::<Vec<_>>(),
            [(Some(77), 30)]
        );
    }

    #[test]
    fn a_reset_connection_is_kept_until_it_is_closed() {
        let mut f = Followed::new(Options::default(), true);
        round(&mut f, true, &[look(1, 10)], &[]);
        assert_eq!(round(&mut f, true, &[], &[]).followed, 1);
        assert_eq!(totals(&round(&mut f, true, &[], &[end(1, 12, true)])), (12, 1, 1));
    }

    #[test]
    fn ends_that_nobody_told_are_in_the_total_and_counted_once() {
        let mut f = Followed::new(Options::default(), true);
        round(&mut f, true, &[look(1, 10), look(2, 20), look(3, 1)], &[]);
        f.begin(untold(3, 136));
        f.look(&look(3, 1), true);
        // The first two ended at 15 and 21, and a third that was never seen at 100.
        let t = f.credit(|_| None, |_| true);
        assert_eq!((t.total.bytes_acked, t.total.ended, t.untold, t.followed), (137, 3, 3, 1));
        f.begin(untold(3, 136));
        f.look(&look(3, 1), true);
        assert_eq!(f.credit(|_| None, |_| true).total.bytes_acked, 137);
    }

    #[test]
    fn what_was_not_read_is_not_gone_and_what_never_sent_is_forgotten() {
        let mut f = Followed::new(Options::default(), true);
        round(&mut f, true, &[look(1, 10), look(2, 0)], &[]);
        f.begin(untold(0, 0));
        assert_eq!(f.credit(|_| None, |_| false).followed, 2);
        assert_eq!(round(&mut f, true, &[look(1, 11)], &[]).followed, 1);
    }

    #[test]
    fn where_nobody_tells_of_ends_what_is_gone_has_ended() {
        let mut f = Followed::new(Options::default(), false);
        round(&mut f, true, &[look(1, 10), look(2, 7)], &[]);
        let t = round(&mut f, true, &[look(1, 11)], &[]);
        assert_eq!((totals(&t), t.followed), ((18, 2, 1), 1));
    }

    #[test]
    fn beyond_the_limit_a_connection_counts_when_it_ends() {
        let mut f = Followed::new(Options { connections: 1, ..Options::default() }, true);
        let t = round(&mut f, true, &[look(1, 10), look(2, 20)], &[]);
        assert_eq!((totals(&t), t.followed, t.not_followed), ((10, 1, 0), 1, 1));
        assert_eq!(totals(&round(&mut f, true, &[look(1, 10)], &[end(2, 25, true)])), (35, 2, 1));
    }

    #[test]
    fn the_weight_is_what_was_carried_of_late_and_what_waits() {
        let mut f = Followed::new(Options::default(), true);
        let mut weight = |look: &Look| {
            f.begin(untold(0, 0));
            f.look(look, true)
        };
        assert_eq!(weight(&look(1, 100)), 100);
        assert_eq!(weight(&look(1, 110)), 60);
        assert_eq!(weight(&Look { waiting: 7, ..look(1, 110) }), 37);
    }
}
