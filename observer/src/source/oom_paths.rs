//! Paths of the cgroups in OOM kills, which are often gone by the time anyone looks.

use std::collections::HashMap;

use crate::snapshot::cgroup::Cgroups;
use crate::snapshot::oom::OomKill;
use crate::snapshot::{CgroupId, Name};

/// Remembers the paths of cgroups for some time after they have gone. An id is never used twice while the host is up.
#[derive(Debug)]
pub struct OomPaths {
    known: HashMap<CgroupId, Known>,
    /// Snapshots learned from.
    round: u64,
    /// Paths that are kept at most, unless more cgroups than that live.
    capacity: usize,
}

#[derive(Debug)]
struct Known {
    path: Name,
    last_seen: u64,
}

impl OomPaths {
    /// For snapshots of up to `max_cgroups` cgroups; as many again are kept after they have gone.
    pub fn new(max_cgroups: usize) -> Self {
        Self { known: HashMap::new(), round: 0, capacity: max_cgroups.saturating_mul(2) }
    }

    /// Takes the paths of a snapshot.
    pub fn learn(&mut self, cgroups: &Cgroups) {
        self.round += 1;
        for cgroup in &cgroups.list {
            let known = self
                .known
                .entry(cgroup.id)
                .or_insert_with(|| Known { path: cgroup.path.clone(), last_seen: self.round });
            known.last_seen = self.round;
            // A version 1 cgroup can be renamed.
            if known.path != cgroup.path {
                known.path.clone_from(&cgroup.path);
            }
        }
        self.forget_the_oldest();
    }

    fn forget_the_oldest(&mut self) {
        if self.known.len() <= self.capacity {
            return;
        }
        let mut gone: Vec<u64> = self.known.values().map(|k| k.last_seen).filter(|seen| *seen < self.round).collect();
        let excess = self.known.len() - self.capacity;
        if excess >= gone.len() {
            self.known.retain(|_, k| k.last_seen == self.round);
            return;
        }
        let (_, cut, _) = gone.select_nth_unstable(excess);
        let cut = *cut;
        self.known.retain(|_, k| k.last_seen >= cut);
    }

    /// Fills the paths that are missing; `ask` is asked for the cgroups of which nothing is known, and its answer is kept.
    pub fn fill<'a>(
        &mut self,
        kills: impl IntoIterator<Item = &'a mut OomKill>,
        ask: impl Fn(CgroupId) -> Option<Name>,
    ) {
        for task in kills.into_iter().flat_map(|kill| [&mut kill.trigger, &mut kill.victim]) {
            let (Some(id), None) = (task.cgroup, &task.cgroup_path) else { continue };
            if !self.known.contains_key(&id)
                && let Some(path) = ask(id)
            {
                self.known.insert(id, Known { path, last_seen: self.round });
            }
            task.cgroup_path = self.known.get(&id).map(|k| k.path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::cgroup::Cgroup;
    use crate::snapshot::oom::OomTask;

    fn cgroups(list: &[(u64, &str)]) -> Cgroups {
        let list =
            list.iter().map(|(id, path)| Cgroup { id: CgroupId(*id), path: (*path).into(), ..Cgroup::default() });
        Cgroups { list: list.collect(), ..Cgroups::default() }
    }

    fn kill_in(id: u64) -> OomKill {
        let victim = OomTask { cgroup: Some(CgroupId(id)), ..OomTask::default() };
        OomKill { victim, ..OomKill::default() }
    }

    fn path(paths: &mut OomPaths, id: u64, ask: impl Fn(CgroupId) -> Option<Name>) -> Option<String> {
        let mut kill = kill_in(id);
        paths.fill([&mut kill], ask);
        assert_eq!(kill.trigger.cgroup_path, None, "it has no cgroup");
        kill.victim.cgroup_path.as_ref().map(ToString::to_string)
    }

    #[test]
    fn a_path_outlives_its_cgroup() {
        let mut paths = OomPaths::new(4);
        paths.learn(&cgroups(&[(1, "/"), (2, "/a")]));
        paths.learn(&cgroups(&[(1, "/")]));
        assert_eq!(path(&mut paths, 2, |_| None).as_deref(), Some("/a"));
        assert_eq!(path(&mut paths, 3, |_| None), None);
    }

    #[test]
    fn an_answer_is_asked_for_once() {
        let mut paths = OomPaths::new(4);
        assert_eq!(path(&mut paths, 3, |id| Some(format!("/{}", id.0).into())).as_deref(), Some("/3"));
        assert_eq!(path(&mut paths, 3, |_| None).as_deref(), Some("/3"));
    }

    #[test]
    fn a_renamed_cgroup_has_its_new_name() {
        let mut paths = OomPaths::new(4);
        paths.learn(&cgroups(&[(2, "/a")]));
        paths.learn(&cgroups(&[(2, "/b")]));
        assert_eq!(path(&mut paths, 2, |_| None).as_deref(), Some("/b"));
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut paths = OomPaths::new(2);
        for id in 1..=9 {
            paths.learn(&cgroups(&[(100, "/lives"), (id, "/gone")]));
        }
        assert!(paths.known.len() <= 4, "{}", paths.known.len());
        assert_eq!(path(&mut paths, 1, |_| None), None);
        assert_eq!(path(&mut paths, 8, |_| None).as_deref(), Some("/gone"));
        assert_eq!(path(&mut paths, 100, |_| None).as_deref(), Some("/lives"));
    }
}
