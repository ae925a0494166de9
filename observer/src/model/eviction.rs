//! Who pushed whose page cache out: in an interval with refaults, the cgroups that refaulted beside the cgroups whose
//! allocations drove the reclaim.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    Model,
    cgroup::{Cgroup, parent},
    interval::sort_descending,
};
use crate::snapshot::{CgroupId, Name, reclaim::ReclaimKind};

/// Page cache that was reclaimed and read again in an interval, and who made the kernel take it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Eviction {
    /// Whose limit the reclaim served: `None` for the host, else the cgroup that the drivers and the victims share.
    pub scope: Option<Name>,
    /// File bytes a second that came back soon after reclaim took them, over all victims.
    pub refaults: f64,
    /// Cgroups that had to read their cache again, most first.
    pub victims: Vec<Victim>,
    /// Cgroups whose allocations drove the reclaim, most first.
    pub drivers: Vec<Driver>,
}

/// A cgroup that lost page cache which it still needed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Victim {
    /// Memory cgroup.
    pub cgroup: CgroupId,
    /// Its path.
    pub path: Name,
    /// File bytes a second that it read again soon after they were taken.
    pub refaults: f64,
    /// Its share of all victims' refaults, 0 to 1.
    pub share: f64,
}

/// A cgroup that allocated while memory was reclaimed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Driver {
    /// Memory cgroup; `None` if it is not known.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub path: Option<Name>,
    /// Bytes a second that it allocated.
    pub allocated: f64,
    /// Its share of what all drivers allocated, 0 to 1.
    pub share: f64,
    /// Times a second that it asked for kswapd.
    pub kswapd_requests: Option<f64>,
    /// Bytes a second that its own tasks reclaimed.
    pub reclaimed: Option<f64>,
}

/// File bytes a second that come back from below which nobody is a victim: readahead and chance.
const NOISE: f64 = 64.0 * 1024.0;
/// Bytes a second that kswapd and direct reclaim must take for the host to be called short of memory.
const HOST_RECLAIM: f64 = 1024.0 * 1024.0;

/// Finds them. `None` if there is no interval, or a side cannot be told: cgroups or page allocations were not seen.
pub(super) fn find(model: &Model) -> Option<Vec<Eviction>> {
    let (interval, cgroups, alloc) = (model.interval?, model.cgroups.as_ref()?, model.page_alloc.as_ref()?);
    let page_size = model.host.page_size? as f64;
    let tree = Tree::new(cgroups);
    let own_refaults: HashMap<CgroupId, f64> = cgroups.iter().map(|c| (c.now.id, tree.own_refaults(c))).collect();

    let mut allocated: HashMap<CgroupId, f64> = HashMap::new();
    for c in &alloc.cgroups {
        if let Some((id, pages)) = c.cgroup.zip(c.allocs.pages) {
            *allocated.entry(id).or_default() += pages * page_size;
        }
    }
    let mut requests: HashMap<CgroupId, f64> = HashMap::new();
    for r in model.kswapd.iter().flat_map(|k| &k.requesters) {
        if let Some((id, rate)) = r.who.cgroup.zip(r.per_second) {
            *requests.entry(id).or_default() += rate;
        }
    }
    let mut reclaimed: HashMap<CgroupId, f64> = HashMap::new();
    for c in model.reclaim.iter().flat_map(|r| &r.cgroups) {
        if let Some(id) = c.cgroup {
            *reclaimed.entry(id).or_default() += interval.per_second(c.stalls.totals.reclaimed_bytes);
        }
    }

    let scopes = scopes(model, cgroups, &tree);
    let mut found = Vec::new();
    for scope in scopes {
        let inside = |id: CgroupId| scope.is_none_or(|s| tree.is_below(id, s));
        let mut victims: Vec<_> = cgroups
            .iter()
            .filter(|c| inside(c.now.id))
            .map(|c| Victim {
                cgroup: c.now.id,
                path: c.now.path.clone(),
                refaults: own_refaults.get(&c.now.id).copied().unwrap_or(0.0),
                share: 0.0,
            })
            .filter(|v| v.refaults >= NOISE)
            .collect();
        let mut drivers: Vec<_> = allocated
            .iter()
            .filter(|(id, _)| inside(**id))
            .map(|(id, bytes)| Driver {
                cgroup: Some(*id),
                path: tree.path(*id),
                // What it read again itself counts too: a stream that goes round is a stream.
                allocated: *bytes,
                share: 0.0,
                kswapd_requests: model.kswapd.as_ref().map(|_| requests.get(id).copied().unwrap_or(0.0)),
                reclaimed: model.reclaim.as_ref().map(|_| reclaimed.get(id).copied().unwrap_or(0.0)),
            })
            .filter(|d| d.allocated > 0.0)
            .collect();
        let (refaults, pushed): (f64, f64) =
            (victims.iter().map(|v| v.refaults).sum(), drivers.iter().map(|d| d.allocated).sum());
        if victims.is_empty() || drivers.is_empty() {
            continue;
        }
        victims.iter_mut().for_each(|v| v.share = v.refaults / refaults);
        drivers.iter_mut().for_each(|d| d.share = d.allocated / pushed);
        drivers.sort_by_key(|d| d.cgroup);
        sort_descending(&mut victims, |v| v.refaults);
        sort_descending(&mut drivers, |d| d.allocated);
        found.push(Eviction { scope: scope.and_then(|id| tree.path(id)), refaults, victims, drivers });
    }
    Some(found)
}

/// Whose limits were met: the host's (`None`), and those of cgroups with others below them. A cgroup without any below
/// competes with nobody at its own limit.
fn scopes(model: &Model, cgroups: &[Cgroup], tree: &Tree<'_>) -> Vec<Option<CgroupId>> {
    let vm = &model.memory.vm;
    let by_tasks: f64 = model
        .reclaim
        .iter()
        .flat_map(|r| &r.cgroups)
        .filter(|c| c.kind == ReclaimKind::Direct)
        .map(|c| model.interval.map_or(0.0, |i| i.per_second(c.stalls.totals.reclaimed_bytes)))
        .sum();
    let host = vm.steal_kswapd.unwrap_or(0.0) + vm.steal_direct.unwrap_or(by_tasks);
    let mut scopes = Vec::new();
    if host >= HOST_RECLAIM {
        scopes.push(None);
    }
    scopes.extend(
        cgroups.iter().filter(|c| c.met_its_limit()).filter(|c| tree.has_children(c.now.id)).map(|c| Some(c.now.id)),
    );
    scopes
}

/// Cgroups by their paths.
struct Tree<'a> {
    by_id: HashMap<CgroupId, &'a Cgroup>,
    /// Sums of the refaults of a cgroup's children, whose numbers its own contain.
    below: HashMap<&'a str, f64>,
}

impl<'a> Tree<'a> {
    fn new(cgroups: &'a [Cgroup]) -> Self {
        let mut below: HashMap<&str, f64> = HashMap::new();
        for c in cgroups {
            if let Some(parent) = parent(c.now.path.as_str()) {
                *below.entry(parent).or_default() += c.refaults_file.unwrap_or(0.0);
            }
        }
        Self { by_id: cgroups.iter().map(|c| (c.now.id, c)).collect(), below }
    }

    /// Refaults of a cgroup's own tasks: memory.stat has those of the cgroups below as well.
    fn own_refaults(&self, c: &Cgroup) -> f64 {
        let below = self.below.get(c.now.path.as_str()).copied().unwrap_or(0.0);
        (c.refaults_file.unwrap_or(0.0) - below).max(0.0)
    }

    fn path(&self, id: CgroupId) -> Option<Name> {
        self.by_id.get(&id).map(|c| c.now.path.clone())
    }

    fn has_children(&self, id: CgroupId) -> bool {
        self.by_id.get(&id).is_some_and(|c| self.below.contains_key(c.now.path.as_str()))
    }

    /// True for the scope itself and everything below it.
    fn is_below(&self, id: CgroupId, scope: CgroupId) -> bool {
        let (Some(c), Some(scope)) = (self.by_id.get(&id), self.by_id.get(&scope)) else { return false };
        scope.holds(c.now.path.as_str())
    }
}

#[cfg(test)]
mod tests;
