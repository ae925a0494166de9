//! What keeps a tunnel from being faster, or loses its packets. Pure.
//!
//! Each check looks for one thing, in a file of its own, and is a rule as well: the verdict on a tunnel is the first check that
//! fires, in the order of `CHECKS`; the findings name, for each rule, the tunnel with the most traffic that it fires on.

pub(super) mod black_hole;
pub(super) mod drops;
pub(super) mod fragments;
pub(super) mod mtu;
mod observed;
pub(super) mod offload;
pub(super) mod one_core;
pub(super) mod rps_off;
#[cfg(test)]
mod tests;
mod thresholds;
mod words;

use serde::Serialize;

pub use thresholds::Thresholds;

use super::{
    Evidence, Finding, Outcome, Severity, Window,
    common::{needs_interval, no_source},
    flow::Ceiling,
};
use crate::{
    model::tunnel::Tunnel,
    snapshot::{Name, coverage::Source, tunnel::Kind},
};
use observed::Observed;

/// What limits a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// It cannot be told yet.
    Unknown,
    /// It carries nothing.
    Idle,
    /// Nothing that the tunnel itself does: look at its connections.
    None,
    /// Packets of full size vanish on the way, and nobody says so.
    BlackHole,
    /// Outer packets are cut into fragments.
    Fragments,
    /// Packets are dropped, or wait in a queue that does not empty.
    Drops,
    /// A single outer flow that one processor receives, though others are idle.
    ReceiveSteering,
    /// One processor is busy with packets, the others are not.
    OneCore,
    /// A processor cuts large packets that the interface below could cut.
    Offload,
    /// Its interface takes packets that do not fit into the underlay's.
    Mtu,
}

impl Limit {
    /// Every limit.
    pub const ALL: &[Self] = &[
        Self::Unknown,
        Self::Idle,
        Self::None,
        Self::BlackHole,
        Self::Fragments,
        Self::Drops,
        Self::ReceiveSteering,
        Self::OneCore,
        Self::Offload,
        Self::Mtu,
    ];

    /// As a value of a label, and in documents.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Idle => "idle",
            Self::None => "none",
            Self::BlackHole => "black_hole",
            Self::Fragments => "fragments",
            Self::Drops => "drops",
            Self::ReceiveSteering => "receive_steering",
            Self::OneCore => "one_core",
            Self::Offload => "offload",
            Self::Mtu => "mtu",
        }
    }

    /// In a few words, for a table.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Idle => "idle",
            Self::None => "none",
            Self::BlackHole => "black hole",
            Self::Fragments => "fragments",
            Self::Drops => "drops",
            Self::ReceiveSteering => "one receive CPU",
            Self::OneCore => "one CPU",
            Self::Offload => "no offload",
            Self::Mtu => "MTU too large",
        }
    }

    /// True if it names something that is wrong with the tunnel.
    pub const fn is_named(self) -> bool {
        !matches!(self, Self::Unknown | Self::Idle | Self::None)
    }
}

/// One thing that is wrong with a tunnel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sign {
    /// What it is.
    pub limit: Limit,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence without the tunnel's name.
    pub verdict: String,
    /// The rate that it allows, where it can be computed.
    pub ceiling: Option<Ceiling>,
    /// The numbers behind it.
    pub evidence: Vec<Evidence>,
    /// What lifts it, with the command.
    pub advice: Vec<String>,
}

/// Shares that are compared, 0 to 1. `None` where the data lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Shares {
    /// Packets lost of those that were sent and received, in all places that have a count.
    pub drops: Option<f64>,
    /// Fragments made, for each packet sent.
    pub fragments: Option<f64>,
    /// Bytes that the tunnel adds, of those that the underlay carries.
    pub overhead: Option<f64>,
    /// Time in soft interrupts of the processor that spends most in them.
    pub busiest_cpu: Option<f64>,
    /// Median of the same of the other processors.
    pub other_cpus: Option<f64>,
}

/// What is to be said of a tunnel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Inode of the tunnel's network namespace.
    pub netns: u64,
    /// Index of its interface.
    pub ifindex: Option<u32>,
    /// Its name.
    pub name: Name,
    /// The first limit that was found.
    pub limit: Limit,
    /// Seconds that were looked at.
    pub seconds: f64,
    /// What was compared.
    pub shares: Shares,
    /// All that is wrong with it, in the order of the checks.
    pub signs: Vec<Sign>,
    /// What could not be looked for, and what lacks.
    pub unknown: Vec<Lack>,
}

impl Verdict {
    /// What is wrong first of all.
    pub fn sign(&self) -> Option<&Sign> {
        self.signs.first()
    }

    /// True if it is of this tunnel.
    pub fn is_of(&self, tunnel: &Tunnel) -> bool {
        self.netns == tunnel.netns && self.ifindex == tunnel.ifindex && self.name == tunnel.name
    }
}

/// A check that could not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// What it looks for.
    pub limit: Limit,
    /// The data that it lacks.
    pub lacks: String,
}

/// What a check says of one tunnel.
enum Seen {
    /// It is not so.
    Quiet,
    /// It is so.
    Fires(Sign),
    /// The data lacks.
    Lacks(String),
}

/// Looks for one limit.
pub(super) struct Check {
    limit: Limit,
    look: fn(&Observed<'_>, &Thresholds) -> Seen,
}

/// Every check, in the order in which they decide the verdict: first what loses packets, then what is slow, then what may
/// become a fault.
const CHECKS: &[&Check] = &[
    &black_hole::CHECK,
    &fragments::CHECK,
    &drops::CHECK,
    &rps_off::CHECK,
    &one_core::CHECK,
    &offload::CHECK,
    &mtu::CHECK,
];

/// Judges every tunnel of the newest model, in its order.
pub fn verdicts(window: &Window<'_>) -> Vec<Verdict> {
    let thresholds = &window.thresholds().tunnel;
    let tunnels = window.newest().tunnels.iter().flat_map(|t| &t.list);
    tunnels.map(|tunnel| judge(&Observed::new(window, tunnel, thresholds), thresholds)).collect()
}

fn judge(o: &Observed<'_>, t: &Thresholds) -> Verdict {
    let mut verdict = Verdict {
        netns: o.tunnel.netns,
        ifindex: o.tunnel.ifindex,
        name: o.tunnel.name.clone(),
        limit: Limit::Unknown,
        seconds: o.seconds,
        shares: o.shares(),
        signs: Vec::new(),
        unknown: Vec::new(),
    };
    if o.seconds < t.least_seconds {
        return verdict;
    }
    for check in CHECKS {
        match (check.look)(o, t) {
            Seen::Quiet => {}
            Seen::Fires(sign) => verdict.signs.push(sign),
            Seen::Lacks(lacks) => verdict.unknown.push(Lack { limit: check.limit, lacks }),
        }
    }
    verdict.limit = match verdict.signs.first() {
        Some(sign) => sign.limit,
        None if o.is_idle(t) => Limit::Idle,
        None => Limit::None,
    };
    verdict
}

/// A check as a rule over all tunnels: the finding is of the busiest one that it fires on, and counts the others.
fn rule(window: &Window<'_>, check: &Check, name: &'static str) -> Outcome {
    let newest = window.newest();
    let Some(tunnels) = newest.tunnels.as_ref().filter(|t| t.namespaces > 0) else {
        return no_source(window, "tunnels of network namespaces", Source::NETWORK);
    };
    if tunnels.list.is_empty() {
        return Outcome::Quiet;
    }
    if let Some(outcome) = needs_interval(window) {
        return outcome;
    }
    let thresholds = &window.thresholds().tunnel;
    let mut fired: Vec<(&Tunnel, Sign)> = Vec::new();
    let mut lacks = None;
    for tunnel in &tunnels.list {
        let observed = Observed::new(window, tunnel, thresholds);
        if observed.seconds < thresholds.least_seconds {
            continue;
        }
        match (check.look)(&observed, thresholds) {
            Seen::Quiet => {}
            Seen::Fires(sign) => fired.push((tunnel, sign)),
            Seen::Lacks(what) => lacks = lacks.or(Some(what)),
        }
    }
    // The list begins with the busiest; of what is equally bad that one is named.
    let worst = fired.iter().map(|(_, sign)| sign.severity).max();
    let Some(at) = fired.iter().position(|(_, sign)| Some(sign.severity) == worst) else {
        return lacks.map_or(Outcome::Quiet, |lacks| Outcome::NoData { lacks, reason: None });
    };
    let (tunnel, sign) = fired.swap_remove(at);
    let also: Vec<String> = fired.iter().take(3).map(|(t, _)| words::tunnel(t)).collect();
    let mut evidence = sign.evidence;
    if !also.is_empty() {
        let more = fired.len().saturating_sub(also.len());
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        evidence.push(Evidence::new("the same holds for", format!("{}{rest}", also.join(", ")), "network namespaces"));
    }
    if let Some(ceiling) = sign.ceiling {
        evidence.push(Evidence::new("that allows", ceiling.formula, "computed"));
    }
    Outcome::Fires(Finding {
        rule: name,
        severity: sign.severity,
        verdict: format!("{}: {}", words::tunnel(tunnel), sign.verdict),
        evidence,
        advice: sign.advice,
    })
}

/// True for the kinds that tell a connection of this host themselves how large its packets may be.
fn is_adapting(kind: &Kind) -> bool {
    !matches!(kind, Kind::Wireguard | Kind::Tun | Kind::Tap | Kind::Bareudp | Kind::Other)
}

/// True for the kinds whose packets to one peer are all of one outer flow, whatever is inside.
fn is_one_flow(kind: &Kind) -> bool {
    !matches!(kind, Kind::Vxlan | Kind::Geneve | Kind::Bareudp | Kind::Tun | Kind::Tap | Kind::Other)
}
