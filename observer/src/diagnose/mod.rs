//! What is wrong and why: rules over models. Pure: no I/O, no clock.
//!
//! A rule sees a window of models, newest last, and answers with a finding, with silence, or with the data that it
//! lacks. Adding one is a file here and a row in [`RULES`].

mod allocators;
mod cache_eviction;
mod cgroup_at_limit;
mod common;
mod dirty_throttling;
mod failed_allocations;
pub mod flow;
mod flow_limits;
mod fragmentation;
mod growth;
mod kswapd_hot;
mod listen_overflow;
mod numa_imbalance;
pub mod oom;
mod oom_disagreement;
mod packet_drops;
mod page_table_growth;
mod reclaim_stalls;
mod retransmissions;
mod slab_growth;
mod slow_first_byte;
mod swap_thrash;
mod tcp_memory_pressure;
#[cfg(test)]
mod testing;
pub mod thresholds;
mod tmpfs_growth;
mod trapped_memory;
pub mod tunnel;
mod unexplained_memory;
mod watermark_boost;
mod zombie_cgroups;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use thresholds::{Configured, Thresholds};

use crate::{
    model::{Model, tcp::Connection, tunnel::Tunnel},
    snapshot::Name,
};

/// Every rule, in the order in which findings of equal severity are shown.
pub const RULES: &[Rule] = &[
    reclaim_stalls::RULE,
    cgroup_at_limit::RULE,
    kswapd_hot::RULE,
    cache_eviction::RULE,
    swap_thrash::RULE,
    dirty_throttling::RULE,
    failed_allocations::RULE,
    fragmentation::RULE,
    trapped_memory::RULE,
    watermark_boost::RULE,
    numa_imbalance::RULE,
    tmpfs_growth::RULE,
    slab_growth::RULE,
    page_table_growth::RULE,
    unexplained_memory::RULE,
    zombie_cgroups::RULE,
    oom_disagreement::RULE,
    retransmissions::RULE,
    flow_limits::RULE,
    listen_overflow::RULE,
    packet_drops::RULE,
    tcp_memory_pressure::RULE,
    slow_first_byte::RULE,
    tunnel::black_hole::RULE,
    tunnel::fragments::RULE,
    tunnel::drops::RULE,
    tunnel::rps_off::RULE,
    tunnel::one_core::RULE,
    tunnel::offload::RULE,
    tunnel::mtu::RULE,
];

/// A rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name, as findings, metrics and documentation use it.
    pub name: &'static str,
    /// What it looks for, in one sentence.
    pub about: &'static str,
    /// Looks at a window of models, newest last, never empty.
    pub check: fn(&Window<'_>) -> Outcome,
}

/// The models that a rule sees, newest last.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    newest: &'a Model,
    all: &'a [Model],
    thresholds: &'a Thresholds,
    /// What limits each connection, where that is known already.
    flows: Option<&'a [flow::Verdict]>,
}

impl<'a> Window<'a> {
    /// A window that is judged by the default thresholds; `None` if there is no model.
    pub fn new(models: &'a [Model]) -> Option<Self> {
        Self::by(models, &thresholds::DEFAULTS)
    }

    /// A window; `None` if there is no model.
    pub fn by(models: &'a [Model], thresholds: &'a Thresholds) -> Option<Self> {
        models.last().map(|newest| Self { newest, all: models, thresholds, flows: None })
    }

    /// What limits each connection of the newest model, in its order.
    pub fn flows(&self) -> Cow<'a, [flow::Verdict]> {
        self.flows.map_or_else(|| flow::verdicts(self).into(), Cow::Borrowed)
    }

    /// The thresholds that it is judged by.
    pub fn thresholds(&self) -> &'a Thresholds {
        self.thresholds
    }

    /// The newest model.
    pub fn newest(&self) -> &'a Model {
        self.newest
    }

    /// All models, oldest first.
    pub fn all(&self) -> &'a [Model] {
        self.all
    }

    /// The newest models that together span at least `seconds`, or all there are, and what they span. At least one.
    pub fn last(&self, seconds: f64) -> (&'a [Model], f64) {
        let mut span = 0.0;
        let mut from = self.all.len();
        for (i, model) in self.all.iter().enumerate().rev() {
            from = i;
            span += model.interval.map_or(0.0, |i| i.seconds);
            if span >= seconds {
                break;
            }
        }
        (self.all.get(from..).unwrap_or_default(), span)
    }
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nothing is wrong.
    Quiet,
    /// Something is.
    Fires(Finding),
    /// It cannot tell.
    NoData {
        /// The data that it lacks.
        lacks: String,
        /// Why the data is missing, where coverage says so.
        reason: Option<Name>,
    },
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Work is slowed down.
    Warning,
    /// Work stands still or is lost.
    Critical,
}

/// A verdict with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Name of the rule.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and who is to blame, in one sentence.
    pub verdict: String,
    /// The numbers behind it.
    pub evidence: Vec<Evidence>,
    /// What to do next.
    pub advice: Vec<String>,
}

/// A number and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What it is.
    pub what: String,
    /// The number with its unit.
    pub value: String,
    /// File, tracepoint or netlink message.
    pub source: String,
}

impl Evidence {
    /// A piece of evidence.
    pub fn new(what: impl Into<String>, value: impl Into<String>, source: impl Into<String>) -> Self {
        Self { what: what.into(), value: value.into(), source: source.into() }
    }
}

/// What all rules say.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Diagnosis {
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// Rules that could not tell.
    pub undecided: Vec<Undecided>,
    /// What limits each open connection, in the order of the model's list.
    pub flows: Vec<flow::Verdict>,
    /// What limits each tunnel, in the order of the model's list.
    pub tunnels: Vec<tunnel::Verdict>,
    /// The thresholds that it rests on, where they are not the default ones.
    pub configured: Configured,
}

impl Diagnosis {
    /// What limits the connection at that place of the model's list.
    pub fn flow(&self, place: usize, connection: &Connection) -> Option<&flow::Verdict> {
        self.flows.get(place).filter(|verdict| verdict.is_of(connection))
    }

    /// What limits a tunnel of the model.
    pub fn tunnel(&self, tunnel: &Tunnel) -> Option<&tunnel::Verdict> {
        self.tunnels.iter().find(|verdict| verdict.is_of(tunnel))
    }
}

/// A rule that lacks data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undecided {
    /// Name of the rule.
    pub rule: &'static str,
    /// The data that it lacks.
    pub lacks: String,
    /// Why the data is missing, where coverage says so.
    pub reason: Option<Name>,
}

/// Runs every rule over the models, newest last.
pub fn diagnose(models: &[Model], thresholds: &Thresholds) -> Diagnosis {
    let mut diagnosis = Diagnosis { configured: Configured::new(thresholds), ..Diagnosis::default() };
    let Some(window) = Window::by(models, thresholds) else { return diagnosis };
    diagnosis.flows = flow::verdicts(&window);
    let window = Window { flows: Some(&diagnosis.flows), ..window };
    for rule in RULES {
        match (rule.check)(&window) {
            Outcome::Quiet => {}
            Outcome::Fires(finding) => diagnosis.findings.push(finding),
            Outcome::NoData { lacks, reason } => {
                diagnosis.undecided.push(Undecided { rule: rule.name, lacks, reason });
            }
        }
    }
    diagnosis.tunnels = tunnel::verdicts(&window);
    diagnosis.findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    diagnosis
}
