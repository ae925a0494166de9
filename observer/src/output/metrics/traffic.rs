//! What all TCP connections carried, by process, cgroup, remote network, service and device.

use super::{
    View,
    family::{Kind, Metric, Points},
    tracked::{CGROUP, DEVICE, NETWORK, PROCESS, RECEIVED, SENT, SERVICE},
};

const SOURCE: &str = "BPF iterator iter/tcp, tracepoint tcp:tcp_destroy_sock";

/// A counter by what `KIND` names; `FIELD` is its place in the tracked counts.
const fn bytes<const KIND: usize, const FIELD: usize>(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Some("bytes"), labels, help, source: SOURCE, read: read::<KIND, FIELD> }
}

fn read<const KIND: usize, const FIELD: usize>(view: &View<'_>, out: &mut Points) {
    let Some(series) = view.tracked.traffic.of(KIND).filter(|_| view.now.tcp.traffic.is_some()) else { return };
    series.each(labels(KIND), |labels, counts| out.push_known(labels, counts.get(FIELD).copied()));
}

/// Labels of a kind.
const fn labels(kind: usize) -> usize {
    if matches!(kind, SERVICE | DEVICE) { 2 } else { 1 }
}

pub(super) const METRICS: &[Metric] = &[
    bytes::<PROCESS, SENT>(
        "observer_tcp_process_sent_bytes_total",
        &["comm"],
        "Bytes of all connections that the peers acknowledged, by the process that holds, opened or closed the connection",
    ),
    bytes::<PROCESS, RECEIVED>(
        "observer_tcp_process_received_bytes_total",
        &["comm"],
        "Bytes that all connections received, by process",
    ),
    bytes::<CGROUP, SENT>(
        "observer_tcp_cgroup_sent_bytes_total",
        &["cgroup"],
        "Bytes of all connections that the peers acknowledged, by the memory cgroup of the socket, else of its process",
    ),
    bytes::<CGROUP, RECEIVED>(
        "observer_tcp_cgroup_received_bytes_total",
        &["cgroup"],
        "Bytes that all connections received, by memory cgroup",
    ),
    bytes::<NETWORK, SENT>(
        "observer_tcp_network_sent_bytes_total",
        &["network"],
        "Bytes of all connections that the peers acknowledged, by network of the remote address",
    ),
    bytes::<NETWORK, RECEIVED>(
        "observer_tcp_network_received_bytes_total",
        &["network"],
        "Bytes that all connections received, by network of the remote address",
    ),
    bytes::<SERVICE, SENT>(
        "observer_tcp_service_sent_bytes_total",
        &["port", "direction"],
        "Bytes of all connections that the peers acknowledged, by port of the service and direction: out was begun here, in was accepted",
    ),
    bytes::<SERVICE, RECEIVED>(
        "observer_tcp_service_received_bytes_total",
        &["port", "direction"],
        "Bytes that all connections received, by port of the service and direction",
    ),
    bytes::<DEVICE, SENT>(
        "observer_tcp_device_sent_bytes_total",
        &["netns", "device"],
        "Bytes of all connections that the peers acknowledged, by the device that packets go out by",
    ),
    bytes::<DEVICE, RECEIVED>(
        "observer_tcp_device_received_bytes_total",
        &["netns", "device"],
        "Bytes that all connections received, by the device that packets go out by",
    ),
    Metric {
        name: "observer_tcp_followed_connections",
        kind: Kind::Gauge,
        unit: None,
        labels: &["followed"],
        help: "Open connections that are followed from look to look (yes), and those beyond the limit, which are counted when they end (no)",
        source: SOURCE,
        read: |view, out| {
            if let Some(traffic) = &view.now.tcp.traffic {
                out.push(&["yes"], traffic.followed);
                out.push(&["no"], traffic.not_followed);
            }
        },
    },
    Metric {
        name: "observer_tcp_untold_connections_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "Connections that ended while there was no room to tell of them one by one: their last bytes are in other",
        source: SOURCE,
        read: |view, out| out.push_known(&[], view.now.tcp.traffic.as_ref().map(|t| t.untold)),
    },
];
