//! The busiest few by name, everything else as `other`, without a counter that ever goes back.
//!
//! Every growth between two snapshots is credited once, to one series: to the series that bears its label, else to
//! `other`. So a series that is given up does not fall back into `other`, and one that gets a name takes nothing out of
//! it: over any time, the growth of all series together is the growth of the total.
//!
//! A label keeps its series for as long as it counts. After [`LINGER_NS`] without growth the series ends if what it
//! names is gone (so every server that scrapes in between has seen its last value), and may be given to a busier label if
//! all are taken. A label that comes back later starts at zero, which a server takes for the restart that it is.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
};

/// How long a series without growth is kept: the five minutes after which Prometheus takes a series for gone.
pub(super) const LINGER_NS: u64 = 300_000_000_000;

/// Value of every label of the series that holds the rest. Never a cgroup, whose path begins with `/`.
pub(super) const OTHER: &str = "other";

/// Counts that are kept together for one label.
pub(super) type Counts<const N: usize> = [u64; N];

/// Series by label, at most `top` of them, and the rest.
#[derive(Debug)]
pub(super) struct TopK<K, const N: usize> {
    top: usize,
    weight: fn(&Counts<N>) -> u64,
    last: HashMap<K, Counts<N>>,
    last_total: Counts<N>,
    series: BTreeMap<Vec<String>, Series<N>>,
    total: Counts<N>,
    credited: Counts<N>,
    other: Counts<N>,
}

#[derive(Debug, Clone, Copy)]
struct Series<const N: usize> {
    counts: Counts<N>,
    grew_ns: u64,
}

/// One thing that is counted: a process, a cgroup, a port.
#[derive(Debug)]
pub(super) struct Row<K, const N: usize> {
    /// What names it for good; two things may share a label, never a key.
    pub(super) key: K,
    /// Values of its labels; `None` for what is never named.
    pub(super) label: Option<Vec<String>>,
    /// Its counts, cumulative.
    pub(super) counts: Counts<N>,
}

impl<K: Eq + Hash, const N: usize> TopK<K, N> {
    /// No series yet; at most `top` will have a name. `weight` ranks those that ask for one.
    pub(super) fn new(top: usize, weight: fn(&Counts<N>) -> u64) -> Self {
        Self {
            top,
            weight,
            last: HashMap::new(),
            last_total: [0; N],
            series: BTreeMap::new(),
            total: [0; N],
            credited: [0; N],
            other: [0; N],
        }
    }

    /// Takes the cumulative counts of a snapshot. `total` is the sum over everything, where the source keeps one that
    /// outlives its parts; without it the rows are all there is.
    pub(super) fn update(&mut self, now_ns: u64, rows: impl IntoIterator<Item = Row<K, N>>, total: Option<Counts<N>>) {
        let mut grown: BTreeMap<Vec<String>, Counts<N>> = BTreeMap::new();
        let mut all = [0; N];
        let mut seen = HashMap::new();
        let mut living = HashSet::new();
        for row in rows {
            let growth = since(&row.counts, self.last.get(&row.key));
            add(&mut all, &growth);
            if let Some(label) = row.label {
                add(grown.entry(label.clone()).or_insert([0; N]), &growth);
                living.insert(label);
            }
            seen.insert(row.key, row.counts);
        }
        self.last = seen;
        let total_growth = total.map_or(all, |total| {
            let growth = since(&total, Some(&self.last_total));
            self.last_total = total;
            growth
        });
        self.credit(now_ns, grown, total_growth, |label| living.contains(label));
    }

    /// Credits growths by label; what of `total_growth` they do not explain goes to `other`. `lives` says whether the
    /// thing behind a label still exists.
    pub(super) fn credit(
        &mut self,
        now_ns: u64,
        mut grown: BTreeMap<Vec<String>, Counts<N>>,
        total_growth: Counts<N>,
        lives: impl Fn(&Vec<String>) -> bool,
    ) {
        grown.retain(|_, counts| counts.iter().any(|n| *n > 0));
        let idle = |s: &Series<N>| now_ns.saturating_sub(s.grew_ns) >= LINGER_NS;
        self.series.retain(|label, s| grown.contains_key(label) || lives(label) || !idle(s));
        let mut asking: Vec<_> = grown.iter().filter(|(label, _)| !self.series.contains_key(*label)).collect();
        asking.sort_by_key(|(_, counts)| std::cmp::Reverse((self.weight)(counts)));
        for (label, _) in asking {
            if self.series.len() >= self.top {
                let idlest = self.series.iter().filter(|(l, s)| idle(s) && !grown.contains_key(*l));
                let Some(idlest) = idlest.min_by_key(|(_, s)| s.grew_ns).map(|(l, _)| l.clone()) else { break };
                self.series.remove(&idlest);
            }
            self.series.insert(label.clone(), Series { counts: [0; N], grew_ns: now_ns });
        }
        for (label, counts) in &grown {
            if let Some(series) = self.series.get_mut(label) {
                add(&mut series.counts, counts);
                series.grew_ns = now_ns;
                add(&mut self.credited, counts);
            }
        }
        add(&mut self.total, &total_growth);
        // The parts are read a moment after the total, so they may be ahead of it; the rest waits until it caught up.
        for ((other, total), credited) in self.other.iter_mut().zip(&self.total).zip(&self.credited) {
            *other = (*other).max(total.saturating_sub(*credited));
        }
    }

    /// Every series with its label values, then the rest, whose `labels` label values are all [`OTHER`].
    pub(super) fn each(&self, labels: usize, mut show: impl FnMut(&[&str], &Counts<N>)) {
        for (label, series) in &self.series {
            show(&label.iter().map(String::as_str).collect::<Vec<_>>(), &series.counts);
        }
        show(&vec![OTHER; labels], &self.other);
    }

    /// The labels that have a series.
    pub(super) fn labels(&self) -> impl Iterator<Item = &[String]> {
        self.series.keys().map(Vec::as_slice)
    }
}

/// Growth since `before`; counts of which one shrank were started anew, so what is there now has grown since.
pub(super) fn since<const N: usize>(now: &Counts<N>, before: Option<&Counts<N>>) -> Counts<N> {
    let zeros = [0; N];
    let pairs = || now.iter().zip(before.unwrap_or(&zeros));
    if pairs().any(|(now, before)| now < before) {
        return *now;
    }
    let mut growth = zeros;
    growth.iter_mut().zip(pairs()).for_each(|(growth, (now, before))| *growth = now - before);
    growth
}

/// Adds counts to a sum, one by one.
pub(super) fn add<const N: usize>(sum: &mut Counts<N>, counts: &Counts<N>) {
    sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn row(key: u32, label: &str, count: u64) -> Row<u32, 1> {
        Row { key, label: Some(vec![label.into()]), counts: [count] }
    }

    fn values(top: &TopK<u32, 1>) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        top.each(1, |labels, counts| {
            out.insert(labels.concat(), counts[0]);
        });
        out
    }

    fn map(rows: &[(&str, u64)]) -> BTreeMap<String, u64> {
        rows.iter().map(|(l, n)| ((*l).to_owned(), *n)).collect()
    }

    #[test]
    fn the_busiest_get_the_names() {
        let mut top = TopK::new(2, |c| c[0]);
        top.update(0, [row(1, "a", 5), row(2, "b", 9), row(3, "c", 7)], None);
        assert_eq!(values(&top), map(&[("b", 9), ("c", 7), ("other", 5)]));
    }

    #[test]
    fn a_busier_one_waits_until_a_name_is_idle_and_takes_nothing_out_of_other() {
        let mut top = TopK::new(1, |c| c[0]);
        top.update(0, [row(1, "a", 5)], None);
        top.update(SECOND, [row(1, "a", 5), row(2, "b", 90)], None);
        assert_eq!(values(&top), map(&[("a", 5), ("other", 90)]));
        top.update(LINGER_NS + SECOND, [row(1, "a", 5), row(2, "b", 100)], None);
        assert_eq!(values(&top), map(&[("b", 10), ("other", 90)]));
    }

    #[test]
    fn what_is_gone_keeps_its_last_value_for_a_while_and_does_not_fall_into_other() {
        let mut top = TopK::new(4, |c| c[0]);
        top.update(0, [row(1, "a", 5)], None);
        top.update(SECOND, [], None);
        assert_eq!(values(&top), map(&[("a", 5), ("other", 0)]));
        top.update(LINGER_NS, [], None);
        assert_eq!(values(&top), map(&[("other", 0)]));
    }

    #[test]
    fn what_a_process_did_after_the_last_look_is_in_other() {
        let mut top = TopK::new(4, |c| c[0]);
        top.update(0, [row(1, "a", 5)], Some([5]));
        top.update(SECOND, [], Some([8]));
        assert_eq!(values(&top), map(&[("a", 5), ("other", 3)]));
    }

    #[test]
    fn two_things_of_one_name_share_a_series() {
        let mut top = TopK::new(4, |c| c[0]);
        top.update(0, [row(1, "sh", 5), row(2, "sh", 6)], None);
        // One of them ended; the other goes on, and the series does not go back.
        top.update(SECOND, [row(2, "sh", 7)], None);
        assert_eq!(values(&top), map(&[("other", 0), ("sh", 12)]));
    }

    proptest! {
        #[test]
        fn nothing_goes_back_and_growth_is_credited_once(
            steps in proptest::collection::vec(
                (proptest::collection::vec((0u32..12, 0u64..1000), 0..12), 0u64..200, any::<bool>()), 1..40)
        ) {
            let mut top = TopK::new(3, |c| c[0]);
            let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
            let (mut total, mut now) = (0, 0);
            let mut before: BTreeMap<String, u64> = BTreeMap::new();
            for (growth, seconds, forget) in steps {
                now += seconds * SECOND;
                if forget {
                    counts.pop_first();
                }
                let mut grown = 0;
                for (key, n) in growth {
                    *counts.entry(key).or_default() += n;
                    grown += n;
                }
                total += grown;
                // Keys of equal remainder share a label. A key that is used again after it was forgotten starts at 0.
                let rows = counts.iter().map(|(k, n)| row(*k, &format!("/{}", k % 7), *n)).collect::<Vec<_>>();
                top.update(now, rows, Some([total]));
                let after = values(&top);
                prop_assert!(after.len() <= 4);
                prop_assert!(after["other"] >= before.get("other").copied().unwrap_or(0));
                // A label that was given up and came back began at 0: its growth is its value, as a server takes it.
                let seen: u64 = after.iter().map(|(label, n)| match before.get(label) {
                    Some(old) if n >= old => n - old,
                    _ => *n,
                }).sum();
                prop_assert_eq!(seen, grown);
                before = after;
            }
        }
    }
}
