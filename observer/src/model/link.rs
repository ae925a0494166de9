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
}

/// All interfaces, most traffic first.
pub fn rank(now: &Links, before: Option<&Links>, interval: Option<Interval>) -> Vec<Link> {
    let mut rows: Vec<_> = now
        .list
        .iter()
        .map(|l| {
            // An interface index is not used again soon, but a name is: both must match.
            let old = before.and_then(|b| b.list.iter().find(|o| o.index == l.index && o.name == l.name));
            let of = |field: fn(&snapshot::link::Link) -> u64| rate(interval, Some(field(l)), old.map(field));
            Link {
                rx: of(|l| l.rx_bytes),
                tx: of(|l| l.tx_bytes),
                rx_packets_rate: of(|l| l.rx_packets),
                tx_packets_rate: of(|l| l.tx_packets),
                trouble: of(|l| l.rx_errors + l.tx_errors + l.rx_dropped + l.tx_dropped),
                now: l.clone(),
            }
        })
        .collect();
    sort_descending(&mut rows, |r| r.rx.unwrap_or(0.0) + r.tx.unwrap_or(0.0));
    rows
}
