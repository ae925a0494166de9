use proptest::prelude::*;

use super::*;
use crate::snapshot::{
    Cgroups, Snapshot, Stamp,
    cgroup::CgroupStat,
    page_alloc::{AllocCounts, CgroupAlloc, PageAlloc},
};

const MIB: u64 = 1 << 20;

/// `(id, path, refaulted MiB, allocated MiB, hits of the own limit)`, all in one second.
type Row<'a> = (u64, &'a str, u64, u64, u64);

fn model(rows: &[Row<'_>]) -> Model {
    let at = |second: u64| {
        let ns = second * 1_000_000_000;
        let list = rows.iter().map(|(id, path, refaulted, _, hits)| crate::snapshot::Cgroup {
            id: CgroupId(*id),
            path: Name::from(*path),
            own_limit_hits: Some(hits * second),
            stat: Some(CgroupStat {
                workingset_refault_file_bytes: Some(refaulted * second * MIB),
                ..CgroupStat::default()
            }),
            ..crate::snapshot::Cgroup::default()
        });
        let exited = rows.iter().map(|(id, _, _, allocated, _)| {
            let mut counts = AllocCounts::default();
            counts.allocated[0] = allocated * second * MIB / 4096;
            CgroupAlloc { cgroup: Some(CgroupId(*id)), counts }
        });
        let mut snapshot = Snapshot {
            stamp: Stamp { monotonic_ns: ns, boottime_ns: ns, realtime_ns: ns },
            cgroups: Some(Cgroups { list: list.collect(), ..Cgroups::default() }),
            page_alloc: Some(PageAlloc { exited: exited.collect(), ..PageAlloc::default() }),
            ..Snapshot::default()
        };
        snapshot.host.page_size = Some(4096);
        snapshot
    };
    Model::new(&at(2), Some(&at(1)))
}

#[test]
fn two_cgroups_under_one_limit() {
    // The parent's counters contain those of both.
    let model =
        model(&[(1, "/", 40, 0, 0), (2, "/p", 40, 0, 7), (3, "/p/hot", 40, 50, 0), (4, "/p/stream", 0, 150, 0)]);
    let [eviction] = model.evictions.unwrap().try_into().unwrap();
    assert_eq!(eviction.scope.as_ref().unwrap().as_str(), "/p");
    assert_eq!(eviction.refaults, 40.0 * MIB as f64);
    let victims: Vec<_> = eviction.victims.iter().map(|v| (v.path.as_str(), v.share)).collect();
    assert_eq!(victims, [("/p/hot", 1.0)]);
    let drivers: Vec<_> = eviction.drivers.iter().map(|d| (d.cgroup.unwrap().0, d.share)).collect();
    assert_eq!(drivers, [(4, 0.75), (3, 0.25)]);
}

#[test]
fn nobody_fights_without_a_limit_that_was_met() {
    let rows = [(1, "/", 40, 0, 0), (3, "/hot", 40, 50, 0), (4, "/stream", 0, 90, 0)];
    assert_eq!(model(&rows).evictions, Some(Vec::new()));
}

#[test]
fn a_cgroup_alone_at_its_own_limit_pushes_nobody() {
    assert_eq!(model(&[(1, "/", 9, 0, 0), (2, "/a", 9, 20, 5)]).evictions, Some(Vec::new()));
}

#[test]
fn names_that_begin_alike_are_no_children() {
    let model = model(&[(1, "/p", 0, 0, 1), (2, "/p/x", 0, 5, 0), (3, "/pp", 30, 5, 0)]);
    assert_eq!(model.evictions, Some(Vec::new()), "the victim is outside");
    assert_eq!([parent("/"), parent("/a"), parent("/a/b")], [None, Some("/"), Some("/a")]);
}

proptest! {
    #[test]
    fn shares_add_up(refaults in proptest::collection::vec((0u64..50, 0u64..100), 1..8)) {
        let paths: Vec<String> = (0..refaults.len()).map(|i| format!("/p/{i}")).collect();
        let mut rows: Vec<Row<'_>> = vec![(1, "/p", refaults.iter().map(|r| r.0).sum(), 0, 3)];
        rows.extend(refaults.iter().zip(&paths).enumerate().map(|(i, (r, path))| (i as u64 + 2, path.as_str(), r.0, r.1, 0)));
        for eviction in model(&rows).evictions.unwrap() {
            let victims: f64 = eviction.victims.iter().map(|v| v.share).sum();
            let drivers: f64 = eviction.drivers.iter().map(|d| d.share).sum();
            prop_assert!((victims - 1.0).abs() < 1e-9 && (drivers - 1.0).abs() < 1e-9);
        }
    }
}
