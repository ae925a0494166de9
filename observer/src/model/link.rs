//! Network interfaces over an interval.

use serde::Serialize;

use super::interval::{Interval, rate, sort_descending};
use crate::snapshot::{self, link::Links};

/// One interface.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Link {
    /// What the kernel reports now.
    #[serde(flatten)]
    pub now: snapshot::link::Link,
    /// Bytes a second received.
    pub rx: Option<f64>,
    /// Bytes a second sent.
    pub tx: Option<f64>,
    /// Packets a second received.
    pub rx_packets_rate: Option<f64>,
    /// Packets a second sent.
    pub tx_packets_rate: Option<f64>,
    /// Packets a second dropped or bad, both ways.
    pub trouble: Option<f64>,
    /// Packets dropped or bad in the interval, both ways.
    pub trouble_in_interval: Option<u64>,
}

/// Name of the device that leads back to the host.
pub const LOOPBACK: &str = "lo";

/// One interface beside what it was.
pub(super) fn row(now: &snapshot::link::Link, old: Option<&snapshot::link::Link>, interval: Option<Interval>) -> Link {
    // An interface index is not used again soon, but a name is: both must match.
    let old = old.filter(|o| o.index == now.index && o.name == now.name);
    let of = |field: fn(&snapshot::link::Link) -> u64| rate(interval, Some(field(now)), old.map(field));
    let trouble = |l: &snapshot::link::Link| l.rx_errors + l.tx_errors + l.rx_dropped + l.tx_dropped;
    Link {
        rx: of(|l| l.rx_bytes),
        tx: of(|l| l.tx_bytes),
        rx_packets_rate: of(|l| l.rx_packets),
        tx_packets_rate: of(|l| l.tx_packets),
        trouble: of(trouble),
        trouble_in_interval: old.and_then(|old| trouble(now).checked_sub(trouble(old))),
        now: now.clone(),
    }
}

/// All interfaces, most traffic first.
pub fn rank(now: &Links, before: Option<&Links>, interval: Option<Interval>) -> Vec<Link> {
    let mut rows: Vec<_> = now
        .list
        .iter()
        .map(|l| row(l, before.and_then(|b| b.list.iter().find(|o| o.index == l.index)), interval))
        .collect();
    sort_descending(&mut rows, |r| r.rx.unwrap_or(0.0) + r.tx.unwrap_or(0.0));
    rows
}
