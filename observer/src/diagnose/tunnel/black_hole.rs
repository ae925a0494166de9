//! Packets of full size vanish on their way, and nobody says so: smaller ones come through.

use super::{Check, Limit, Seen, Sign, observed::Observed, rule, thresholds::Thresholds, words};
use crate::{
    diagnose::{Evidence, Rule, Severity},
    model::tcp::Connection,
    snapshot::tcp::{State, ends},
    units,
};

pub(in crate::diagnose) const RULE: Rule = Rule {
    name: "tunnel_black_hole",
    about: "Packets of full size vanish in a tunnel while small ones come through.",
    check: |window| rule(window, &CHECK, RULE.name),
};

pub(super) const CHECK: Check = Check { limit: Limit::BlackHole, look };

/// Connections that are named.
const NAMED: usize = 3;

fn look(o: &Observed<'_>, t: &Thresholds) -> Seen {
    if o.newest.tcp.sockets.is_none() {
        return Seen::Lacks("open connections".into());
    }
    let received = o.received().unwrap_or(0.0);
    let dead: Vec<&Connection> = o.flows().filter(|c| is_stuck(o, c, t)).collect();
    // Either the tunnel lives, or what was small came through before: else the other end may just be gone.
    let small_passed = |c: &Connection| handshake_alone(c);
    let Some(first) = dead.first().filter(|c| received > 0.0 || small_passed(c)) else { return Seen::Quiet };
    let info = &first.now.info;
    let mss = info.mss.unwrap_or(0);
    let mut evidence: Vec<Evidence> = dead
        .iter()
        .take(NAMED)
        .map(|c| {
            let value = format!(
                "{} unacknowledged, {} time-outs in a row, mss {} B",
                units::or_unknown(c.now.info.unacked_bytes.map(|n| n as f64), units::bytes),
                c.now.info.backoff.unwrap_or(0),
                c.now.info.mss.unwrap_or(0)
            );
            Evidence::new(format!("{}{}", ends(&c.now), words::owner(c.now.owner.as_ref())), value, "tcp_sock")
        })
        .collect();
    evidence.push(Evidence::new(
        format!("packets that came out of the tunnel, {}", units::seconds(o.seconds)),
        units::count(received),
        "rtnetlink IFLA_STATS64",
    ));
    let pmtu = info.pmtu.map_or(String::new(), |pmtu| {
        evidence.push(Evidence::new(
            "packets that the connection holds for possible",
            format!("{pmtu} B"),
            "inet_connection_sock icsk_pmtu_cookie",
        ));
        format!(", and no router says so: {pmtu} B are held for possible")
    });
    if let Some((_, budget)) = o.tunnel.budget() {
        let value = format!("{} B", budget.most);
        evidence.push(Evidence::new(
            "largest packet that fits, by the route to the other end",
            value,
            "RTM_GETROUTE, headers",
        ));
    }
    let count = dead.len();
    let who = if count == 1 { "a connection is".to_owned() } else { format!("{count} connections are") };
    let mut advice = vec![format!(
        "Find the size that passes: `{}ping -M do -s SIZE {}`; then `{}`.",
        words::enter(o.tunnel),
        first.now.remote.0,
        words::ip_link(o.tunnel, "mtu SIZE+28")
    )];
    if let Some(address) = o.tunnel.peers.first().and_then(|p| p.now.address) {
        advice.push(format!("The same on the underlay: `ping -M do -s SIZE {address}`; a router there drops and does not tell, or its ICMP is filtered."));
    }
    advice.push("Until then `sysctl net.ipv4.tcp_mtu_probing=1` lets TCP find a size by itself.".into());
    Seen::Fires(Sign {
        limit: Limit::BlackHole,
        severity: Severity::Critical,
        verdict: format!(
            "packets of full size vanish: {who} stuck with segments of {mss} B that are never acknowledged{pmtu}"
        ),
        ceiling: None,
        evidence,
        advice,
    })
}

/// True for a connection whose full segments are sent again and again, and never acknowledged.
fn is_stuck(o: &Observed<'_>, c: &Connection, t: &Thresholds) -> bool {
    let info = &c.now.info;
    let full = info.unacked_bytes.zip(info.mss).is_some_and(|(bytes, mss)| bytes >= u64::from(mss));
    let frozen = o.acked(c) == Some(0) || o.acked(c).is_none() && handshake_alone(c);
    c.now.state == State::Established && full && frozen && info.backoff.is_some_and(|n| n >= t.dead_backoff)
}

/// True for a connection of which nothing but the handshake and less than a segment was ever acknowledged.
fn handshake_alone(c: &Connection) -> bool {
    c.now.info.bytes_acked.zip(c.now.info.mss).is_some_and(|(acked, mss)| acked < u64::from(mss))
}
