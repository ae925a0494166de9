//! Outer packets are larger than the underlay takes, and are cut into fragments: twice the packets, and all of it is lost when
//! one is. WireGuard does so in silence, it never sets the bit that forbids it.

use super::{Check, Limit, Seen, Sign, observed::Observed, rule, thresholds::Thresholds, words};
use crate::{
    diagnose::{Evidence, Rule, Severity},
    units,
};

pub(in crate::diagnose) const RULE: Rule = Rule {
    name: "tunnel_fragments",
    about: "A tunnel's outer packets are cut into fragments.",
    check: |window| rule(window, &CHECK, RULE.name),
};

pub(super) const CHECK: Check = Check { limit: Limit::Fragments, look };

/// Packets under which a share says nothing.
const ENOUGH_PACKETS: f64 = 50.0;

fn look(o: &Observed<'_>, t: &Thresholds) -> Seen {
    let Some(sent) = o.sent() else { return Seen::Quiet };
    let Some(fragments) = o.count(|t| t.fragments_in_interval) else {
        return Seen::Lacks("fragments made in the underlay's network namespace (/proc/net/snmp FragCreates)".into());
    };
    let share = fragments as f64 / sent.max(1.0);
    // Another sender of the namespace may have made them: where the outer packets fit, this one did not.
    let fits = o.tunnel.budget().is_some_and(|(_, b)| b.headroom.is_some_and(|h| h >= 0));
    if sent < ENOUGH_PACKETS || share < t.fragments_share || fits {
        return Seen::Quiet;
    }
    let over = units::seconds(o.seconds);
    let mut evidence = vec![
        Evidence::new(
            format!("fragments made in the underlay's namespace, {over}"),
            units::count(fragments as f64),
            "/proc/net/snmp FragCreates",
        ),
        Evidence::new(format!("packets sent by the tunnel, {over}"), units::count(sent), "rtnetlink IFLA_STATS64"),
    ];
    let mut advice = Vec::new();
    if let Some((peer, budget)) = o.tunnel.budget() {
        let to = peer.now.address.map_or(String::new(), |a| format!(" to {a}"));
        let value = format!("{} B, the interface takes {} B", budget.most, budget.device_mtu.unwrap_or(0));
        evidence.push(Evidence::new(format!("largest packet that fits{to}"), value, "RTM_GETROUTE, IFLA_MTU, headers"));
        advice.push(format!(
            "`{}` here, and the same at the other end.",
            words::ip_link(o.tunnel, &format!("mtu {}", budget.most))
        ));
    } else {
        advice
            .push("Lower the MTU of the tunnel's interface to what the underlay takes less the outer headers.".into());
    }
    advice.push("Or raise the MTU of the underlay, on the whole way.".into());
    Seen::Fires(Sign {
        limit: Limit::Fragments,
        severity: Severity::Warning,
        verdict: format!("its outer packets are cut into fragments, {share:.1} for each packet that it sends"),
        ceiling: None,
        evidence,
        advice,
    })
}
