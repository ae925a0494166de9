//! All that is known of one tunnel, and of a connection in it over time.

use std::net::{IpAddr, SocketAddr};

use super::tunnels::FROM;
use crate::{
    diagnose::tunnel::Limit,
    model::{
        tcp::Connection,
        tunnel::{Dropped, Peer, Tunnel},
    },
    output::tui::{
        context::Context,
        strip::{About, Strip},
        table::{Cell, Origin},
        theme::Tone,
    },
    units,
};

/// What limits a tunnel, in a cell.
pub(super) fn limit(limit: Limit) -> Cell {
    let tone = match limit {
        Limit::BlackHole => Tone::Bad,
        Limit::Fragments | Limit::Drops | Limit::OneCore | Limit::ReceiveSteering | Limit::Mtu => Tone::Warn,
        Limit::Offload => Tone::Plain,
        Limit::Unknown | Limit::Idle | Limit::None => Tone::Dim,
    };
    Cell::text(limit.words()).tone(tone)
}

/// Address and port of another end.
pub(super) fn address(peer: &Peer) -> Option<String> {
    let address = peer.now.address?;
    Some(peer.now.port.map_or_else(|| address.to_string(), |port| SocketAddr::new(address, port).to_string()))
}

/// The ends of the outer packets of a connection, if one was seen.
pub(super) fn outer(t: &Tunnel, c: &Connection) -> Option<String> {
    let flow = t.sampled(c)?;
    let end = |(address, port): (IpAddr, u16)| match port {
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    };
    flow.outer.map(|h| format!("{} -> {}", end(h.source), end(h.destination)))
}

const LIMITED: About =
    About::new("limited by", "what is wrong with it, over the last ten seconds", "docs/tunnels.md", FROM);
const CEILING: About = About::new("allows", "bits a second that this allows", "computed", FROM);
const ENDS: About =
    About::new("ends", "addresses outside, and the interface that leads there", "IFLA_INFO_DATA, RTM_GETROUTE", FROM);
const HOLDER: About = About::new("held by", "process that holds the tun or tap device", "/proc/PID/fdinfo iff:", FROM);
const LOST: About = About::new("lost", "packets a second lost in this place", "netlink, /proc/net", FROM);
const MOST: About =
    About::new("at most", "packets lost in the interval at most", "InDatagrams less rx_packets of the tunnel", FROM);
const ADDS: About = About::new("adds", "bytes that the headers add to a packet", "formats of the headers", FROM);
const MEASURED: About =
    About::new("measured", "bytes added to a sampled packet, the mean", "net:net_dev_start_xmit", FROM);
const LATENCY: About =
    About::new("latency", "time, mean from the entry to the interface below", "net:net_dev_start_xmit", FROM);
const FULL_LATENCY: About =
    About::new("99 % under", "time that 99 % of the sampled packets took less than", "net:net_dev_start_xmit", FROM);
const OFFLOADS: About =
    About::new("offloads", "what the interface may do for the processor", "ETHTOOL_MSG_FEATURES_GET", FROM);
const SHARE: About =
    About::new("share", "share of the packets, or of a processor's time", "/proc/net/snmp, /proc/stat", FROM);

/// All about it, by subject.
pub(super) fn details(ctx: &Context<'_>, t: &Tunnel) -> Vec<Strip> {
    let mut all = Vec::new();
    if let Some(verdict) = ctx.diagnosis.tunnel(t) {
        for sign in &verdict.signs {
            let mut line = Strip::sentence().label("limited by ").words(
                &LIMITED,
                format!("{}: {}", sign.limit.words(), sign.verdict),
                Tone::Warn,
            );
            if let Some(ceiling) = &sign.ceiling {
                line = line.label("; that allows ").words(&CEILING, ceiling.formula.as_str(), Tone::Plain);
            }
            all.push(line);
            all.extend(sign.advice.iter().map(|advice| Strip::reason(format!("→ {advice}"))));
        }
        let s = verdict.shares;
        all.push(
            Strip::sentence()
                .label("shares: lost ")
                .number(&SHARE, s.drops, units::percent)
                .label(", fragments ")
                .number(&SHARE, s.fragments, units::percent)
                .label(", overhead ")
                .number(&SHARE, s.overhead, units::percent)
                .label(", busiest CPU in softirqs ")
                .number(&SHARE, s.busiest_cpu, units::percent)
                .label(", the others ")
                .number(&SHARE, s.other_cpus, units::percent),
        );
    }
    all.push(Strip::sentence().label("ends: ").words_or_unknown(&ENDS, ends(t)));
    if let Some(holder) = &t.holder {
        let who = format!("{} (pid {})", holder.comm, holder.pid);
        all.push(Strip::sentence().label("held by ").words(&HOLDER, who, Tone::Plain));
    }
    let samples = t.samples.as_ref();
    all.push(
        Strip::sentence()
            .label("adds ")
            .bytes(&ADDS, t.overhead().map(|o| o.least.into()))
            .label(" by its headers, measured ")
            .number(&MEASURED, samples.and_then(|s| s.overhead_bytes), units::bytes)
            .label("; to the interface below ")
            .number(&LATENCY, samples.and_then(|s| s.latency_mean_seconds), units::seconds)
            .label(", 99 % under ")
            .number(
                &FULL_LATENCY,
                samples.and_then(|s| s.latency.quantile_bound(0.99)).map(|ns| ns / 1e9),
                units::seconds,
            ),
    );
    for (link, features) in t.offloads() {
        let states: Vec<String> = features.iter().map(|f| format!("{} {}", f.name, f.state())).collect();
        let line = Strip::sentence().label("offloads of ").words(&OFFLOADS, link.now.name.as_str(), Tone::Plain);
        all.push(line.label(": ").words(&OFFLOADS, states.join(", "), Tone::Plain));
    }
    let mut lost = Strip::sentence().label("lost: ");
    for d in &t.drops {
        lost = stage(lost, d);
    }
    all.push(lost);
    all
}

fn stage(line: Strip, d: &Dropped) -> Strip {
    let line = line.label(d.stage.words()).label(" ").number(&LOST, d.per_second, units::per_second);
    match (d.unknown, &d.place) {
        (Some(why), _) => {
            let line = line.label(" (").label(why);
            match d.at_most {
                Some(most) => line.label(": ").number(&MOST, Some(most as f64), units::count).label(" at most) "),
                None => line.label(") "),
            }
        }
        (None, Some(place)) => line.label(" (").words(&LOST, place.as_str(), Tone::Plain).label(") "),
        (None, None) => line.label("  "),
    }
}

fn ends(t: &Tunnel) -> Option<String> {
    let peer = t.peers.first()?;
    let route = peer.now.route.as_ref();
    let local = t.outer.local.or_else(|| route.and_then(|r| r.source)).map_or("?".to_owned(), |a| a.to_string());
    let way = route.map_or(String::new(), |r| format!(" by {}", r.device));
    Some(format!("{local} -> {}{way}", address(peer)?))
}

const SOCKETS: Origin = ("tcp.sockets", &[]);
const BUSY: About = About::new(
    "busy",
    "share of each interval with data to send, a bar a tick, all of it fills the line",
    "tcp_sock chrono_stat",
    SOCKETS,
);
const WINDOW: About = About::new(
    "peer's window",
    "share of each interval limited by the receiver, a bar a tick, all of it fills the line",
    "tcp_sock chrono_stat",
    SOCKETS,
);
const BUFFER: About = About::new(
    "send buffer",
    "share of each interval limited by the send buffer, a bar a tick, all of it fills the line",
    "tcp_sock chrono_stat",
    SOCKETS,
);
const AGAIN: About = About::new(
    "sent again",
    "share of the segments of each interval that were sent again, a bar a tick, a tenth fills the line",
    "tcp_sock total_retrans / segs_out",
    SOCKETS,
);
const RATE: About = About::new(
    "rate",
    "bits a second acknowledged, a bar a tick, the most of what is shown fills the line",
    "tcp_sock bytes_acked",
    SOCKETS,
);

/// Where a connection's time went, interval by interval.
pub(super) fn shares_over_time(ctx: &Context<'_>, c: &Connection) -> Vec<Strip> {
    let over_time = |of: fn(&Connection) -> Option<f64>| -> Vec<Option<f64>> {
        let in_model = |model: &crate::model::Model| {
            let list = &model.tcp.sockets.as_ref()?.list;
            of(list.iter().find(|o| o.now.cookie == c.now.cookie && o.now.netns == c.now.netns)?)
        };
        ctx.timeline.models().map(in_model).collect()
    };
    let line = |about: &About, name: &'static str, of: fn(&Connection) -> Option<f64>, top: f64| {
        Strip::sentence().label(name).bars(about, over_time(of), top, Tone::Good)
    };
    vec![
        line(&RATE, "rate over time          ", |c| c.tx, 1.0),
        line(&BUSY, "busy                    ", |c| c.busy_ratio, 1.0),
        line(&WINDOW, "by the peer's window    ", |c| c.rwnd_limited_ratio, 1.0),
        line(&BUFFER, "by the send buffer      ", |c| c.sndbuf_limited_ratio, 1.0),
        line(&AGAIN, "sent again              ", |c| c.retrans_ratio, 0.1),
    ]
}
