//! What was seen of one tunnel over a window.

use super::{Shares, Thresholds};
use crate::{
    diagnose::Window,
    model::{
        Model,
        cpu::Cpu,
        tcp::Connection,
        tunnel::{Stage, Tunnel},
    },
};

/// One tunnel over a window.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    /// As it is now.
    pub(super) tunnel: &'a Tunnel,
    /// The newest model.
    pub(super) newest: &'a Model,
    /// Seconds that the counts below cover.
    pub(super) seconds: f64,
    /// The tunnel at the end of each interval, oldest first, with the interval's length and the model.
    pub(super) readings: Vec<(&'a Tunnel, f64, &'a Model)>,
}

/// Softirq time of one processor over the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuShare {
    pub(super) cpu: u32,
    /// Share of its time in soft interrupts, 0 to 1.
    pub(super) softirq: f64,
    /// Packets that it took.
    pub(super) packets: f64,
    /// Times that it stopped with packets left.
    pub(super) squeezed: f64,
    /// Share of the polls of its busiest device that used their whole budget; `None` where polls are not counted.
    pub(super) full_polls: Option<f64>,
    /// Packets that another processor gave it.
    pub(super) steered: f64,
}

impl<'a> Observed<'a> {
    pub(super) fn new(window: &Window<'a>, tunnel: &'a Tunnel, t: &Thresholds) -> Self {
        let (models, _) = window.last(t.look_back_seconds);
        let of = |model: &'a Model| {
            let here = model.tunnels.as_ref()?.list.iter().find(|other| other.is(tunnel))?;
            // Without an earlier reading of the tunnel there are no rates.
            here.inner.tx.or(here.inner.rx)?;
            Some((here, model.interval?.seconds, model))
        };
        let mut readings: Vec<_> = models.iter().rev().map_while(of).collect();
        readings.reverse();
        let seconds = readings.iter().map(|(_, s, _)| s).sum();
        Self { tunnel, newest: window.newest(), seconds, readings }
    }

    /// A rate over the window.
    pub(super) fn rate(&self, of: impl Fn(&Tunnel) -> Option<f64>) -> Option<f64> {
        let known = self.readings.iter().filter_map(|(t, s, _)| Some((of(t)?, *s)));
        let (amount, seconds) = known.fold((0.0, 0.0), |sum, (rate, s)| (sum.0 + rate * s, sum.1 + s));
        (seconds > 0.0).then(|| amount / seconds)
    }

    /// A count over the window.
    pub(super) fn count(&self, of: impl Fn(&Tunnel) -> Option<u64>) -> Option<u64> {
        self.readings.iter().filter_map(|(t, ..)| of(t)).reduce(|a, b| a + b)
    }

    /// Packets lost in one place.
    pub(super) fn dropped(&self, stage: Stage) -> Option<u64> {
        self.count(|t| t.dropped(stage)?.in_interval)
    }

    /// Packets sent in the window.
    pub(super) fn sent(&self) -> Option<f64> {
        Some(self.rate(|t| t.inner.tx_packets)? * self.seconds)
    }

    /// Packets received in the window.
    pub(super) fn received(&self) -> Option<f64> {
        Some(self.rate(|t| t.inner.rx_packets)? * self.seconds)
    }

    pub(super) fn is_idle(&self, t: &Thresholds) -> bool {
        self.rate(|t| Some(t.inner.bytes())).is_some_and(|rate| rate < t.idle_rate)
    }

    /// The connections that it carries, each with what it carried in the window.
    pub(super) fn flows(&self) -> impl Iterator<Item = &'a Connection> {
        let open = self.newest.tcp.sockets.as_ref();
        self.tunnel.flows.iter().filter_map(move |f| f.connection(open?))
    }

    /// Bytes of a connection that were acknowledged in the window; `None` if it was not there, or is not told.
    pub(super) fn acked(&self, connection: &Connection) -> Option<u64> {
        let of = |model: &Model| {
            let list = &model.tcp.sockets.as_ref()?.list;
            let same = |c: &&Connection| c.now.cookie == connection.now.cookie && c.now.netns == connection.now.netns;
            list.iter().find(same)?.grown?.bytes_acked
        };
        self.readings.iter().filter_map(|(.., model)| of(model)).reduce(|a, b| a + b)
    }

    /// Processors by time in soft interrupts, most first; empty if it is not known.
    pub(super) fn cpus(&self) -> Vec<CpuShare> {
        let list = self.newest.cpus.iter().flat_map(|c| &c.list);
        let mut rows: Vec<CpuShare> = list.filter_map(|c| self.cpu(c.now.cpu)).collect();
        rows.sort_by(|a, b| b.softirq.total_cmp(&a.softirq));
        rows
    }

    fn cpu(&self, number: u32) -> Option<CpuShare> {
        let mean = |of: fn(&Cpu) -> Option<f64>| {
            let known = self.readings.iter().filter_map(|(_, s, model)| {
                let cpu = model.cpus.as_ref()?.list.iter().find(|c| c.now.cpu == number)?;
                Some((of(cpu)?, *s))
            });
            let (sum, seconds) = known.fold((0.0, 0.0), |sum, (rate, s)| (sum.0 + rate * s, sum.1 + s));
            (seconds > 0.0).then(|| sum / seconds)
        };
        Some(CpuShare {
            cpu: number,
            softirq: mean(|c| c.usage.softirq_ratio)?,
            packets: mean(|c| c.usage.packets).unwrap_or(0.0),
            squeezed: mean(|c| c.usage.time_squeeze).unwrap_or(0.0),
            full_polls: self.full_polls(number),
            steered: mean(|c| c.usage.received_rps).unwrap_or(0.0),
        })
    }

    /// Polls of the device with the most packets on a processor, in the newest interval in which they were counted: where there
    /// are many packets that probe rests most of the time.
    fn full_polls(&self, cpu: u32) -> Option<f64> {
        let of = |model: &Model| {
            let polls = model.tunnels.as_ref()?.polls.as_ref()?;
            polls.iter().find(|p| p.cpu == cpu && p.packets.is_some_and(|n| n > 0.0))?.full_ratio
        };
        self.readings.iter().rev().find_map(|(.., model)| of(model))
    }

    pub(super) fn shares(&self) -> Shares {
        let cpus = self.cpus();
        let packets = self.sent().zip(self.received()).map(|(out, back)| out + back);
        let of_packets = |n: Option<u64>, all: Option<f64>| {
            n.zip(all.filter(|all| *all > 0.0)).map(|(n, all)| (n as f64 / all).min(1.0))
        };
        let lost = Stage::ALL.iter().filter_map(|stage| self.dropped(*stage)).reduce(|a, b| a + b);
        // Packets that the underlay cuts into segments itself are one here: the share is that of the smallest packets.
        let overhead = self.tunnel.overhead().zip(self.rate(|t| t.inner.tx)).zip(self.rate(|t| t.inner.tx_packets));
        Shares {
            drops: of_packets(lost, packets),
            fragments: of_packets(self.count(|t| t.fragments_in_interval), self.sent()),
            overhead: overhead.filter(|((_, bytes), packets)| *packets > 0.0 && bytes / packets <= self.largest()).map(
                |((o, bytes), packets)| {
                    let added = f64::from(o.least) * packets;
                    added / (bytes + added)
                },
            ),
            busiest_cpu: cpus.first().map(|c| c.softirq),
            other_cpus: median_of_others(&cpus),
        }
    }

    /// Largest packet that the interface takes: what is larger was put together by an offload.
    fn largest(&self) -> f64 {
        self.tunnel.link.as_ref().and_then(|l| l.now.mtu).map_or(f64::INFINITY, f64::from)
    }
}

/// Median time in soft interrupts of all processors but the first. `None` if there is no other.
pub(super) fn median_of_others(cpus: &[CpuShare]) -> Option<f64> {
    let others = cpus.get(1..)?;
    others.get(others.len() / 2).map(|c| c.softirq)
}
