//! What sampled packets tell of a tunnel, and what processors do for tunnels.

use std::collections::HashSet;

use serde::Serialize;

use super::host::Host;
use crate::{
    model::interval::{rate, ratio},
    snapshot::{
        Log2Histogram,
        encapsulation::{CryptoWork, Device, Encapsulation, Flow, Interface, Packets, Polls},
    },
};

/// Packets of one tunnel that were sampled in the interval, on their way in and as they left by the interface below.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Samples {
    /// One packet in so many is sampled now.
    pub every: u32,
    /// Packets that entered the tunnel.
    pub entered: Packets,
    /// Packets of these as they left by the interface below.
    pub left: Packets,
    /// Packets received, before they were put together.
    pub arrived: Packets,
    /// Packets received, as the protocols get them.
    pub received: Packets,
    /// Packets that entered and were not known again.
    pub unmatched: u64,
    /// Bytes added to each packet on the wire, the mean; `None` if no packet was known again.
    pub overhead_bytes: Option<f64>,
    /// Outer bytes for each inner one.
    pub overhead_ratio: Option<f64>,
    /// From the entry into the tunnel to the entry into the interface below, in nanoseconds.
    pub latency: Log2Histogram,
    /// The mean of the same in seconds.
    pub latency_mean_seconds: Option<f64>,
    /// Inner flows, those seen last first.
    pub flows: Vec<Flow>,
    /// Different outer flows that they were seen in.
    pub outer_flows: usize,
}

/// Inner flows of a tunnel that are kept, at most.
const FLOWS: usize = 200;

impl Samples {
    /// `None` where nothing is sampled.
    pub(super) fn of(host: &Host<'_>, device: Device) -> Option<Self> {
        let all = host.now.encapsulation.as_ref()?;
        let row = |e: &'_ Encapsulation| e.interfaces.iter().find(|i| i.device == device).cloned();
        let now = row(all)?;
        // A tunnel that was not sampled before counts from its first packet on.
        let before = host.before.and_then(|b| b.encapsulation.as_ref()).and_then(row);
        let grown: Interface = before.and_then(|b| now.since(&b)).unwrap_or(now);
        let flows: Vec<_> = all.flows.iter().filter(|f| f.tunnel == device).take(FLOWS).cloned().collect();
        let outer: HashSet<_> =
            flows.iter().filter_map(|f| f.outer).map(|h| (h.protocol, h.source, h.destination)).collect();
        let timed = grown.latency.count();
        Some(Self {
            every: all.every,
            overhead_bytes: grown.overhead_bytes(),
            overhead_ratio: grown.overhead_ratio(),
            latency_mean_seconds: (timed > 0).then(|| grown.latency_ns_sum as f64 / 1e9 / timed as f64),
            entered: grown.entered,
            left: grown.left,
            arrived: grown.arrived,
            received: grown.received,
            unmatched: grown.unmatched,
            latency: grown.latency,
            outer_flows: outer.len(),
            flows,
        })
    }
}

/// Polls of one device on one CPU in the interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PollRate {
    /// The device: inode of its namespace, and index there; `None` for polls without one.
    pub device: Option<Device>,
    /// The CPU.
    pub cpu: u32,
    /// Polls a second.
    pub polls: Option<f64>,
    /// Packets a second.
    pub packets: Option<f64>,
    /// Share of the polls that used their whole budget, 0 to 1: more was waiting.
    pub full_ratio: Option<f64>,
}

/// What a function that encrypts or decrypts did on a CPU in the interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CryptoRate {
    /// Function and CPU, with the counts since the probes were attached.
    #[serde(flatten)]
    pub now: CryptoWork,
    /// Share of the interval that it ran, 0 to 1.
    pub busy_ratio: Option<f64>,
}

/// Polls of the interval, most packets first. `None` where they are not counted.
pub(super) fn polls(host: &Host<'_>) -> Option<Vec<PollRate>> {
    let now = host.now.encapsulation.as_ref()?.polls.as_ref()?;
    let before = host.before.and_then(|b| b.encapsulation.as_ref()?.polls.as_ref());
    let mut rows: Vec<_> = now
        .iter()
        .map(|p| {
            let none = Polls { device: p.device, cpu: p.cpu, ..Polls::default() };
            let old = before.map(|b| b.iter().find(|o| o.device == p.device && o.cpu == p.cpu).unwrap_or(&none));
            let of = |field: fn(&Polls) -> u64| rate(host.interval, Some(field(p)), old.map(field));
            let grown = |field: fn(&Polls) -> u64| old.and_then(|o| field(p).checked_sub(field(o)));
            PollRate {
                device: p.device,
                cpu: p.cpu,
                polls: of(|p| p.polls),
                packets: of(|p| p.packets),
                full_ratio: grown(|p| p.full).zip(grown(|p| p.polls)).and_then(|(full, all)| ratio(full, all)),
            }
        })
        .collect();
    rows.sort_by(|a, b| b.packets.unwrap_or(0.0).total_cmp(&a.packets.unwrap_or(0.0)));
    Some(rows)
}

/// Work of ciphers in the interval, most time first. `None` where it is not counted.
pub(super) fn crypto(host: &Host<'_>) -> Option<Vec<CryptoRate>> {
    let now = host.now.encapsulation.as_ref()?.crypto.as_ref()?;
    let before = host.before.and_then(|b| b.encapsulation.as_ref()?.crypto.as_ref());
    let mut rows: Vec<_> = now
        .iter()
        .map(|work| {
            let same = |o: &&CryptoWork| o.function == work.function && o.cpu == work.cpu;
            let old = before.map(|b| b.iter().find(same).map_or(0, |o| o.ns));
            let busy = rate(host.interval, Some(work.ns), old).map(|ns| (ns / 1e9).min(1.0));
            CryptoRate { now: work.clone(), busy_ratio: busy }
        })
        .collect();
    rows.sort_by(|a, b| b.busy_ratio.unwrap_or(0.0).total_cmp(&a.busy_ratio.unwrap_or(0.0)));
    Some(rows)
}
