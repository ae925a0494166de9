//! Kills by cgroup on version 1, where they stand in a file of their own: it is read again only when the host says that it
//! has killed since.
//!
//! The kernel counts each kill, also one at the limit of a cgroup, in `oom_kill` of /proc/vmstat, and right after in the
//! cgroup. So while the count of the host stands still no cgroup's can grow. A reading may fall between the two counts:
//! therefore the count of the host must have stood still for a whole reading before the files are trusted.

use std::collections::HashMap;

use crate::snapshot::CgroupId;

/// Kills of every cgroup, as far as they still hold.
#[derive(Debug, Default)]
pub(super) struct Kills {
    /// Of the host, before the last reading and before the one before it.
    host: [Option<u64>; 2],
    /// By cgroup, of the last reading.
    last: HashMap<CgroupId, u64>,
    /// Of the present one.
    now: HashMap<CgroupId, u64>,
    /// True if nobody was killed since the last reading began, nor during it.
    still: bool,
}

impl Kills {
    /// Begins a reading. `host` is the count of the host, read before the first file of a cgroup; `None` if it is unknown.
    pub(super) fn begin(&mut self, host: Option<u64>) {
        self.still = host.is_some() && self.host == [host, host];
        self.host = [host, self.host[0]];
        self.last = std::mem::take(&mut self.now);
    }

    /// What the last reading found, if it still holds.
    pub(super) fn known(&self, id: CgroupId) -> Option<u64> {
        self.last.get(&id).copied().filter(|_| self.still)
    }

    /// Keeps what is so now; what could not be read is tried again.
    pub(super) fn note(&mut self, id: CgroupId, kills: Option<u64>) {
        self.now.extend(kills.map(|kills| (id, kills)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_looked_for_until_the_host_stood_still_for_a_reading() {
        let (mut kills, old, new) = (Kills::default(), CgroupId(1), CgroupId(2));
        let mut reading = |kills_of_host: u64, in_cgroup: u64| {
            kills.begin(Some(kills_of_host));
            let known = kills.known(old);
            kills.note(old, known.or(Some(in_cgroup)));
            assert_eq!(kills.known(new), None, "a new cgroup is read");
            known
        };
        assert_eq!(reading(5, 0), None, "the first reading");
        assert_eq!(reading(5, 0), None, "the host may have counted before the cgroup did");
        assert_eq!(reading(5, 0), Some(0));
        assert_eq!(reading(6, 0), None, "somebody was killed");
        assert_eq!(reading(6, 1), None, "and is counted in the cgroup only now");
        assert_eq!(reading(6, 9), Some(1));
    }

    #[test]
    fn a_kernel_that_does_not_count_is_not_trusted() {
        let mut kills = Kills::default();
        for _ in 0..4 {
            kills.begin(None);
            assert_eq!(kills.known(CgroupId(1)), None);
            kills.note(CgroupId(1), Some(0));
        }
    }
}
