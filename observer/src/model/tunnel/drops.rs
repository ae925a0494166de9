//! Where a tunnel's packets are lost, along their way.

use serde::Serialize;

use super::{
    Tunnel, esp, growth,
    host::Host,
    silent::{self, Lost},
};
use crate::{
    model::interval::Interval,
    snapshot::{
        self, Name,
        cpu::Softnet,
        tunnel::{Kind, Tunnel as Read, Xfrm},
    },
};

/// Places where packets of a tunnel are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The tunnel's interface: no route, no peer, too large, not wanted.
    Device,
    /// The queue before the tunnel.
    TunnelQueue,
    /// IPsec: policy, state, replay, authentication.
    Xfrm,
    /// The queue before the underlay.
    UnderlayQueue,
    /// The underlay's interface.
    Underlay,
    /// The backlog of a processor, of the whole host.
    Backlog,
    /// Fragments of outer packets that were never whole.
    Reassembly,
    /// What no counter tells of by itself: outer packets that came, and did not come out.
    Silent,
}

impl Stage {
    /// Every stage.
    pub const ALL: &[Self] = &[
        Self::Device,
        Self::TunnelQueue,
        Self::Xfrm,
        Self::UnderlayQueue,
        Self::Underlay,
        Self::Backlog,
        Self::Reassembly,
        Self::Silent,
    ];

    /// As a value of a label, and in documents.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::TunnelQueue => "tunnel_queue",
            Self::Xfrm => "xfrm",
            Self::UnderlayQueue => "underlay_queue",
            Self::Underlay => "underlay",
            Self::Backlog => "backlog",
            Self::Reassembly => "reassembly",
            Self::Silent => "silent",
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Device => "interface",
            Self::TunnelQueue => "its queue",
            Self::Xfrm => "IPsec",
            Self::UnderlayQueue => "underlay's queue",
            Self::Underlay => "underlay",
            Self::Backlog => "CPU backlog",
            Self::Reassembly => "fragments",
            Self::Silent => "silent",
        }
    }

    /// Where the count comes from.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Device | Self::Underlay => "rtnetlink IFLA_STATS64",
            Self::TunnelQueue | Self::UnderlayQueue => "rtnetlink TCA_STATS2",
            Self::Xfrm => "/proc/net/xfrm_stat",
            Self::Backlog => "/proc/net/softnet_stat",
            Self::Reassembly => "/proc/net/snmp ReasmFails",
            Self::Silent => "/proc/net/snmp InDatagrams less rx_packets of the tunnel",
        }
    }
}

/// Packets lost in one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dropped {
    /// The place.
    pub stage: Stage,
    /// Packets a second.
    pub per_second: Option<f64>,
    /// Packets in the interval.
    pub in_interval: Option<u64>,
    /// Packets in the interval at most, where only that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
    /// The interface, queue or counter that told of most of them.
    pub place: Option<Name>,
    /// Why it is not known, if it is not.
    pub unknown: Option<&'static str>,
}

/// A queue of packets over an interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Qdisc {
    /// What the kernel reports now.
    #[serde(flatten)]
    pub now: snapshot::tunnel::Qdisc,
    /// True if it stands before the tunnel itself, false before its underlay.
    pub of_tunnel: bool,
    /// Bytes a second sent.
    pub tx: Option<f64>,
    /// Packets a second dropped.
    pub drops_rate: Option<f64>,
    /// Packets dropped in the interval.
    pub drops_in_interval: Option<u64>,
    /// Seconds that what waits would take at the rate of the interval.
    pub standing_seconds: Option<f64>,
    /// Seconds that what waited at the begin of the interval would take at the same rate.
    pub stood_seconds: Option<f64>,
}

impl Qdisc {
    pub(super) fn new(
        now: &snapshot::tunnel::Qdisc,
        before: Option<&Read>,
        interval: Option<Interval>,
        netns: u64,
        ifindex: Option<u32>,
    ) -> Self {
        let key = |q: &snapshot::tunnel::Qdisc| (q.netns, q.ifindex, q.handle, q.parent);
        let old = before.and_then(|b| b.qdiscs.iter().find(|q| key(q) == key(now)));
        let (tx, _) = growth(interval, Some(now.bytes), old.map(|o| o.bytes));
        let (drops_rate, drops_in_interval) = growth(interval, Some(now.drops), old.map(|o| o.drops));
        let standing = |bytes: u64| tx.filter(|tx| *tx > 0.0).map(|tx| bytes as f64 / tx);
        Self {
            of_tunnel: now.netns == netns && Some(now.ifindex) == ifindex,
            tx,
            drops_rate,
            drops_in_interval,
            standing_seconds: standing(now.backlog_bytes),
            stood_seconds: old.and_then(|o| standing(o.backlog_bytes)),
            now: now.clone(),
        }
    }

    /// True if it has no queue above it: what a queue within it drops is in its own count.
    pub fn is_root(&self) -> bool {
        const TC_H_ROOT: u32 = 0xffff_ffff;
        self.now.parent == TC_H_ROOT
    }
}

/// Every place where a packet of this tunnel can be lost.
pub(super) fn all(host: &Host<'_>, tunnel: &Tunnel) -> Vec<Dropped> {
    let applies = |stage: &&Stage| match stage {
        Stage::Device => tunnel.ifindex.is_some(),
        Stage::Xfrm => esp::is_ipsec(&tunnel.kind),
        Stage::TunnelQueue => tunnel.qdiscs.iter().any(|q| q.of_tunnel),
        Stage::UnderlayQueue => tunnel.qdiscs.iter().any(|q| !q.of_tunnel),
        Stage::Underlay | Stage::Reassembly => !super::host::is_made_by_process(&tunnel.kind),
        Stage::Backlog => host.now.cpus.is_some(),
        Stage::Silent => tunnel.kind == Kind::Wireguard,
    };
    Stage::ALL.iter().filter(applies).map(|stage| one(host, tunnel, *stage)).collect()
}

fn one(host: &Host<'_>, tunnel: &Tunnel, stage: Stage) -> Dropped {
    let mut at_most = None;
    let found = match stage {
        Stage::Device => link(tunnel.link.iter()),
        Stage::Underlay if tunnel.underlays.is_empty() => Err("the interface that outer packets leave by is not known"),
        Stage::Underlay => link(tunnel.underlays.iter()),
        Stage::TunnelQueue => queue(tunnel, true),
        Stage::UnderlayQueue => queue(tunnel, false),
        Stage::Xfrm => xfrm(host, tunnel),
        Stage::Backlog => backlog(host),
        Stage::Reassembly => {
            let fails = host.growth(tunnel.underlay_netns, |n| {
                let six = n.ip6.as_ref().and_then(|i| i.reasm_fails);
                n.ip.as_ref().and_then(|i| i.reasm_fails).map_or(six, |four| Some(four + six.unwrap_or(0)))
            });
            Ok((fails.1, None))
        }
        Stage::Silent => match silent::lost(host, tunnel) {
            Ok(Some(Lost::AtMost(most))) => {
                at_most = Some(most);
                Err("others receive UDP in the network namespace of its socket")
            }
            Ok(Some(Lost::Exactly(n))) => Ok((Some(n), None)),
            Ok(None) => Ok((None, None)),
            Err(why) => Err(why),
        },
    };
    let (in_interval, place, unknown) = match found {
        Ok((n, place)) => (n, place, None),
        Err(why) => (None, None, Some(why)),
    };
    let per_second = host.interval.zip(in_interval).map(|(i, n)| i.per_second(n));
    Dropped { stage, per_second, in_interval, at_most, place, unknown }
}

/// Packets, and the place that told of most of them; or why they are not known.
type Found = Result<(Option<u64>, Option<Name>), &'static str>;

fn link<'a>(links: impl Iterator<Item = &'a crate::model::link::Link>) -> Found {
    largest(links.map(|l| (l.now.name.clone(), l.trouble_in_interval)))
}

fn queue(tunnel: &Tunnel, of_tunnel: bool) -> Found {
    let roots = tunnel.qdiscs.iter().filter(|q| q.of_tunnel == of_tunnel && q.is_root());
    let device = |q: &Qdisc| {
        let links = tunnel.link.iter().filter(|_| of_tunnel).chain(tunnel.underlays.iter().filter(|_| !of_tunnel));
        let name = links.filter(|l| l.now.index == q.now.ifindex).map(|l| l.now.name.as_str()).next();
        Name::from(format!("{} of {}", q.now.kind, name.unwrap_or("the underlay")))
    };
    largest(roots.map(|q| (device(q), q.drops_in_interval)))
}

fn backlog(host: &Host<'_>) -> Found {
    let dropped = |cpus: &snapshot::cpu::Cpus| -> Option<u64> {
        let all: Vec<Softnet> = cpus.list.iter().filter_map(|c| c.softnet).collect();
        (!all.is_empty()).then(|| all.iter().map(|s| s.dropped + s.flow_limit).sum())
    };
    let now = host.now.cpus.as_ref().and_then(dropped);
    let before = host.before.and_then(|b| b.cpus.as_ref()).and_then(dropped);
    Ok((growth(host.interval, now, before).1, None))
}

/// Packets that IPsec refused in the tunnel's namespace. The kernel counts them by reason, not by tunnel.
fn xfrm(host: &Host<'_>, tunnel: &Tunnel) -> Found {
    let (Some(now), before) = host.xfrm(tunnel.netns) else { return Err("IPsec of the namespace was not read") };
    if now.counters.is_empty() {
        return Err("the kernel was built without CONFIG_XFRM_STATISTICS");
    }
    let old = |name: &Name| before.and_then(|b: &Xfrm| b.counters.iter().find(|(n, _)| n == name)).map(|(_, n)| *n);
    // What was acquired or put off is no loss.
    let lost = now.counters.iter().filter(|(name, _)| !name.as_str().ends_with("Acquire"));
    largest(lost.map(|(name, n)| (name.clone(), old(name).and_then(|old| n.checked_sub(old)))))
}

/// The sum, and the name of the largest part that is above zero. Not known if no part is.
fn largest(parts: impl Iterator<Item = (Name, Option<u64>)>) -> Found {
    let known: Vec<(Name, u64)> = parts.filter_map(|(name, n)| Some((name, n?))).collect();
    let sum = (!known.is_empty()).then(|| known.iter().map(|(_, n)| n).sum());
    let place = known.into_iter().filter(|(_, n)| *n > 0).max_by_key(|(_, n)| *n).map(|(name, _)| name);
    Ok((sum, place))
}
