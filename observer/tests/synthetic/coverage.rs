//! What of the hosts is seen, and why the rest is not.

use observer::{
    snapshot::coverage::{Coverage, Loss, Probe, ProbeState, Source},
    source::kernel::probes::{FIRST_BYTE, PROBES},
};

/// Every source that a host has.
const SOURCES: &[&str] = &[
    Source::MEMINFO,
    Source::VMSTAT,
    Source::ZONEINFO,
    Source::BUDDYINFO,
    Source::PAGETYPEINFO,
    Source::NODES,
    Source::SLABINFO,
    Source::SWAPS,
    Source::TMPFS,
    Source::SYSVIPC,
    Source::HUGEPAGES,
    Source::PRESSURE_MEMORY,
    Source::PRESSURE_CPU,
    Source::PRESSURE_IO,
    Source::PROCESSES,
    Source::CGROUPS,
    Source::STAT,
    Source::SOFTNET,
    Source::SOCKSTAT,
    Source::TCP_MEM,
    Source::SNMP,
    Source::NETSTAT,
    Source::LINKS,
    Source::NETWORK,
];

fn probes(state: impl Fn(&str) -> ProbeState) -> Vec<Probe> {
    let probe = |spec: &observer::source::kernel::probes::ProbeSpec| Probe {
        name: spec.name.to_owned(),
        attach: spec.place(),
        feeds: spec.feeds.to_owned(),
        state: match state(spec.name) {
            ProbeState::Absent { reason, remedy, .. } => {
                ProbeState::Absent { reason, remedy, replaced_by: spec.replaced_by.map(str::to_owned) }
            }
            other => other,
        },
        fields_missing: Vec::new(),
        runs: Some(123_456),
        recursion_misses: Some(0),
    };
    PROBES.iter().chain(FIRST_BYTE).map(probe).collect()
}

fn sources(missing: impl Fn(&str) -> Option<String>) -> Vec<Source> {
    let source = |name: &&str| Source { name: (*name).to_owned(), missing: missing(name).map(Into::into) };
    SOURCES.iter().map(source).collect()
}

/// Nearly everything: one probe runs in its second form, one is not there, one lacks a field, and something was lost.
pub(super) fn of_much() -> Coverage {
    let mut probes = probes(|name| match name {
        "oom" => ProbeState::Fallback {
            with: "tracepoint/oom/mark_victim".to_owned(),
            reason: "the arguments of this kernel are not those expected".into(),
        },
        "tcp_resets_sent" => {
            ProbeState::Absent { reason: "BTF names no such tracepoint".into(), replaced_by: None, remedy: None }
        }
        _ => ProbeState::Attached,
    });
    if let Some(probe) = probes.iter_mut().find(|p| p.name == "tcp_sockets") {
        probe.fields_missing.push("tcp_sock.rcv_ooopack".to_owned());
    }
    let losses = vec![
        Loss { what: "oom: events lost".to_owned(), count: 2 },
        Loss { what: "page_alloc: events missed by recursion".to_owned(), count: 0 },
    ];
    Coverage { probes, sources: sources(|_| None), losses, costs: Vec::new() }
}

/// Nothing, and each part says why.
pub(super) fn of_nothing() -> Coverage {
    let probes = probes(|_| ProbeState::Absent {
        reason: "bpf(BPF_PROG_LOAD): Operation not permitted".into(),
        replaced_by: None,
        remedy: Some("setcap cap_bpf,cap_perfmon+ep observer".to_owned()),
    });
    let reason = |name: &str| Some(format!("cannot read {name}: Operation not permitted (os error 1)"));
    Coverage { probes, sources: sources(reason), losses: Vec::new(), costs: Vec::new() }
}
