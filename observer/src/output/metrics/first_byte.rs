//! How long connections take to open and to bring the first byte, by service and network of the other end.

use super::{
    View,
    family::{Kind, Metric, Points},
    tracked::{
        CONNECT_BUCKETS, CONNECT_NS, FAILED, FIRST_BYTE_BUCKETS, FIRST_STAGE, RUN_DELAY_NS, RUN_DELAYS, STAGES,
        SYN_RETRANS, first_byte_histogram, latency_bounds,
    },
};

const LABELS: &[&str] = &["network", "port", "direction"];
const STATE: &str = "tracepoint sock:inet_sock_set_state";
const BYTES: &str = "tracepoints tcp:tcp_probe, tcp:tcp_rcv_space_adjust";

/// A counter; `FIELD` is its place in the tracked counts. One in seconds is counted in nanoseconds.
const fn counter<const FIELD: usize>(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    source: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, unit, labels: LABELS, help, source, read: count::<FIELD> }
}

fn count<const FIELD: usize>(view: &View<'_>, out: &mut Points) {
    let needs_stages = matches!(FIELD, RUN_DELAY_NS | RUN_DELAYS);
    each(view, needs_stages, |labels, counts| {
        let n = counts.get(FIELD).copied();
        if FIELD == RUN_DELAY_NS {
            out.push_known(labels, n.map(|ns| ns as f64 / 1e9));
        } else {
            out.push_known(labels, n);
        }
    });
}

/// Shows each series; those of first bytes only where these are seen.
fn each(view: &View<'_>, needs_stages: bool, mut show: impl FnMut(&[&str], &[u64])) {
    if view.now.tcp.first_bytes.as_ref().is_some_and(|f| f.stages || !needs_stages) {
        view.tracked.first_bytes.0.each(LABELS.len(), |labels, counts| show(labels, counts));
    }
}

fn sum(counts: &[u64], first: usize, n: usize) -> f64 {
    counts.iter().skip(first).take(n).sum::<u64>() as f64 / 1e9
}

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_tcp_connect_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: LABELS,
        help: "Time of handshakes of connections begun here, from the first SYN to the answer, by network of the other end and port of the service",
        source: STATE,
        read: |view, out| {
            each(view, false, |labels, counts| {
                let buckets = latency_bounds().zip(first_byte_histogram(counts, CONNECT_BUCKETS)).collect();
                out.histogram(labels, buckets, sum(counts, CONNECT_NS, 1));
            });
        },
    },
    counter::<FAILED>(
        "observer_tcp_connect_failures_total",
        None,
        "Connections begun here that never came to be, by network of the other end and port of the service",
        STATE,
    ),
    counter::<SYN_RETRANS>(
        "observer_tcp_syn_retransmits_total",
        None,
        "SYNs sent again, by network of the other end and port of the service",
        STATE,
    ),
    Metric {
        name: "observer_tcp_first_byte_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: LABELS,
        help: "Time to the first byte: out from the SYN to the reading of the answer, in from the accepted connection to the answer",
        source: BYTES,
        read: |view, out| {
            each(view, true, |labels, counts| {
                let buckets = latency_bounds().zip(first_byte_histogram(counts, FIRST_BYTE_BUCKETS)).collect();
                out.histogram(labels, buckets, sum(counts, FIRST_STAGE, STAGES.len()));
            });
        },
    },
    Metric {
        name: "observer_tcp_first_byte_stage_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &["network", "port", "direction", "stage"],
        help: "The parts of observer_tcp_first_byte_seconds by stage: handshake, request, path (wire), server, soft interrupt, reading",
        source: BYTES,
        read: |view, out| {
            let softirq = view.now.tcp.first_bytes.as_ref().is_some_and(|f| f.softirq);
            each(view, true, |labels, counts| {
                // The stages that there are: an accepted connection has neither a handshake nor a path.
                let there = |stage: &str| match stage {
                    "softirq" => softirq,
                    "connect" | "wire" => labels.last() != Some(&"in"),
                    _ => true,
                };
                for (i, stage) in STAGES.iter().enumerate().filter(|(_, stage)| there(stage)) {
                    let labels: Vec<_> = labels.iter().copied().chain([*stage]).collect();
                    out.push(&labels, sum(counts, FIRST_STAGE + i, 1));
                }
            });
        },
    },
    counter::<RUN_DELAY_NS>(
        "observer_tcp_first_byte_run_delay_seconds_total",
        Some("seconds"),
        "Time that threads waited for a CPU before they read the first byte of their connections",
        "task_struct.sched_info.run_delay",
    ),
    counter::<RUN_DELAYS>(
        "observer_tcp_first_byte_run_delays_total",
        None,
        "First bytes that observer_tcp_first_byte_run_delay_seconds_total is known of",
        "task_struct.sched_info.run_delay",
    ),
];
