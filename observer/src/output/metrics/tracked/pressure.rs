//! Series of memory pressure: limits that were met, retries and fallbacks of the page allocator, evictions, compaction,
//! waits inside of reclaim, kswapd.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    super::{
        sums::Sums,
        top_k::{Counts, Row, TopK},
    },
    BUCKETS, bucket_counts, path,
};
use crate::{
    model::{Model, eviction::Eviction},
    snapshot::{
        CgroupId, Cgroups, Name, Snapshot,
        compaction::{Compaction, Compactor, Extfrag, Fallback},
        kswapd::Kswapd,
        reclaim::Throttle,
        retry::{Retries, Retry, RetryKind},
    },
};

pub(in super::super) const LIMIT_HITS: usize = 0;
pub(in super::super) const LIMIT_OOMS: usize = 1;

pub(in super::super) const COMPACTION_NS: usize = 0;
pub(in super::super) const COMPACTION_FIRST_BUCKET: usize = 1;
pub(in super::super) const COMPACTION_COUNTS: usize = COMPACTION_FIRST_BUCKET + BUCKETS;

/// Label of evictions for the host's own lack of memory. No path, as those begin with `/`.
const HOST: &str = "host";
/// Victims, and drivers, of one eviction that are told apart: their pairs are the product.
const MOST_SIDES: usize = 20;

/// Names a row of retries: cgroup, process, what was considered. `None` is what found no place in the map.
type RetryKey = Option<(Option<CgroupId>, u32, RetryKind)>;
/// Names a row of fallbacks: cgroup, process, order, the two types. `None` is what found no place in the map.
type FallbackKey = Option<(Option<CgroupId>, u32, u32, Name, Name)>;

/// The state of those series.
#[derive(Debug)]
pub(in super::super) struct Pressure {
    pub(in super::super) limits: TopK<CgroupId, 2>,
    pub(in super::super) retries: TopK<RetryKey, 1>,
    pub(in super::super) fallbacks: TopK<FallbackKey, 1>,
    pub(in super::super) evictions: TopK<(), 1>,
    /// By who compacted: nanoseconds, then the buckets of the latency.
    pub(in super::super) compaction: Sums<(Option<CgroupId>, Compactor), Compactor, COMPACTION_COUNTS>,
    /// Compactions by who compacted and by result.
    pub(in super::super) compacted: Sums<(Option<CgroupId>, Compactor, Name), (Compactor, Name), 1>,
    /// Waits and nanoseconds by reason.
    pub(in super::super) throttles: Sums<(Option<CgroupId>, Name), Name, 2>,
    /// Nanoseconds that kswapd was awake, by node.
    pub(in super::super) awake_ns: BTreeMap<u32, u64>,
}

impl Pressure {
    /// Nothing seen yet; each metric names at most `top` of each label.
    pub(super) fn new(top: usize) -> Self {
        Self {
            limits: TopK::new(top, |c| c[LIMIT_HITS]),
            retries: TopK::new(top, |c| c[0]),
            fallbacks: TopK::new(top, |c| c[0]),
            evictions: TopK::new(top, |c| c[0]),
            compaction: Sums::default(),
            compacted: Sums::default(),
            throttles: Sums::default(),
            awake_ns: BTreeMap::new(),
        }
    }

    /// Takes what has grown since the last snapshot.
    pub(super) fn update(&mut self, now: &Snapshot, paths: &HashMap<CgroupId, Name>) {
        let at = now.stamp.monotonic_ns;
        if let Some(cgroups) = &now.cgroups {
            self.limits.update(at, limits(cgroups), None);
        }
        if let Some(retries) = &now.retries {
            self.retries.update(at, retry_rows(retries, paths), Some([retries.total()]));
        }
        if let Some(extfrag) = &now.extfrag {
            self.fallbacks.update(at, fallback_rows(extfrag), Some([extfrag.total()]));
        }
        if let Some(compaction) = &now.compaction {
            self.compactions(compaction);
        }
        if let Some(throttles) = now.reclaim.as_ref().and_then(|r| r.throttles.as_ref()) {
            let row = |t: &Throttle| ((t.cgroup, t.reason.clone()), t.reason.clone(), [t.count, t.total_ns]);
            self.throttles.update(throttles.iter().map(row));
        }
        if let Some(kswapd) = &now.kswapd {
            self.kswapd_awake(kswapd, at);
        }
    }

    fn compactions(&mut self, compaction: &Compaction) {
        let rows = &compaction.by_cgroup;
        self.compaction.update(rows.iter().map(|c| {
            let mut counts = [0; COMPACTION_COUNTS];
            let all = [c.total_ns].into_iter().chain(bucket_counts(&c.latency_ns));
            counts.iter_mut().zip(all).for_each(|(count, n)| *count = n);
            ((c.cgroup, c.by), c.by, counts)
        }));
        self.compacted.update(rows.iter().flat_map(|c| {
            let key = |result: &Name| (c.cgroup, c.by, result.clone());
            c.results.iter().map(move |r| (key(&r.result), (c.by, r.result.clone()), [r.count]))
        }));
    }

    /// While kswapd works it is awake until now. When it sleeps the kernel side takes back the tenth of a second for which
    /// it only waited: the counter then stands still until the truth has caught up.
    fn kswapd_awake(&mut self, kswapd: &Kswapd, now_ns: u64) {
        for node in &kswapd.nodes {
            let cycle = node.awake_since_ns.map_or(0, |since| now_ns.saturating_sub(since));
            let awake = self.awake_ns.entry(node.node).or_default();
            *awake = (*awake).max(node.awake_ns + cycle);
        }
    }

    /// Takes the evictions of an interval that no other one overlaps.
    pub(super) fn evicted(&mut self, model: &Model) {
        let Some((interval, evictions)) = model.interval.zip(model.evictions.as_ref()) else { return };
        let (mut grown, mut total) = (BTreeMap::new(), 0);
        for eviction in evictions {
            total += (eviction.refaults * interval.seconds) as u64;
            pairs(eviction, interval.seconds, |labels, bytes| grown.entry(labels).or_insert([0])[0] += bytes);
        }
        // A pair outlives its cgroups: its series is only given up for another that needs the place.
        self.evictions.credit(model.stamp.monotonic_ns, grown, [total], |_| true);
    }

    /// Paths of the cgroups that met their own limit.
    pub(super) fn named_cgroups(&self) -> impl Iterator<Item = &str> {
        self.limits.labels().filter_map(|l| l.first()).map(String::as_str)
    }
}

/// Cgroups whose own limit was ever met.
fn limits(cgroups: &Cgroups) -> impl Iterator<Item = Row<CgroupId, 2>> {
    cgroups.list.iter().filter_map(|c| {
        let counts: Counts<2> = [c.own_limit_hits.unwrap_or(0), c.own_ooms.unwrap_or(0)];
        (counts != [0; 2]).then(|| Row { key: c.id, label: Some(vec![c.path.to_string()]), counts })
    })
}

fn retry_rows(retries: &Retries, paths: &HashMap<CgroupId, Name>) -> impl Iterator<Item = Row<RetryKey, 1>> {
    retries.rows.iter().map(|r: &Retry| Row {
        key: Some((r.cgroup, r.pid, r.kind)),
        label: Some(vec![path(paths, r.cgroup), retry_word(r.kind).to_owned()]),
        counts: [r.count],
    })
}

fn fallback_rows(extfrag: &Extfrag) -> impl Iterator<Item = Row<FallbackKey, 1>> {
    extfrag.rows.iter().map(|f: &Fallback| Row {
        key: Some((f.cgroup, f.pid, f.order, f.wanted.clone(), f.taken.clone())),
        label: Some(vec![f.wanted.to_string(), f.taken.to_string()]),
        counts: [f.count],
    })
}

/// The victims' bytes, each divided among the drivers by their shares.
fn pairs(eviction: &Eviction, seconds: f64, mut show: impl FnMut(Vec<String>, u64)) {
    let scope = eviction.scope.as_ref().map_or_else(|| HOST.to_owned(), ToString::to_string);
    for victim in eviction.victims.iter().take(MOST_SIDES) {
        for driver in eviction.drivers.iter().take(MOST_SIDES) {
            let bytes = victim.refaults * seconds * driver.share;
            let driver = driver.path.as_ref().map_or_else(|| super::UNKNOWN.to_owned(), ToString::to_string);
            show(vec![scope.clone(), victim.path.to_string(), driver], bytes as u64);
        }
    }
}

/// Cgroups that a row of retries names.
pub(super) fn retrying(now: &Snapshot) -> HashSet<CgroupId> {
    now.retries.iter().flat_map(|r| &r.rows).filter_map(|r| r.cgroup).collect()
}

/// The word for a kind in labels.
fn retry_word(kind: RetryKind) -> &'static str {
    match kind {
        RetryKind::Reclaim => "reclaim",
        RetryKind::Compact => "compact",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::eviction::{Driver, Victim},
        snapshot::Cgroup,
    };

    fn values<K: Eq + std::hash::Hash, const N: usize>(
        top: &TopK<K, N>,
        labels: usize,
    ) -> BTreeMap<Vec<String>, Counts<N>> {
        let mut out = BTreeMap::new();
        top.each(labels, |labels, counts| {
            out.insert(labels.iter().map(|l| (*l).to_owned()).collect(), *counts);
        });
        out
    }

    fn strings(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|l| (*l).to_owned()).collect()
    }

    fn eviction(refaults: f64, victims: &[(&str, f64)], drivers: &[(Option<&str>, f64)]) -> Eviction {
        let victims = victims.iter().zip(1..).map(|((path, share), id)| Victim {
            cgroup: CgroupId(id),
            path: Name::from(*path),
            refaults: refaults * share,
            share: *share,
        });
        let drivers = drivers.iter().map(|(path, share)| Driver {
            cgroup: None,
            path: path.map(Name::from),
            allocated: 1e6 * share,
            share: *share,
            kswapd_requests: None,
            reclaimed: None,
        });
        Eviction { scope: Some(Name::from("/shop")), refaults, victims: victims.collect(), drivers: drivers.collect() }
    }

    fn evicted(seconds: f64, evictions: Vec<Eviction>) -> Model {
        let mut model = Model::new(&Snapshot::default(), None);
        model.interval = Some(crate::model::Interval { seconds });
        model.evictions = Some(evictions);
        model
    }

    #[test]
    fn what_a_victim_read_again_is_divided_among_the_drivers() {
        let mut pressure = Pressure::new(8);
        let shares = [(Some("/shop/batch"), 0.75), (None, 0.25)];
        let pushed = eviction(1000.0, &[("/shop/db", 0.8), ("/shop/batch", 0.2)], &shares);
        pressure.evicted(&evicted(2.0, vec![pushed]));
        // The host met its limit as well: the same victim, another scope.
        let host = Eviction { scope: None, ..eviction(50.0, &[("/shop/db", 1.0)], &[(Some("/x"), 1.0)]) };
        pressure.evicted(&evicted(2.0, vec![host]));
        let expected = [
            (["/shop", "/shop/db", "/shop/batch"], 1200),
            (["/shop", "/shop/db", "unknown"], 400),
            (["/shop", "/shop/batch", "/shop/batch"], 300),
            (["/shop", "/shop/batch", "unknown"], 100),
            (["host", "/shop/db", "/x"], 100),
            (["other", "other", "other"], 0),
        ];
        let expected: BTreeMap<_, _> = expected.into_iter().map(|(labels, n)| (strings(&labels), [n])).collect();
        assert_eq!(values(&pressure.evictions, 3), expected);
    }

    #[test]
    fn a_thousand_cgroups_that_fight_have_a_few_series_and_no_byte_is_lost() {
        let mut pressure = Pressure::new(8);
        let names: Vec<_> = (0..1000).map(|n| format!("/{n}")).collect();
        let victims: Vec<_> = names.iter().map(|name| (name.as_str(), 0.001)).collect();
        let drivers: Vec<_> = names.iter().map(|name| (Some(name.as_str()), 0.001)).collect();
        pressure.evicted(&evicted(10.0, vec![eviction(1e9, &victims, &drivers)]));
        let values = values(&pressure.evictions, 3);
        assert_eq!(values.len(), 9);
        assert_eq!(values.values().map(|[n]| n).sum::<u64>(), 10_000_000_000);
    }

    #[test]
    fn a_process_that_ends_takes_no_retry_out_of_its_kind() {
        let row = |pid, kind, count| Retry {
            cgroup: Some(CgroupId(1)),
            pid,
            comm: Name::from("x"),
            kind,
            count,
            refused: 0,
            last_order: 0,
            last_loops: 0,
            last_available_bytes: None,
            last_min_bytes: None,
        };
        let paths = HashMap::from([(CgroupId(1), Name::from("/a"))]);
        let at = |rows, other| Snapshot { retries: Some(Retries { rows, other }), ..Snapshot::default() };
        let mut pressure = Pressure::new(8);
        pressure.update(&at(vec![row(1, RetryKind::Reclaim, 5), row(2, RetryKind::Compact, 3)], 0), &paths);
        // The first one ended after two more, and made room; the second went on.
        pressure.update(&at(vec![row(2, RetryKind::Compact, 4)], 7), &paths);
        let expected = [(["/a", "compact"], 4), (["/a", "reclaim"], 5), (["other", "other"], 2)];
        let expected: BTreeMap<_, _> = expected.into_iter().map(|(labels, n)| (strings(&labels), [n])).collect();
        assert_eq!(values(&pressure.retries, 2), expected);
    }

    #[test]
    fn a_cgroup_that_makes_room_takes_no_compaction_and_no_wait_with_it() {
        use crate::snapshot::{
            Log2Histogram,
            compaction::{CgroupCompaction, CompactResult},
            reclaim::Reclaim,
        };
        let compacted = |cgroup, n| CgroupCompaction {
            cgroup: Some(CgroupId(cgroup)),
            by: Compactor::Direct,
            results: vec![CompactResult { result: Name::from("success"), count: n }],
            total_ns: 1000 * n,
            latency_ns: Log2Histogram { buckets: vec![0, n] },
        };
        let waited = |cgroup, n| Throttle {
            cgroup: Some(CgroupId(cgroup)),
            reason: Name::from("writeback"),
            count: n,
            total_ns: 10 * n,
        };
        let at = |cgroups: &[(u64, u64)]| Snapshot {
            compaction: Some(Compaction { by_cgroup: cgroups.iter().map(|(id, n)| compacted(*id, *n)).collect() }),
            reclaim: Some(Reclaim {
                throttles: Some(cgroups.iter().map(|(id, n)| waited(*id, *n)).collect()),
                ..Reclaim::default()
            }),
            ..Snapshot::default()
        };
        let mut pressure = Pressure::new(8);
        pressure.update(&at(&[(1, 100), (2, 5)]), &HashMap::new());
        pressure.update(&at(&[(2, 6)]), &HashMap::new());
        assert_eq!(pressure.compacted.get(&(Compactor::Direct, Name::from("success"))), [106]);
        let sums = pressure.compaction.get(&Compactor::Direct);
        assert_eq!((sums[COMPACTION_NS], sums.iter().skip(COMPACTION_FIRST_BUCKET).sum::<u64>()), (106_000, 106));
        assert_eq!(pressure.throttles.get(&Name::from("writeback")), [106, 1060]);
    }

    #[test]
    fn the_wait_before_kswapd_sleeps_is_taken_back_without_going_back() {
        use crate::snapshot::kswapd::KswapdNode;
        let awake = |awake_ns, since| Kswapd {
            nodes: vec![KswapdNode { awake_ns, awake_since_ns: since, ..KswapdNode::default() }],
            ..Kswapd::default()
        };
        let mut pressure = Pressure::new(8);
        pressure.kswapd_awake(&awake(1000, Some(5000)), 5300);
        assert_eq!(pressure.awake_ns[&0], 1300);
        pressure.kswapd_awake(&awake(1200, None), 6000);
        assert_eq!(pressure.awake_ns[&0], 1300);
        pressure.kswapd_awake(&awake(1200, Some(7000)), 7400);
        assert_eq!(pressure.awake_ns[&0], 1600);
    }

    #[test]
    fn a_cgroup_made_anew_under_an_old_name_goes_on_counting() {
        let at = |id, hits, ooms| Snapshot {
            cgroups: Some(Cgroups {
                list: vec![Cgroup {
                    id: CgroupId(id),
                    path: Name::from("/pod"),
                    own_limit_hits: Some(hits),
                    own_ooms: ooms,
                    ..Cgroup::default()
                }],
                ..Cgroups::default()
            }),
            ..Snapshot::default()
        };
        let mut pressure = Pressure::new(8);
        pressure.update(&at(1, 0, None), &HashMap::new());
        assert_eq!(pressure.named_cgroups().count(), 0, "nothing to tell of a cgroup below its limit");
        pressure.update(&at(1, 7, Some(1)), &HashMap::new());
        pressure.update(&at(2, 3, Some(0)), &HashMap::new());
        assert_eq!(values(&pressure.limits, 1)[&strings(&["/pod"])], [10, 1]);
        assert_eq!(pressure.named_cgroups().collect::<Vec<_>>(), ["/pod"]);
    }
}
