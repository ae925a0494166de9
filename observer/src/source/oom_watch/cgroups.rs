//! Kills by cgroup since observer began to look, also of those that were removed since.

use std::collections::HashMap;

use crate::snapshot::{CgroupId, Cgroups, oom::OomKill, oom_watch::CgroupKills};

/// Counts of every cgroup.
#[derive(Debug, Default)]
pub(super) struct CgroupCounts {
    known: HashMap<CgroupId, Count>,
    /// Kills of cgroups that are gone.
    removed: u64,
    /// Cgroups of victims that no reading has shown yet.
    open: Vec<CgroupId>,
    by_event: u64,
    round: u64,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    /// When observer began to look; 0 of a cgroup that was made later.
    base: u64,
    last: u64,
    round: u64,
}

impl CgroupCounts {
    /// Begins anew: what is counted now is no more than a base.
    pub(super) fn begin(&mut self, cgroups: &Cgroups) {
        *self = Self::default();
        let counts = cgroups.list.iter().filter_map(|c| Some((c.id, c.own_oom_kills?)));
        self.known = counts.map(|(id, n)| (id, Count { base: n, last: n, round: 0 })).collect();
    }

    /// Notes the cgroup of a victim; to be called before the reading that is to show it.
    pub(super) fn event(&mut self, kill: &OomKill) {
        self.open.extend(kill.victim.cgroup);
    }

    /// Takes a reading of all cgroups and gives the sums. A kill counts in its cgroup before its event comes, so that of the
    /// events that came before the reading only those of cgroups without a count are left over.
    pub(super) fn read(&mut self, cgroups: &Cgroups) -> CgroupKills {
        self.round += 1;
        let round = self.round;
        for (id, now) in cgroups.list.iter().filter_map(|c| Some((c.id, c.own_oom_kills?))) {
            let count = self.known.entry(id).or_insert(Count { base: 0, last: 0, round });
            (count.last, count.round) = (now, round);
        }
        // Of one that is gone, the events that came after its last reading tell the rest.
        let unshown = self.open.drain(..).filter(|id| self.known.get(id).is_none_or(|count| count.round != round));
        self.by_event += unshown.count() as u64;
        let mut removed = 0;
        self.known.retain(|_, count| {
            if count.round != round {
                removed += count.last.saturating_sub(count.base);
            }
            count.round == round
        });
        self.removed += removed;
        let living = self.known.values().map(|count| count.last.saturating_sub(count.base)).sum();
        let unknown = cgroups.list.iter().filter(|c| c.own_oom_kills.is_none() && c.path.as_str() != "/").count();
        let not_read = cgroups.not_read + unknown as u64;
        CgroupKills { living, removed: self.removed, by_event: self.by_event, not_read }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{cgroup::Cgroup, oom::OomTask};

    fn cgroups(list: &[(u64, Option<u64>)]) -> Cgroups {
        let cgroup = |(id, kills): &(u64, Option<u64>)| Cgroup {
            id: CgroupId(*id),
            path: if *id == 1 { "/".into() } else { "/x".into() },
            own_oom_kills: *kills,
            ..Cgroup::default()
        };
        Cgroups { list: list.iter().map(cgroup).collect(), ..Cgroups::default() }
    }

    fn kill(cgroup: u64) -> OomKill {
        let victim = OomTask { cgroup: Some(CgroupId(cgroup)), ..OomTask::default() };
        OomKill { victim, ..OomKill::default() }
    }

    #[test]
    fn counts_outlive_their_cgroups() {
        let mut counts = CgroupCounts::default();
        counts.begin(&cgroups(&[(1, None), (2, Some(7)), (3, Some(0))]));
        let sums = counts.read(&cgroups(&[(1, None), (2, Some(9)), (3, Some(0)), (4, Some(5))]));
        assert_eq!(sums, CgroupKills { living: 7, ..CgroupKills::default() }, "a new cgroup began at 0");
        let sums = counts.read(&cgroups(&[(1, None), (3, Some(1))]));
        assert_eq!(sums, CgroupKills { living: 1, removed: 7, ..CgroupKills::default() });
        let again = counts.read(&cgroups(&[(1, None), (3, Some(1))]));
        assert_eq!(again, sums);
    }

    #[test]
    fn an_event_tells_of_a_kill_that_no_file_shows() {
        let mut counts = CgroupCounts::default();
        counts.begin(&cgroups(&[(1, None), (2, Some(0))]));
        // One whose count is read after, one of the root, which has none, one of a cgroup that came and went.
        [2, 1, 9].iter().for_each(|id| counts.event(&kill(*id)));
        let sums = counts.read(&cgroups(&[(1, None), (2, Some(1))]));
        assert_eq!(sums, CgroupKills { living: 1, by_event: 2, ..CgroupKills::default() });
        // The cgroup is removed before its second kill is read.
        counts.event(&kill(2));
        let sums = counts.read(&cgroups(&[(1, None)]));
        assert_eq!((sums.living, sums.removed, sums.by_event, sums.total()), (0, 1, 3, 4));
    }
}
