//! All that is known of one tunnel.

use std::net::{IpAddr, SocketAddr};

use super::{
    super::{Page, plural, share, time, time_under},
    limit,
};
use crate::{
    diagnose::flow,
    model::{
        link::Link,
        tunnel::{Budget, Peer, Samples, Tunnel},
    },
    output::text::{Column, Cut, Table},
    snapshot::{encapsulation::Header, link::Feature, tcp::ends},
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>, t: &Tunnel) {
    page.subject(out, &format!("{} ({}) in netns {}", t.name, t.format_words(), page.netns(Some(t.netns))));
    ends_of(out, page, t);
    let rate = |r: Option<f64>| units::or_unknown(r, units::bits_per_second);
    let packets = |r: Option<f64>| r.map_or(String::new(), |r| format!(" ({} packets)", units::per_second(r)));
    let inner = t.inner;
    let text = format!(
        "in {}{}, out {}{}",
        rate(inner.rx),
        packets(inner.rx_packets),
        rate(inner.tx),
        packets(inner.tx_packets)
    );
    page.fact(out, "inside", &text);
    overhead(out, page, t);
    if let Some((peer, budget)) = t.budget() {
        page.fact(out, "MTU", &mtu(peer, budget));
    }
    page.fact(out, "lost", &lost(t));
    if let Some(n) = t.fragments_in_interval.filter(|n| *n > 0) {
        page.fact(out, "cut", &format!("{} fragments made in the underlay's namespace", units::count(n as f64)));
    }
    if let Some(samples) = &t.samples {
        sampled(out, page, samples);
    }
    offloads(out, page, t);
    peers(out, page, t);
    connections(out, page, t);
    verdict(out, page, t);
}

fn ends_of(out: &mut String, page: &Page<'_>, t: &Tunnel) {
    if let Some(holder) = &t.holder {
        page.fact(out, "held by", &format!("{} (pid {})", holder.comm, holder.pid));
    }
    let Some(peer) = t.peers.first() else {
        let why = if t.outer.external { "each packet brings its own (external)" } else { "none is set" };
        if t.holder.is_none() {
            page.fact(out, "ends", why);
        }
        return;
    };
    let local = t.outer.local.or_else(|| peer.now.route.as_ref().and_then(|r| r.source));
    let local = local.map_or_else(|| units::UNKNOWN.to_owned(), |a| a.to_string());
    let more = match t.peers.len() as u64 - 1 + t.peers_not_listed {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let way = peer.now.route.as_ref().map_or_else(
        || ", route not known".to_owned(),
        |r| {
            let gateway = r.gateway.map_or(String::new(), |g| format!(" and {g}"));
            let mtu = r.mtu.map_or(String::new(), |m| format!(", which takes {m} B"));
            format!(" by {}{gateway}{mtu}", r.device)
        },
    );
    let elsewhere = if t.underlay_netns == t.netns {
        String::new()
    } else {
        format!(", in netns {}", page.netns(Some(t.underlay_netns)))
    };
    page.fact(out, "ends", &format!("{local} -> {}{more}{way}{elsewhere}", address(peer)));
}

fn address(peer: &Peer) -> String {
    match (peer.now.address, peer.now.port) {
        (Some(IpAddr::V6(a)), Some(port)) => SocketAddr::new(a.into(), port).to_string(),
        (Some(a), Some(port)) => format!("{a}:{port}"),
        (Some(a), None) => a.to_string(),
        (None, _) => "an address not known yet".to_owned(),
    }
}

fn overhead(out: &mut String, page: &Page<'_>, t: &Tunnel) {
    let by_headers = t.overhead().map(|o| match o.most - o.least {
        0 => format!("{} B by its headers", o.least),
        _ => format!("{} to {} B by its headers and padding", o.least, o.most),
    });
    let measured = t.samples.as_ref().and_then(|s| {
        let ratio =
            s.overhead_ratio.map_or(String::new(), |r| format!(", {} of what is inside", units::percent(r - 1.0)));
        Some(format!("{:.1} B measured{ratio}", s.overhead_bytes?))
    });
    let said: Vec<String> = by_headers.into_iter().chain(measured).collect();
    let text = if said.is_empty() { "not known: its packets or its process tell".to_owned() } else { said.join("; ") };
    page.fact(out, "adds", &text);
}

/// `1450/1450`: what the interface takes, and what fits.
pub(super) fn mtu_in_short(t: &Tunnel) -> String {
    let own = t.link.as_ref().and_then(|l| l.now.mtu).map_or_else(|| "-".to_owned(), |m| m.to_string());
    t.budget().map_or_else(|| own.clone(), |(_, b)| format!("{own}/{}", b.most))
}

fn mtu(peer: &Peer, budget: Budget) -> String {
    let to = peer.now.address.map_or(String::new(), |a| format!(" to {a}"));
    let fits = format!("{} B fit into the {} B of the route{to}", budget.most, budget.route_mtu);
    match (budget.device_mtu, budget.headroom) {
        (Some(mtu), Some(headroom)) if headroom < 0 => format!("{mtu} B, but {fits}: {} B too many", -headroom),
        (Some(mtu), Some(headroom)) => format!("{mtu} B, and {fits}: {headroom} B to spare"),
        _ => fits,
    }
}

fn lost(t: &Tunnel) -> String {
    let one = |d: &crate::model::tunnel::Dropped| {
        let place = d.place.as_ref().map_or(String::new(), |p| format!(" ({p})"));
        let most = d.at_most.map_or(String::new(), |n| format!(": {} in the interval at most", units::count(n as f64)));
        let why = d.unknown.map_or(String::new(), |w| format!(" ({w}{most})"));
        format!("{} {}{place}{why}", d.stage.words(), units::or_unknown(d.per_second, units::per_second))
    };
    let all: Vec<String> = t.drops.iter().map(one).collect();
    if all.is_empty() { units::UNKNOWN.to_owned() } else { all.join(", ") }
}

fn sampled(out: &mut String, page: &Page<'_>, s: &Samples) {
    if s.latency.count() > 0 {
        let text = format!(
            "mean {}, 99 % under {}, from the entry to the interface below",
            time(s.latency_mean_seconds),
            time_under(&s.latency, 0.99)
        );
        page.fact(out, "latency", &text);
    }
    let length = |p: crate::snapshot::encapsulation::Packets| {
        let large = crate::model::interval::ratio(p.large, p.packets);
        p.mean_bytes().map(|mean| format!("{} ({} large)", units::bytes(mean), share(large)))
    };
    let parts =
        [("enter with", s.entered), ("leave with", s.left), ("arrive with", s.arrived), ("come out with", s.received)];
    let said: Vec<String> = parts.iter().filter_map(|(what, p)| Some(format!("{what} {}", length(*p)?))).collect();
    if !said.is_empty() {
        page.fact(out, "packets", &format!("{}; one of {} is looked at", said.join(", "), s.every));
    }
}

fn offloads(out: &mut String, page: &Page<'_>, t: &Tunnel) {
    let one = |(link, features): (&Link, Vec<&Feature>)| {
        let states: Vec<String> = features.iter().map(|f| format!("{} {}", f.name, f.state())).collect();
        format!("{}: {}", link.now.name, states.join(", "))
    };
    let all: Vec<String> = t.offloads().map(one).collect();
    if !all.is_empty() {
        page.fact(out, "offloads", &all.join("; "));
    }
}

const PEERS: &[Column] = &[
    Column::cut("peer", Cut::End),
    Column::cut("address", Cut::End),
    Column::right("in"),
    Column::right("out"),
    Column::right("handshake"),
    Column::right("fits"),
];

/// A table where one line does not tell all.
fn peers(out: &mut String, page: &Page<'_>, t: &Tunnel) {
    if t.peers.len() < 2 && t.peers.iter().all(|p| p.now.id.is_empty()) {
        return;
    }
    let mut table = Table::new(PEERS);
    for peer in t.peers.iter().take(page.rows()) {
        let rate = |r: Option<f64>| units::or_unknown(r, units::bits_per_second);
        let age = peer.handshake_age_seconds.map(units::seconds);
        table.row([
            peer.now.id.to_string(),
            address(peer),
            rate(peer.rx),
            rate(peer.tx),
            age.map_or_else(|| "-".to_owned(), |age| format!("{age} ago")),
            peer.budget.map_or_else(|| units::UNKNOWN.to_owned(), |b| format!("{} B", b.most)),
        ]);
    }
    table.render(out, page.style, 4);
    let more = (t.peers.len() as u64 + t.peers_not_listed).saturating_sub(page.rows() as u64);
    if more > 0 {
        out.push_str(&format!("    {more} more not shown\n"));
    }
}

const CONNECTIONS: &[Column] = &[
    Column::cut("connection", Cut::Start),
    Column::right("sent"),
    Column::right("received"),
    Column::right("rtt"),
    Column::left("limited by"),
    Column::cut("outer packets", Cut::Start),
];

fn connections(out: &mut String, page: &Page<'_>, t: &Tunnel) {
    let Some(open) = &page.model.tcp.sockets else { return };
    if t.flows.is_empty() {
        let text = match open.namespaces_waiting {
            0 => "no open connection that is known".to_owned(),
            _ if open.waits(t.netns) => "not read yet: its network namespace had no turn yet".to_owned(),
            n => format!("no open connection that is known; {} had no turn yet", plural(n, "network namespace")),
        };
        return page.fact(out, "carries", &text);
    }
    page.fact(out, "carries", &plural(t.flows.len() as u64, "connection"));
    let mut table = Table::new(CONNECTIONS);
    for flow in t.flows.iter().take(page.rows()) {
        let Some(c) = flow.connection(open) else { continue };
        let outer = t.sampled(c).and_then(|f| f.outer);
        table.row([
            ends(&c.now).to_string(),
            units::or_unknown(c.tx, units::bits_per_second),
            units::or_unknown(c.rx, units::bits_per_second),
            time(c.now.info.srtt_ns.map(|ns| ns as f64 / 1e9)),
            page.diagnosis.flow(flow.place, c).map_or(flow::Limit::Unknown, |v| v.limit).words().to_owned(),
            outer.map_or_else(|| units::UNKNOWN.to_owned(), |o| header(&o)),
        ]);
    }
    table.render(out, page.style, 4);
    let more = t.flows.len().saturating_sub(page.rows());
    if more > 0 {
        out.push_str(&format!("    {more} more not shown\n"));
    }
}

/// The ends of an outer packet.
fn header(h: &Header) -> String {
    let end = |(address, port): (IpAddr, u16)| match port {
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    };
    format!("{} -> {}", end(h.source), end(h.destination))
}

/// What limits it, with the numbers.
pub(super) fn verdict(out: &mut String, page: &Page<'_>, t: &Tunnel) {
    let Some(verdict) = page.diagnosis.tunnel(t) else { return };
    for sign in &verdict.signs {
        let ceiling = sign.ceiling.as_ref().map_or(String::new(), |c| format!(" That allows: {}.", c.formula));
        page.fact(out, "limit", &format!("{}: {}: {}.{ceiling}", t.name, sign.limit.words(), sign.verdict));
        let said: Vec<String> = sign.evidence.iter().map(|e| format!("{} {}", e.what, e.value)).collect();
        page.fact(out, "", &said.join("; "));
        sign.advice.iter().for_each(|advice| page.fact(out, "", advice));
    }
    if verdict.signs.is_empty() {
        page.fact(out, "limit", limit(page, t).words());
    }
    for lack in verdict.unknown.iter().filter(|_| page.detailed) {
        page.fact(out, "", &format!("{} cannot tell, it lacks {}", lack.limit.words(), lack.lacks));
    }
}
