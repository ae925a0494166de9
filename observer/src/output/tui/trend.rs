//! What the sparklines are made of: a few numbers a tick, for a bounded number of ticks.

use std::collections::VecDeque;

use crate::{
    model::{Model, reclaim::Stalls},
    snapshot::reclaim::ReclaimKind,
};

/// A few numbers of one model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) monotonic_ns: u64,
    /// Pages handed out a second.
    pub(super) pages: Option<f64>,
    /// Seconds stalled in direct reclaim in each second.
    pub(super) direct: Option<f64>,
    /// Seconds stalled in memcg reclaim in each second.
    pub(super) memcg: Option<f64>,
    /// Share of the interval in which the busiest kswapd worked, 0 to 1.
    pub(super) kswapd: Option<f64>,
    /// Share of the last 10 s in which a task waited for memory, 0 to 1.
    pub(super) psi_memory: Option<f64>,
    /// Segments sent again as a share of all that were sent, 0 to 1.
    pub(super) retrans: Option<f64>,
    /// Connections a second opened, both ways.
    pub(super) opens: Option<f64>,
    /// Bytes a second sent by all interfaces but the loopback.
    pub(super) tx: Option<f64>,
    /// Bytes a second received by all interfaces but the loopback.
    pub(super) rx: Option<f64>,
}

impl Point {
    fn new(model: &Model) -> Self {
        let stalls = |kind| -> Option<Stalls> { Some(model.reclaim.as_ref()?.total(kind, model.interval)) };
        let links = |of: fn(&crate::model::link::Link) -> Option<f64>| {
            let list = model.links.as_ref()?;
            list.iter().filter(|l| l.now.name.as_str() != "lo").map(of).sum::<Option<f64>>()
        };
        Self {
            monotonic_ns: model.stamp.monotonic_ns,
            pages: model.page_alloc.as_ref().and_then(|p| p.total.pages),
            direct: stalls(ReclaimKind::Direct).and_then(|s| s.stalled_ratio),
            memcg: stalls(ReclaimKind::Memcg).and_then(|s| s.stalled_ratio),
            kswapd: model.kswapd.as_ref().and_then(|k| k.nodes.iter().filter_map(|n| n.awake_ratio).reduce(f64::max)),
            psi_memory: model.pressure.as_ref().and_then(|p| p.memory.as_ref()).and_then(|m| m.some).map(|s| s.avg10),
            retrans: model.tcp.own.retrans_ratio,
            opens: model.tcp.own.active_opens.zip(model.tcp.own.passive_opens).map(|(a, p)| a + p),
            tx: links(|l| l.tx),
            rx: links(|l| l.rx),
        }
    }
}

/// The last points, oldest first.
#[derive(Debug, Default)]
pub(super) struct Trend(VecDeque<Point>);

impl Trend {
    /// Points that are kept: as many as the widest screen has columns.
    pub(super) const KEPT: usize = 512;

    /// Adds what a model says.
    pub(super) fn push(&mut self, model: &Model) {
        if self.0.len() >= Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Point::new(model));
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// One number of every point up to a moment, oldest first.
    pub(super) fn until(&self, monotonic_ns: u64, of: impl Fn(&Point) -> Option<f64>) -> Vec<Option<f64>> {
        self.0.iter().take_while(|p| p.monotonic_ns <= monotonic_ns).map(of).collect()
    }
}
