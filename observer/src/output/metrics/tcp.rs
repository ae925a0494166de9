//! TCP: life cycle by network namespace, what closed connections carried, and what the open ones wait for.

use super::{
    View,
    family::{Kind, Metric, Points},
    tracked::{
        CLOSED_ACKED, CLOSED_CONNECTIONS, CLOSED_RECEIVED, CLOSED_RETRANS, CLOSED_SEGS, CLOSED_SRTT_NS, SOCKET_BUSY,
        SOCKET_RWND, SOCKET_SNDBUF,
    },
};
use crate::{
    diagnose::flow::Limit,
    snapshot::tcp::{NamespaceCounts, Sockets, State},
};

const STATE: &str = "tracepoint sock:inet_sock_set_state";
const CLOSED: &str = "tracepoint tcp:tcp_destroy_sock";
const ITER: &str = "BPF iterator iter/tcp in every network namespace";

/// What is counted by network namespace, in the order of the tracked counts.
pub(super) const NAMESPACE_FIELDS: [fn(&NamespaceCounts) -> Option<u64>; 9] = [
    |n| Some(n.active_opens),
    |n| Some(n.passive_opens),
    |n| n.attempt_fails,
    |n| n.estab_resets,
    |n| Some(n.established),
    |n| Some(n.closed),
    |n| n.retrans_segs,
    |n| n.resets_sent,
    |n| n.resets_received,
];

/// A counter by network namespace; `FIELD` is its place in [`NAMESPACE_FIELDS`].
const fn namespace<const FIELD: usize>(name: &'static str, help: &'static str, source: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: None, labels: &["netns"], help, source, read: by_namespace::<FIELD> }
}

fn by_namespace<const FIELD: usize>(view: &View<'_>, out: &mut Points) {
    let (Some(namespaces), Some(field)) = (&view.now.tcp.namespaces, NAMESPACE_FIELDS.get(FIELD)) else { return };
    // What this kernel does not tell is told of no namespace.
    if namespaces.iter().any(|n| field(n).is_some()) {
        view.tracked.namespaces.each(1, |netns, counts| out.push_known(netns, counts.get(FIELD).copied()));
    }
}

/// A counter of closed connections by port; `FIELD` is its place in the tracked counts.
const fn closed<const FIELD: usize>(name: &'static str, unit: Option<&'static str>, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        unit,
        labels: &["port", "direction"],
        help,
        source: CLOSED,
        read: by_port::<FIELD>,
    }
}

fn by_port<const FIELD: usize>(view: &View<'_>, out: &mut Points) {
    if view.now.tcp.closed.is_none() {
        return;
    }
    view.tracked.closed.each(2, |labels, counts| {
        let n = counts.get(FIELD).copied();
        if FIELD == CLOSED_SRTT_NS {
            out.push_known(labels, n.map(|ns| ns as f64 / 1e9));
        } else {
            out.push_known(labels, n);
        }
    });
}

pub(super) const METRICS: &[Metric] = &[
    namespace::<0>(
        "observer_tcp_active_opens_total",
        "Connections begun in the network namespace, which its inode names",
        STATE,
    ),
    namespace::<1>("observer_tcp_passive_opens_total", "Connections accepted in the network namespace", STATE),
    namespace::<2>(
        "observer_tcp_attempt_fails_total",
        "Connections of the network namespace that never came to be",
        STATE,
    ),
    namespace::<3>(
        "observer_tcp_established_resets_total",
        "Established connections of the network namespace that ended by a reset",
        STATE,
    ),
    namespace::<4>(
        "observer_tcp_established_total",
        "Connections of the network namespace that became established",
        STATE,
    ),
    namespace::<5>(
        "observer_tcp_closed_total",
        "Connections of the network namespace that were established and have closed",
        STATE,
    ),
    namespace::<6>(
        "observer_tcp_retransmitted_segments_total",
        "Segments that the network namespace sent again",
        "tracepoints tcp:tcp_retransmit_skb, tcp:tcp_retransmit_synack",
    ),
    namespace::<7>(
        "observer_tcp_resets_sent_total",
        "Resets that the network namespace sent",
        "tracepoint tcp:tcp_send_reset",
    ),
    namespace::<8>(
        "observer_tcp_resets_received_total",
        "Resets that the network namespace received",
        "tracepoint tcp:tcp_receive_reset",
    ),
    closed::<CLOSED_CONNECTIONS>(
        "observer_tcp_closed_connections_total",
        None,
        "Closed connections by port of the service and direction: out was begun here, in was accepted",
    ),
    closed::<CLOSED_ACKED>(
        "observer_tcp_closed_sent_bytes_total",
        Some("bytes"),
        "Bytes that the peers of closed connections had acknowledged",
    ),
    closed::<CLOSED_RECEIVED>(
        "observer_tcp_closed_received_bytes_total",
        Some("bytes"),
        "Bytes that closed connections had received",
    ),
    closed::<CLOSED_SEGS>(
        "observer_tcp_closed_sent_segments_total",
        None,
        "Segments that closed connections had sent, those sent again included",
    ),
    closed::<CLOSED_RETRANS>(
        "observer_tcp_closed_retransmitted_segments_total",
        None,
        "Segments that closed connections had sent again",
    ),
    closed::<CLOSED_SRTT_NS>(
        "observer_tcp_closed_srtt_seconds_total",
        Some("seconds"),
        "Smoothed round-trip times of closed connections at their end, summed: divide by closed connections for the mean",
    ),
    Metric {
        name: "observer_tcp_open_sockets",
        kind: Kind::Gauge,
        unit: None,
        labels: &["state"],
        help: "Open TCP sockets of all network namespaces by state; unlisted are those beyond the limit of a snapshot",
        source: ITER,
        read: |view, out| {
            let Some(sockets) = &view.now.tcp.sockets else { return };
            for (state, word) in STATES {
                out.push(&[word], sockets.list.iter().filter(|s| s.state == *state).count() as u64);
            }
            out.push(&["listen"], sockets.listening);
            out.push(&["unlisted"], sockets.other.sockets);
        },
    },
    Metric {
        name: "observer_tcp_limited_connections",
        kind: Kind::Gauge,
        unit: None,
        labels: &["limit"],
        help: "Open connections by what keeps them from being faster, over the last ten seconds",
        source: ITER,
        read: |view, out| {
            if view.now.tcp.sockets.is_none() {
                return;
            }
            for limit in Limit::ALL {
                let count = view.diagnosis.flows.iter().filter(|verdict| verdict.limit == *limit).count();
                out.push(&[limit.label()], count as u64);
            }
        },
    },
    Metric {
        name: "observer_tcp_open_unsent_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &[],
        help: "Bytes that processes have written to open connections and that are not sent yet",
        source: ITER,
        read: |view, out| {
            let unsent = |s: &Sockets| s.list.iter().filter_map(|s| s.info.notsent_bytes).reduce(|a, b| a + b);
            // With no socket there is nothing unsent; with sockets that do not tell, nothing is known.
            let sockets = view.now.tcp.sockets.as_ref();
            out.push_known(&[], sockets.and_then(|s| if s.list.is_empty() { Some(0) } else { unsent(s) }));
        },
    },
    Metric {
        name: "observer_tcp_send_busy_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &[],
        help: "Time in which open connections had data to send, summed over connections, at least: what a connection adds after the last look at it is not seen",
        source: ITER,
        read: |view, out| {
            out.push_known(&[], view.tracked.sockets.get(SOCKET_BUSY).map(|ns| ns as f64 / 1e9));
        },
    },
    Metric {
        name: "observer_tcp_send_limited_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &["by"],
        help: "The part of observer_tcp_send_busy_seconds_total in which the receive window of the peer (rwnd) or the send buffer (sndbuf) was the limit",
        source: ITER,
        read: |view, out| {
            for (field, by) in [(SOCKET_RWND, "rwnd"), (SOCKET_SNDBUF, "sndbuf")] {
                out.push_known(&[by], view.tracked.sockets.get(field).map(|ns| ns as f64 / 1e9));
            }
        },
    },
    Metric {
        name: "observer_tcp_namespaces",
        kind: Kind::Gauge,
        unit: None,
        labels: &["read"],
        help: "Network namespaces whose sockets were read (yes) and that could not be entered (no)",
        source: ITER,
        read: |view, out| {
            if let Some(sockets) = &view.now.tcp.sockets {
                out.push(&["yes"], sockets.namespaces);
                out.push(&["no"], sockets.namespaces_not_read);
            }
        },
    },
];

/// States and the words that node_exporter has for them; listening sockets are counted apart.
const STATES: &[(State, &str)] = &[
    (State::Established, "established"),
    (State::SynSent, "syn_sent"),
    (State::SynRecv, "syn_recv"),
    (State::NewSynRecv, "new_syn_recv"),
    (State::FinWait1, "fin_wait1"),
    (State::FinWait2, "fin_wait2"),
    (State::TimeWait, "time_wait"),
    (State::Close, "close"),
    (State::CloseWait, "close_wait"),
    (State::LastAck, "last_ack"),
    (State::Closing, "closing"),
];
