//! Requests for pages that failed, and whether who made them was ready for it.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{Interval, grown, grown_outside, ranked},
};
use crate::snapshot::{
    CgroupId, Name,
    page_alloc::{self as snapshot, Failures, GfpFlag},
};

/// Requests of one process that failed in one way in an interval; since the probe was attached if there is no interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AllocFailure {
    /// Process id; `None` for processes that have ended, all together.
    pub pid: Option<u32>,
    /// Name of the task that last failed.
    pub comm: Option<Name>,
    /// Memory cgroup.
    pub cgroup: Option<CgroupId>,
    /// Its path, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// Order of the request: it asked for `2^order` pages.
    pub order: u32,
    /// gfp flags of the request, as the kernel that ran encodes them.
    pub gfp: u32,
    /// Their names, `__GFP_NOWARN`. `None` where the kernel's names are not known: the coverage says why.
    pub flags: Option<Vec<Name>>,
    /// How it was asked for. `None` without the names.
    pub manner: Option<Manner>,
    /// Requests.
    pub count: u64,
    /// Requests a second.
    pub per_second: Option<f64>,
}

/// How a request for pages was made, as its gfp flags tell it. Source: include/linux/gfp_types.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// The caller expects that it may fail and has another way. It asked for silence (`__GFP_NOWARN`), and for little effort:
    /// `__GFP_NORETRY` as readahead does, `__GFP_RETRY_MAYFAIL`, or no reclaim without the reserves of `__GFP_HIGH`, as huge
    /// pages and large slabs are asked for.
    Expected,
    /// It cannot sleep (no `__GFP_DIRECT_RECLAIM`), and the caller did not say that it has another way: an interrupt of a
    /// network card loses a packet.
    Atomic,
    /// It may sleep and reclaim, and got nothing all the same: an error that somebody gets.
    Sleeping,
}

/// By process, order and flags, most first.
pub(super) fn rank(
    now: &Failures,
    before: Option<&Failures>,
    interval: Option<Interval>,
    paths: &Paths<'_>,
) -> Vec<AllocFailure> {
    let interval = interval.filter(|_| before.is_some());
    let key = |f: &snapshot::AllocFailure| (f.pid, f.cgroup, f.order, f.gfp);
    let old: HashMap<_, _> = before.iter().flat_map(|b| &b.rows).map(|f| (key(f), f.count)).collect();
    let (all, all_before) = (by_manner(now), before.map(by_manner));
    let mut in_rows: HashMap<(u32, u32), u64> = HashMap::new();
    for f in now.rows.iter().filter(|f| f.pid.is_some()) {
        *in_rows.entry((f.order, f.gfp)).or_default() += grown(f.count, old.get(&key(f)).copied());
    }
    ranked(&now.rows, before.map(|b| b.rows.as_slice()), key, |f, old| {
        let of = |sums: &HashMap<(u32, u32), u64>| sums.get(&(f.order, f.gfp)).copied().unwrap_or(0);
        let count = match f.pid {
            Some(_) => grown(f.count, old.map(|o| o.count)),
            None => grown_outside(of(&all), all_before.as_ref().map(of), of(&in_rows)),
        };
        let flags = named(f.gfp, &now.flags);
        let row = AllocFailure {
            pid: f.pid,
            comm: f.comm.clone(),
            cgroup: f.cgroup,
            cgroup_path: paths.get(f.cgroup),
            order: f.order,
            gfp: f.gfp,
            manner: flags.as_deref().map(manner),
            flags: flags.map(|flags| flags.into_iter().cloned().collect()),
            count,
            per_second: interval.map(|i| i.per_second(count)),
        };
        (count > 0).then_some((count, row))
    })
}

/// Failures by order and flags, whoever asked.
fn by_manner(failures: &Failures) -> HashMap<(u32, u32), u64> {
    let mut sums = HashMap::new();
    for f in &failures.rows {
        *sums.entry((f.order, f.gfp)).or_default() += f.count;
    }
    sums
}

/// Names of the flags that are set; `None` if none of them has one.
fn named(gfp: u32, names: &[GfpFlag]) -> Option<Vec<&Name>> {
    let set: Vec<&Name> = names.iter().filter(|flag| gfp & flag.bit != 0).map(|flag| &flag.name).collect();
    (gfp == 0 || !set.is_empty()).then_some(set)
}

fn manner(flags: &[&Name]) -> Manner {
    let has = |flag: &str| flags.iter().any(|name| name.as_str() == flag);
    let sleeps = has("__GFP_DIRECT_RECLAIM");
    let little = has("__GFP_NORETRY") || has("__GFP_RETRY_MAYFAIL") || !sleeps && !has("__GFP_HIGH");
    match (has("__GFP_NOWARN") && little, sleeps) {
        (true, _) => Manner::Expected,
        (false, false) => Manner::Atomic,
        (false, true) => Manner::Sleeping,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manner_of(flags: &[&str]) -> Manner {
        let names: Vec<Name> = flags.iter().map(|flag| Name::from(*flag)).collect();
        manner(&names.iter().collect::<Vec<_>>())
    }

    #[test]
    fn who_gives_up_early_and_in_silence_has_another_way() {
        const RECLAIM: &str = "__GFP_DIRECT_RECLAIM";
        assert_eq!(manner_of(&[RECLAIM, "__GFP_NOWARN", "__GFP_NORETRY"]), Manner::Expected, "readahead");
        assert_eq!(manner_of(&["__GFP_NOWARN", "__GFP_NOMEMALLOC"]), Manner::Expected, "huge pages");
        assert_eq!(manner_of(&[RECLAIM, "__GFP_NOWARN", "__GFP_RETRY_MAYFAIL"]), Manner::Expected, "hugetlb");
        assert_eq!(manner_of(&[RECLAIM, "__GFP_NOWARN"]), Manner::Sleeping, "silent, but not ready for it");
        assert_eq!(manner_of(&[RECLAIM, "__GFP_NORETRY"]), Manner::Sleeping, "the kernel's log has it");
        assert_eq!(manner_of(&["__GFP_HIGH", "__GFP_NOWARN"]), Manner::Atomic, "receive buffers");
        assert_eq!(manner_of(&["__GFP_HIGH"]), Manner::Atomic);
    }

    #[test]
    fn what_an_ended_process_had_failed_long_ago_is_not_new() {
        let row = |pid, count| snapshot::AllocFailure { pid, gfp: 0x20, count, ..Default::default() };
        let at = |rows: &[(Option<u32>, u64)]| Failures {
            rows: rows.iter().map(|(pid, count)| row(*pid, *count)).collect(),
            flags: Vec::new(),
        };
        let rank = |now: &[(Option<u32>, u64)], before: &[(Option<u32>, u64)]| {
            let rows = rank(&at(now), Some(&at(before)), Some(Interval { seconds: 1.0 }), &Paths::default());
            rows.iter().map(|f| (f.pid, f.count)).collect::<Vec<_>>()
        };
        let before = [(Some(3), 500), (Some(4), 2)];
        assert_eq!(rank(&[(Some(4), 3), (None, 500)], &before), [(Some(4), 1)], "it made room, and failed no more");
        assert_eq!(rank(&[(Some(4), 2), (None, 507)], &before), [(None, 7)], "its last seven");
        assert_eq!(rank(&[(Some(3), 1), (Some(4), 2), (None, 500)], &before), [(Some(3), 1)], "its pid is another's");
    }

    #[test]
    fn without_names_nothing_is_said_of_the_manner() {
        let row = |count| snapshot::AllocFailure { pid: Some(3), gfp: 0x2000, count, ..Default::default() };
        let at = |count, flags: &[GfpFlag]| Failures { rows: vec![row(count)], flags: flags.to_vec() };
        let rank = |now: &Failures, before: &Failures| {
            rank(now, Some(before), Some(Interval { seconds: 2.0 }), &Paths::default()).pop().unwrap()
        };
        let blind = rank(&at(9, &[]), &at(5, &[]));
        assert_eq!((blind.count, blind.per_second, &blind.flags, blind.manner), (4, Some(2.0), &None, None));
        let names = [GfpFlag { bit: 0x2000, name: "__GFP_NOWARN".into() }];
        assert_eq!(rank(&at(9, &names), &at(5, &[])).manner, Some(Manner::Expected));
    }
}
