//! What the host does with packets and connections: listening sockets, dropped packets, CPUs, memory of TCP.

use std::collections::BTreeMap;

use super::{
    View,
    family::{Kind, Metric, Points},
    tracked::{IRQ_NS, SOFTIRQ_NS, SOFTNET_DROPPED, SOFTNET_PACKETS, STEAL_NS, TIME_SQUEEZE},
};

const ITER: &str = "BPF iterator iter/tcp in every network namespace";
const LISTENER: &[&str] = &["netns", "address"];
const SOCKSTAT: &str = "/proc/net/sockstat";
const SOFTNET: &str = "/proc/net/softnet_stat";

/// A gauge of listening sockets: what waits (0) or may wait (1).
const fn queue<const FIELD: usize>(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: None, labels: LISTENER, help, source: ITER, read: queues::<FIELD> }
}

fn queues<const FIELD: usize>(view: &View<'_>, out: &mut Points) {
    let Some(listeners) = &view.now.tcp.listeners else { return };
    for (labels, counts) in view.tracked.network.queues(listeners) {
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        out.push_known(&labels, counts.get(FIELD).copied().flatten());
    }
}

/// A counter by CPU of packets; `FIELD` is its place in the tracked counts.
const fn softnet<const FIELD: usize>(name: &'static str, help: &'static str) -> Metric {
    let (kind, labels) = (Kind::Counter, &["cpu"]);
    Metric { name, kind, unit: None, labels, help, source: SOFTNET, read: packets::<FIELD> }
}

fn packets<const FIELD: usize>(view: &View<'_>, out: &mut Points) {
    let known = view.now.cpus.as_ref().is_some_and(|c| c.list.iter().any(|cpu| cpu.softnet.is_some()));
    if known {
        view.tracked.network.cpus.each(1, |labels, counts| out.push_known(labels, counts.get(FIELD).copied()));
    }
}

/// Network namespaces whose names are told at most.
const MOST_NAMED: usize = 256;

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_network_namespace_info",
        kind: Kind::Info,
        unit: None,
        labels: &["netns", "name"],
        help: "Name of a network namespace, for joins with what names it by its inode; of several names the first; 256 namespaces at most",
        source: "/proc/PID/mountinfo",
        read: |view, out| {
            let all = view.now.network.iter().flat_map(|n| n.namespaces.iter().chain(&n.waiting));
            // In an order of their own: which of them are read, and when, changes.
            let named: BTreeMap<_, _> = all.filter_map(|n| Some((n.netns, n.names.first()?))).collect();
            for (netns, name) in named.into_iter().take(MOST_NAMED) {
                out.push(&[&netns.to_string(), name.as_str()], 1);
            }
        },
    },
    queue::<0>(
        "observer_tcp_listen_queue",
        "Connections that wait to be accepted, by address; addresses that refused or that most wait for",
    ),
    queue::<1>(
        "observer_tcp_listen_queue_limit",
        "Connections that may wait to be accepted; the queue is full when more than so many wait",
    ),
    Metric {
        name: "observer_tcp_listen_drops_total",
        kind: Kind::Counter,
        unit: None,
        labels: LISTENER,
        help: "Connections that a listening socket refused, for a full queue or another reason, since it was first looked at",
        source: ITER,
        read: |view, out| {
            if view.now.tcp.listeners.is_some() {
                let listeners = &view.tracked.network.listeners;
                listeners.each(LISTENER.len(), |labels, [refused]| out.push(labels, *refused));
            }
        },
    },
    Metric {
        name: "observer_dropped_packets_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["reason", "function"],
        help: "Packets that the kernel dropped, by reason and by the function that dropped them; other holds messages between processes, too, where its map was full",
        source: "tracepoint skb:kfree_skb",
        read: |view, out| {
            if view.now.drops.is_some() {
                view.tracked.network.drops.each(2, |labels, [packets]| out.push(labels, *packets));
            }
        },
    },
    Metric {
        name: "observer_socket_buffer_full_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["room", "protocol", "port", "netns"],
        help: "Times that a socket had no room: packets that its receive buffer could not take, or memory of the protocol or cgroup that was refused; port is the smaller of its two",
        source: "tracepoints sock:sock_rcvqueue_full, udp:udp_fail_queue_rcv_skb, sock:sock_exceed_buf_limit",
        read: |view, out| {
            if view.now.buffers.is_some() {
                view.tracked.network.buffers.each(4, |labels, [events]| out.push(labels, *events));
            }
        },
    },
    Metric {
        name: "observer_host_cpu_seconds_total",
        kind: Kind::Counter,
        unit: Some("seconds"),
        labels: &["cpu", "mode"],
        help: "Time of a CPU in soft interrupts (softirq) and interrupts (irq), and that the hypervisor gave to others (steal); the CPUs with most of it",
        source: "/proc/stat",
        read: |view, out| {
            if view.now.cpus.is_none() {
                return;
            }
            view.tracked.network.cpus.each(1, |labels, counts| {
                for (mode, field) in [("softirq", SOFTIRQ_NS), ("irq", IRQ_NS), ("steal", STEAL_NS)] {
                    let labels: Vec<_> = labels.iter().copied().chain([mode]).collect();
                    out.push_known(&labels, counts.get(field).map(|ns| *ns as f64 / 1e9));
                }
            });
        },
    },
    softnet::<SOFTNET_PACKETS>(
        "observer_softnet_packets_total",
        "Packets that the CPU took from devices and its backlog, over all network namespaces",
    ),
    softnet::<SOFTNET_DROPPED>(
        "observer_softnet_dropped_packets_total",
        "Packets dropped because the backlog of the CPU was full or a flow had its share of it",
    ),
    softnet::<TIME_SQUEEZE>(
        "observer_softnet_time_squeezes_total",
        "Times that the CPU stopped taking packets with more of them left: its budget or its time was used up",
    ),
    Metric {
        name: "observer_tcp_memory_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["what"],
        help: "Memory of the buffers of all TCP sockets (used), where pressure ends (low) and begins (pressure), and what is never passed (max)",
        source: "/proc/net/sockstat, /proc/sys/net/ipv4/tcp_mem",
        read: |view, out| {
            if let Some(m) = &view.now.tcp.memory {
                for (what, bytes) in [("used", m.used), ("low", m.low), ("pressure", m.pressure), ("max", m.max)] {
                    out.push_known(&[what], bytes);
                }
            }
        },
    },
    Metric {
        name: "observer_tcp_orphans",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "TCP sockets that no process holds and that are still sending, in the network namespace of observer",
        source: SOCKSTAT,
        read: |view, out| out.push_known(&[], view.now.tcp.memory.and_then(|m| m.orphans)),
    },
    Metric {
        name: "observer_tcp_allocated_sockets",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "TCP sockets of the host that hold memory",
        source: SOCKSTAT,
        read: |view, out| out.push_known(&[], view.now.tcp.memory.and_then(|m| m.allocated)),
    },
];
