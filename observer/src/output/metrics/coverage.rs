//! What is seen, what is not, and what was lost.

use super::{
    View,
    family::{Kind, Metric},
};
use crate::snapshot::coverage::{Probe, ProbeState};

const SOURCE: &str = "observer's own record of its probes and sources";

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_probe_attached",
        kind: Kind::Gauge,
        unit: None,
        labels: &["probe", "attach"],
        help: "1 if the kernel probe is attached, in its first form or as a fallback; 0 if it is not, and the page at / says why",
        source: SOURCE,
        read: |view, out| {
            probes(view, |labels, p| out.push(labels, !matches!(p.state, ProbeState::Absent { .. })));
        },
    },
    Metric {
        name: "observer_probe_fallback",
        kind: Kind::Gauge,
        unit: None,
        labels: &["probe", "attach"],
        help: "1 if the kernel probe is attached in a second form, at a higher cost or with less detail",
        source: SOURCE,
        read: |view, out| {
            probes(view, |labels, p| out.push(labels, matches!(p.state, ProbeState::Fallback { .. })));
        },
    },
    Metric {
        name: "observer_probe_missing_fields",
        kind: Kind::Gauge,
        unit: None,
        labels: &["probe", "attach"],
        help: "Kernel structure fields that the probe wants and the running kernel does not have",
        source: "BTF of the running kernel",
        read: |view, out| probes(view, |labels, p| out.push(labels, p.fields_missing.len() as u64)),
    },
    Metric {
        name: "observer_probe_runs_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["probe", "attach"],
        help: "Runs of the kernel probe; the kernel counts them only while kernel.bpf_stats_enabled is 1",
        source: "bpf(2) BPF_OBJ_GET_INFO_BY_FD run_cnt",
        read: |view, out| probes(view, |labels, p| out.push_known(labels, p.runs)),
    },
    Metric {
        name: "observer_probe_recursion_misses_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["probe", "attach"],
        help: "Runs of the kernel probe that the kernel skipped because it already ran on that CPU",
        source: "bpf(2) BPF_OBJ_GET_INFO_BY_FD recursion_misses",
        read: |view, out| probes(view, |labels, p| out.push_known(labels, p.recursion_misses)),
    },
    Metric {
        name: "observer_source_readable",
        kind: Kind::Gauge,
        unit: None,
        labels: &["source"],
        help: "1 if the file, hierarchy or netlink family could be read; 0 if not, and the page at / says why",
        source: SOURCE,
        read: |view, out| {
            view.now.coverage.sources.iter().for_each(|s| out.push(&[&s.name], s.missing.is_none()));
        },
    },
    Metric {
        name: "observer_source_cpu_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &["source"],
        help: "CPU time of observer in reading the source, user and system; the rest of observer_cpu_seconds_total goes into models, rules and answers",
        source: "CLOCK_THREAD_CPUTIME_ID",
        read: |view, out| {
            view.now.coverage.costs.iter().for_each(|c| out.push(&[&c.source], c.cpu_ns as f64 / 1e9));
        },
    },
    Metric {
        name: "observer_lost_events_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["what"],
        help: "What was seen and could not be kept, since the probes were attached",
        source: SOURCE,
        read: |view, out| {
            view.now.coverage.losses.iter().for_each(|l| out.push(&[&l.what], l.count));
        },
    },
];

fn probes(view: &View<'_>, mut show: impl FnMut(&[&str], &Probe)) {
    view.now.coverage.probes.iter().for_each(|p| show(&[&p.name, &p.attach], p));
}
