//! A tunnel's interface takes packets that do not fit into the underlay's once the outer headers are around them.

use super::{Check, Limit, Seen, Sign, is_adapting, observed::Observed, rule, thresholds::Thresholds, words};
use crate::diagnose::{Evidence, Rule, Severity};

pub(in crate::diagnose) const RULE: Rule = Rule {
    name: "tunnel_mtu",
    about: "A tunnel's MTU is larger than its underlay has room for.",
    check: |window| rule(window, &CHECK, RULE.name),
};

pub(super) const CHECK: Check = Check { limit: Limit::Mtu, look };

fn look(o: &Observed<'_>, t: &Thresholds) -> Seen {
    let tunnel = o.tunnel;
    let Some((peer, budget)) = tunnel.budget() else { return Seen::Quiet };
    let Some(headroom) = budget.headroom.filter(|h| *h < 0) else { return Seen::Quiet };
    let (mtu, most) = (budget.device_mtu.unwrap_or(0), budget.most);
    let added = peer.overhead.map_or(0, |o| o.least);
    let to = peer.now.address.map_or(String::new(), |a| format!(" to {a}"));
    let device = peer.now.route.as_ref().map_or(String::new(), |r| format!(" by {}", r.device));
    let evidence = vec![
        Evidence::new("MTU of its interface", format!("{mtu} B"), "rtnetlink IFLA_MTU"),
        Evidence::new(
            format!("largest packet of the route{to}{device}"),
            format!("{} B", budget.route_mtu),
            "RTM_GETROUTE",
        ),
        Evidence::new("outer headers", format!("{added} B"), "formats of the headers"),
    ];
    let idle = o.is_idle(t);
    // What tells its connections of the smaller path itself loses nothing but the first packets.
    let severity = if idle || is_adapting(&tunnel.kind) { Severity::Info } else { Severity::Warning };
    let becomes = match tunnel.outer.dont_fragment {
        Some(true) => "are refused",
        Some(false) => "are cut into fragments",
        None => "are cut into fragments or refused",
    };
    Seen::Fires(Sign {
        limit: Limit::Mtu,
        severity,
        verdict: format!(
            "its MTU of {mtu} B is {} B larger than its underlay has room for: packets above {most} B {becomes}",
            -headroom
        ),
        ceiling: None,
        evidence,
        advice: vec![
            format!("`{}`, and the same at the other end.", words::ip_link(tunnel, &format!("mtu {most}"))),
            "Interfaces that hand packets to it (a bridge's ports, containers) need the same MTU.".into(),
        ],
    })
}
