//! Tunnels: what they carry, what they add, where they lose packets, and what limits them.

use std::collections::{BTreeMap, HashSet};

use super::{
    View,
    family::{Kind, Metric, Points},
    tracked::{
        LATENCY_FIRST_BUCKET, LATENCY_NS, MADE, REASSEMBLED, RX_BYTES, RX_PACKETS, TX_BYTES, TX_PACKETS, latency_bounds,
    },
};
use crate::{
    diagnose::tunnel::Limit,
    model::tunnel::{Peer, Tunnel},
};

const TUNNEL: &[&str] = &["netns", "tunnel"];
const LINK: &str = "rtnetlink IFLA_STATS64; the peers or security associations of tunnels without an interface";
const ROUTE: &str = "rtnetlink RTM_GETROUTE, the formats of the headers";
const SAMPLES: &str = "tracepoint net:net_dev_start_xmit";
const JUDGED: &str = "the rules of observer, over the last minute";

/// A counter of traffic by tunnel; `FIELD` is its place in the tracked counts.
const fn traffic<const FIELD: usize>(name: &'static str, unit: Option<&'static str>, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit, labels: TUNNEL, help, source: LINK, read: carried::<FIELD> }
}

fn carried<const FIELD: usize>(view: &View<'_>, out: &mut Points) {
    if view.model.tunnels.is_some() {
        let tunnels = &view.tracked.tunnels;
        tunnels.traffic.each(TUNNEL.len(), |labels, counts| {
            if matches!(FIELD, RX_BYTES | TX_BYTES) || tunnels.counts_packets(labels) {
                out.push_known(labels, counts.get(FIELD).copied());
            }
        });
    }
}

/// A counter by namespace of outer packets; `FIELD` is its place in the tracked counts.
const fn fragments<const FIELD: usize>(name: &'static str, help: &'static str) -> Metric {
    let (kind, labels, source) = (Kind::Counter, &["netns"], "/proc/net/snmp, /proc/net/snmp6");
    Metric { name, kind, unit: None, labels, help, source, read: fragmented::<FIELD> }
}

fn fragmented<const FIELD: usize>(view: &View<'_>, out: &mut Points) {
    if view.model.tunnels.is_some() {
        let fragments = &view.tracked.tunnels.fragments;
        fragments.each(1, |labels, counts| out.push_known(labels, counts.get(FIELD).copied()));
    }
}

/// Shows each tunnel that has a name here.
fn each(view: &View<'_>, mut show: impl FnMut(&[&str], &Tunnel)) {
    for (label, tunnel) in view.tracked.tunnels.named(view.model) {
        show(&label.iter().map(String::as_str).collect::<Vec<_>>(), tunnel);
    }
}

/// The same with one label more.
fn with<'a>(labels: &[&'a str], more: &'a str) -> Vec<&'a str> {
    labels.iter().copied().chain([more]).collect()
}

/// What names a peer: its key or SPI, else its address.
fn peer(peer: &Peer) -> String {
    match (peer.now.id.is_empty(), peer.now.address) {
        (true, Some(address)) => address.to_string(),
        _ => peer.now.id.to_string(),
    }
}

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_tunnels",
        kind: Kind::Gauge,
        unit: None,
        labels: &["kind"],
        help: "Tunnels of all network namespaces that were read, by kind",
        source: "rtnetlink IFLA_INFO_KIND, XFRM_MSG_GETPOLICY",
        read: |view, out| {
            let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
            let tunnels = view.model.tunnels.iter().flat_map(|t| &t.list);
            tunnels.for_each(|t| *kinds.entry(t.kind_name()).or_default() += 1);
            kinds.iter().for_each(|(kind, n)| out.push(&[kind], *n));
        },
    },
    traffic::<RX_BYTES>(
        "observer_tunnel_received_bytes_total",
        Some("bytes"),
        "Bytes that came out of the tunnel, without what it adds, since it was first looked at",
    ),
    traffic::<TX_BYTES>(
        "observer_tunnel_sent_bytes_total",
        Some("bytes"),
        "Bytes that went into the tunnel, without what it adds, since it was first looked at",
    ),
    traffic::<RX_PACKETS>(
        "observer_tunnel_received_packets_total",
        None,
        "Packets that came out of the interface of the tunnel",
    ),
    traffic::<TX_PACKETS>(
        "observer_tunnel_sent_packets_total",
        None,
        "Packets that went into the interface of the tunnel; one that is cut into segments later is one",
    ),
    Metric {
        name: "observer_tunnel_dropped_packets_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["netns", "tunnel", "stage"],
        help: "Packets lost on the way of the tunnel, by place; backlog, xfrm and reassembly are counted for several tunnels together",
        source: "rtnetlink IFLA_STATS64 and TCA_STATS2, /proc/net/{softnet_stat,snmp,xfrm_stat}",
        read: |view, out| {
            if view.model.tunnels.is_some() {
                let drops = &view.tracked.tunnels.drops;
                drops.each(3, |labels, [packets]| out.push(labels, *packets));
            }
        },
    },
    Metric {
        name: "observer_tunnel_encapsulation_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: TUNNEL,
        help: "Time of sampled packets from the entry into the tunnel to the entry into the interface below",
        source: SAMPLES,
        read: |view, out| {
            if view.now.encapsulation.is_none() {
                return;
            }
            view.tracked.tunnels.latency.each(TUNNEL.len(), |labels, counts| {
                let counted = counts.iter().skip(LATENCY_FIRST_BUCKET).copied();
                let seconds = counts[LATENCY_NS] as f64 / 1e9;
                out.histogram(labels, latency_bounds().zip(counted).collect(), seconds);
            });
        },
    },
    Metric {
        name: "observer_tunnel_overhead_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: &["netns", "tunnel", "how"],
        help: "Bytes that the tunnel adds to a packet on the wire: the mean as measured, and the least and the most by the formats of the headers",
        source: "tracepoint net:net_dev_start_xmit, the formats of the headers",
        read: |view, out| {
            each(view, |labels, tunnel| {
                let measured = tunnel.samples.as_ref().and_then(|s| s.overhead_bytes);
                out.push_known(&with(labels, "measured"), measured);
                let nominal = tunnel.overhead();
                out.push_known(&with(labels, "nominal_least"), nominal.map(|n| u64::from(n.least)));
                out.push_known(&with(labels, "nominal_most"), nominal.map(|n| u64::from(n.most)));
            });
        },
    },
    Metric {
        name: "observer_tunnel_mtu_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: TUNNEL,
        help: "Largest packet that the interface of the tunnel takes",
        source: "rtnetlink IFLA_MTU",
        read: |view, out| {
            each(view, |labels, t| out.push_known(labels, t.link.as_ref().and_then(|l| l.now.mtu).map(u64::from)));
        },
    },
    Metric {
        name: "observer_tunnel_mtu_headroom_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        labels: TUNNEL,
        help: "Largest inner packet that fits on the way to the peer with the least room, less the MTU of the tunnel: below zero it takes packets that do not fit",
        source: ROUTE,
        read: |view, out| {
            each(view, |labels, tunnel| {
                let headroom = tunnel.budget().and_then(|(_, budget)| budget.headroom);
                out.push_known(labels, headroom.map(|bytes| bytes as f64));
            });
        },
    },
    fragments::<MADE>(
        "observer_tunnel_fragments_total",
        "Fragments made in a network namespace that outer packets of tunnels go through; the kernel counts them for the namespace, not by tunnel",
    ),
    fragments::<REASSEMBLED>(
        "observer_tunnel_reassembled_packets_total",
        "Packets put together from fragments in a network namespace that outer packets of tunnels go through",
    ),
    Metric {
        name: "observer_tunnel_handshake_age_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        labels: &["netns", "tunnel", "peer"],
        help: "Time since the last handshake with the peer of a WireGuard tunnel, busiest peers only; absent if there was none",
        source: "generic netlink WGPEER_A_LAST_HANDSHAKE_TIME",
        read: |view, out| {
            let mut seen = HashSet::new();
            each(view, |labels, tunnel| {
                for (name, age) in tunnel.peers.iter().map(|p| (peer(p), p.handshake_age_seconds)) {
                    let new = age.is_some() && seen.len() < view.tracked.tunnels.top();
                    if new && seen.insert((tunnel.netns, tunnel.name.clone(), name.clone())) {
                        out.push_known(&with(labels, &name), age);
                    }
                }
            });
        },
    },
    Metric {
        name: "observer_tunnel_connections",
        kind: Kind::Gauge,
        unit: None,
        labels: TUNNEL,
        help: "Open connections that are known to go through the tunnel",
        source: "BPF iterator iter/tcp, tracepoint net:net_dev_start_xmit",
        read: |view, out| {
            if view.model.tcp.sockets.is_some() {
                each(view, |labels, tunnel| out.push(labels, tunnel.flows.len() as u64));
            }
        },
    },
    Metric {
        name: "observer_tunnel_limit",
        kind: Kind::Gauge,
        unit: None,
        labels: &["netns", "tunnel", "limit"],
        help: "1 with what limits the tunnel now; none is nothing that the tunnel does",
        source: JUDGED,
        read: |view, out| {
            each(view, |labels, tunnel| {
                let limit = view.diagnosis.tunnel(tunnel).map_or(Limit::Unknown, |verdict| verdict.limit);
                out.push(&with(labels, limit.label()), 1u64);
            });
        },
    },
];
