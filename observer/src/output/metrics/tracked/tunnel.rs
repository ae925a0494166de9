//! Series of tunnels: what they carry, where they lose packets, how long encapsulation takes.

use std::collections::{BTreeMap, HashSet};

use super::{
    super::{gained::Gained, top_k::Counts},
    BUCKETS, bucket_counts,
};
use crate::model::{Model, tunnel::Tunnel};

/// Places of the counts of traffic.
pub(in crate::output::metrics) const RX_BYTES: usize = 0;
pub(in crate::output::metrics) const TX_BYTES: usize = 1;
pub(in crate::output::metrics) const RX_PACKETS: usize = 2;
pub(in crate::output::metrics) const TX_PACKETS: usize = 3;

/// Places of the counts of latency.
pub(in crate::output::metrics) const LATENCY_NS: usize = 0;
pub(in crate::output::metrics) const LATENCY_FIRST_BUCKET: usize = 1;
pub(in crate::output::metrics) const LATENCY_COUNTS: usize = LATENCY_FIRST_BUCKET + BUCKETS;

/// Places of the counts of fragments.
pub(in crate::output::metrics) const MADE: usize = 0;
pub(in crate::output::metrics) const REASSEMBLED: usize = 1;

/// Names a tunnel for good: its namespace, the index of its interface, its name.
type Key = (u64, Option<u32>, String);

/// The series of tunnels.
#[derive(Debug)]
pub(in crate::output::metrics) struct TunnelSeries {
    top: usize,
    /// Labels of those without an interface, whose packets nobody counts.
    no_packets: HashSet<Vec<String>>,
    /// By namespace and tunnel.
    pub(in crate::output::metrics) traffic: Gained<Key, 4>,
    /// By namespace, tunnel and stage.
    pub(in crate::output::metrics) drops: Gained<Key, 1>,
    /// By namespace and tunnel.
    pub(in crate::output::metrics) latency: Gained<Key, LATENCY_COUNTS>,
    /// By namespace of outer packets.
    pub(in crate::output::metrics) fragments: Gained<u64, 2>,
}

impl TunnelSeries {
    pub(super) fn new(top: usize) -> Self {
        Self {
            top,
            no_packets: HashSet::new(),
            traffic: Gained::new(top),
            drops: Gained::new(top),
            latency: Gained::new(top),
            fragments: Gained::new(top),
        }
    }

    /// Takes what interfaces and peers count, which is the same however often it is looked at.
    pub(in crate::output::metrics) fn look(&mut self, model: &Model) {
        let Some(tunnels) = &model.tunnels else { return };
        let rows = tunnels.list.iter().map(|t| (key(t), label(t), traffic(t)));
        self.traffic.update(model.stamp.monotonic_ns, rows);
        self.no_packets.retain(|label| self.traffic.has(label));
        self.no_packets.extend(tunnels.list.iter().filter(|t| t.link.is_none()).map(label));
    }

    /// Takes an interval that no other one overlaps.
    pub(in crate::output::metrics) fn update(&mut self, model: &Model) {
        let Some(tunnels) = &model.tunnels else { return };
        self.look(model);
        let at = model.stamp.monotonic_ns;
        let mut drops: BTreeMap<_, Counts<1>> = BTreeMap::new();
        let mut latency: BTreeMap<_, Counts<LATENCY_COUNTS>> = BTreeMap::new();
        let mut fragments: BTreeMap<_, Counts<2>> = BTreeMap::new();
        for tunnel in &tunnels.list {
            for dropped in &tunnel.drops {
                let Some(packets) = dropped.in_interval else { continue };
                let mut label = label(tunnel);
                label.push(dropped.stage.label().to_owned());
                let [sum] = drops.entry(label).or_default();
                *sum += packets;
            }
            if let Some(samples) = &tunnel.samples {
                let counts = latency.entry(label(tunnel)).or_insert([0; LATENCY_COUNTS]);
                let seconds = samples.latency_mean_seconds.unwrap_or(0.0) * samples.latency.count() as f64;
                let whole = [(seconds * 1e9).round() as u64];
                let grown = whole.into_iter().chain(bucket_counts(&samples.latency));
                counts.iter_mut().zip(grown).for_each(|(sum, n)| *sum += n);
            }
            // Several tunnels go through one namespace, which counts for all of them.
            if let (Some(made), Some(whole)) = (tunnel.fragments_in_interval, tunnel.reassembled_in_interval) {
                fragments.insert(vec![tunnel.underlay_netns.to_string()], [made, whole]);
            }
        }
        self.drops.credit(at, drops);
        self.latency.credit(at, latency);
        self.fragments.credit(at, fragments);
    }

    /// The tunnels that gauges name, each label once: those whose traffic has a series, then the busiest.
    pub(in crate::output::metrics) fn named<'a>(&self, model: &'a Model) -> Vec<(Vec<String>, &'a Tunnel)> {
        let all = || model.tunnels.iter().flat_map(|t| &t.list).map(|t| (label(t), t));
        let first = all().filter(|(label, _)| self.traffic.has(label));
        let rest = all().filter(|(label, _)| !self.traffic.has(label));
        let mut seen = HashSet::new();
        first.chain(rest).filter(|(label, _)| seen.insert(label.clone())).take(self.top).collect()
    }

    /// True if somebody counts the packets of the tunnel.
    pub(in crate::output::metrics) fn counts_packets(&self, label: &[&str]) -> bool {
        !self.no_packets.iter().any(|l| l.iter().eq(label))
    }

    /// Points at most of what has several in a tunnel.
    pub(in crate::output::metrics) fn top(&self) -> usize {
        self.top
    }
}

fn key(t: &Tunnel) -> Key {
    (t.netns, t.ifindex, t.name.to_string())
}

fn label(t: &Tunnel) -> Vec<String> {
    vec![t.netns.to_string(), t.name.to_string()]
}

/// What goes through it, as its interface counts; without one, as its peers count.
fn traffic(t: &Tunnel) -> Counts<4> {
    if let Some(link) = &t.link {
        return [link.now.rx_bytes, link.now.tx_bytes, link.now.rx_packets, link.now.tx_packets];
    }
    let sum = |field: fn(&crate::model::tunnel::Peer) -> Option<u64>| t.peers.iter().filter_map(field).sum();
    [sum(|p| p.now.rx_bytes), sum(|p| p.now.tx_bytes), 0, 0]
}
