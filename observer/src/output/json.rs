//! The report as one JSON document.
//!
//! The keys are the names of the model's fields: snake_case, base units, ratios 0 to 1, times in seconds unless the key ends in
//! `_ns`. A part that could not be seen is `null`, and `coverage` says why; a part that was not asked for is left out.

use serde::Serialize;

use super::{
    oom::{kills::Kills, known::Known},
    report::{Report, Section},
};
use crate::{
    diagnose::{Configured, Diagnosis, Finding, Undecided, oom::Explanation},
    model::{Model, interval::Interval},
    snapshot::{
        Host, Stamp,
        coverage::{Loss, Probe, Source},
        oom::OomTask,
    },
};

/// Version of the document: it grows when a key changes its meaning or goes away, not when one is added.
pub const VERSION: u32 = 1;

/// A part of the model: outer `None` if it was not asked for, inner `None` (`null`) if it was not seen.
type Part<'a, T> = Option<&'a T>;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    observer_version: &'static str,
    section: &'static str,
    taken_at: String,
    stamp: Stamp,
    host: &'a Host,
    interval: Option<Interval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configured: Option<&'a Configured>,
    findings: &'a [Finding],
    undecided: &'a [Undecided],
    #[serde(flatten)]
    parts: Parts<'a>,
    coverage: Coverage<'a>,
}

#[derive(Serialize)]
struct Parts<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Part<'a, crate::model::memory::Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pressure: Part<'a, Option<crate::snapshot::pressure::Pressure>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroups: Part<'a, Option<Vec<crate::model::cgroup::Cgroup>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_summary: Part<'a, Option<crate::model::cgroup::Summary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Part<'a, Option<crate::snapshot::process::Processes>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    major_faults: Part<'a, Option<Vec<crate::model::process::MajorFaults>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_alloc: Part<'a, Option<crate::model::page_alloc::PageAlloc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reclaim: Part<'a, Option<crate::model::reclaim::Reclaim>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kswapd: Part<'a, Option<crate::model::kswapd::Kswapd>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compaction: Part<'a, Option<Vec<crate::model::compaction::Compaction>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extfrag: Part<'a, Option<crate::model::compaction::Extfrag>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shrinkers: Part<'a, Option<Vec<crate::model::shrinker::Shrinker>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Part<'a, Option<Vec<crate::model::retry::Retry>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evictions: Part<'a, Option<Vec<crate::model::eviction::Eviction>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom: Part<'a, Option<crate::model::oom::Oom>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_watch: Part<'a, Option<crate::snapshot::oom_watch::OomWatch>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_kills: Option<Vec<KnownKill>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Part<'a, Option<crate::model::cpu::Cpus>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drops: Part<'a, Option<crate::model::drops::Drops>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buffers: Part<'a, Option<crate::model::buffers::Buffers>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Part<'a, crate::model::tcp::Tcp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flows: Part<'a, Vec<crate::diagnose::flow::Verdict>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Part<'a, Option<Vec<crate::model::link::Link>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnels: Part<'a, Option<crate::model::tunnel::Tunnels>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel_verdicts: Part<'a, Vec<crate::diagnose::tunnel::Verdict>>,
}

#[derive(Serialize)]
struct Coverage<'a> {
    full: bool,
    probes: &'a [Probe],
    sources: &'a [Source],
    losses: &'a [Loss],
}

impl<'a> Parts<'a> {
    fn of(model: &'a Model, diagnosis: &'a Diagnosis, asked: Option<Section>) -> Self {
        fn part<T>(value: &T, asked: bool) -> Option<&T> {
            asked.then_some(value)
        }
        let any_of = |sections: &[Section]| asked.is_none_or(|s| sections.contains(&s));
        let memory = any_of(&[Section::Memory]);
        let memory_or_oom = any_of(&[Section::Memory, Section::Oom]);
        Self {
            memory: part(&model.memory, memory_or_oom),
            pressure: part(&model.pressure, memory),
            cgroups: part(&model.cgroups, memory_or_oom),
            cgroup_summary: part(&model.cgroup_summary, memory_or_oom),
            processes: part(&model.processes, memory_or_oom),
            major_faults: part(&model.major_faults, memory),
            page_alloc: part(&model.page_alloc, memory),
            reclaim: part(&model.reclaim, memory),
            kswapd: part(&model.kswapd, memory),
            compaction: part(&model.compaction, memory),
            extfrag: part(&model.extfrag, memory),
            shrinkers: part(&model.shrinkers, memory),
            retries: part(&model.retries, memory_or_oom),
            evictions: part(&model.evictions, memory),
            oom: part(&model.oom, any_of(&[Section::Oom])),
            oom_watch: part(&model.oom_watch, any_of(&[Section::Oom])),
            oom_kills: any_of(&[Section::Oom]).then(|| kills(model)),
            cpus: part(&model.cpus, any_of(&[Section::Tcp, Section::Tunnels])),
            drops: part(&model.drops, any_of(&[Section::Tcp, Section::Tunnels])),
            buffers: part(&model.buffers, any_of(&[Section::Tcp])),
            tcp: part(&model.tcp, any_of(&[Section::Tcp])),
            flows: part(&diagnosis.flows, any_of(&[Section::Tcp])),
            links: part(&model.links, any_of(&[Section::Tcp, Section::Tunnels])),
            tunnels: part(&model.tunnels, any_of(&[Section::Tunnels])),
            tunnel_verdicts: part(&diagnosis.tunnels, any_of(&[Section::Tunnels])),
        }
    }
}

/// A kill with what is concluded of it. The event is in `oom`, the report in `oom_watch`.
#[derive(Serialize)]
struct KnownKill {
    monotonic_ns: u64,
    /// Its number in `oom`; `None` of a kill that only the kernel's log tells.
    sequence: Option<u64>,
    /// Who tells of it: `event`, `log` or `both`.
    told_by: &'static str,
    victim: OomTask,
    /// What is concluded from the kernel's report, if that was read: whose limit it was, and at which level.
    explanation: Option<Explanation>,
}

fn kills(model: &Model) -> Vec<KnownKill> {
    let mut kills = Kills::default();
    kills.add(std::slice::from_ref(model));
    let known = |k: &Known| KnownKill {
        monotonic_ns: k.key.monotonic_ns,
        sequence: k.event.as_ref().map(|e| e.sequence),
        told_by: k.source(),
        victim: k.victim(),
        explanation: k.account.as_ref().map(|a| a.explanation.clone()),
    };
    kills.newest_first().map(known).collect()
}

/// The document, on one line, or indented for a person.
pub fn document(report: &Report<'_>, indented: bool) -> serde_json::Result<String> {
    let Report { model, diagnosis, section } = *report;
    let coverage = &model.coverage;
    let document = Document {
        version: VERSION,
        observer_version: env!("CARGO_PKG_VERSION"),
        section: section.map_or("all", Section::name),
        taken_at: super::report::utc(model.stamp),
        stamp: model.stamp,
        host: &model.host,
        interval: model.interval,
        configured: Some(&diagnosis.configured).filter(|c| c.file.is_some() || !c.changed.is_empty()),
        findings: &diagnosis.findings,
        undecided: &diagnosis.undecided,
        parts: Parts::of(model, diagnosis, section),
        coverage: Coverage {
            full: coverage.is_full(),
            probes: &coverage.probes,
            sources: &coverage.sources,
            losses: &coverage.losses,
        },
    };
    if indented { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }
}
