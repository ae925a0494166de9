//! Large packets enter a tunnel and leave it cut: the processor does what the interface below could do.

use super::{
    Check, Limit, Seen, Sign,
    observed::{Observed, median_of_others},
    rule,
    thresholds::Thresholds,
    words,
};
use crate::{
    diagnose::{Evidence, Rule, Severity},
    snapshot::{encapsulation::Packets, tunnel::Kind},
    units,
};

pub(in crate::diagnose) const RULE: Rule = Rule {
    name: "tunnel_missing_offload",
    about: "A tunnel's large packets are cut by a processor, not by the interface below.",
    check: |window| rule(window, &CHECK, RULE.name),
};

pub(super) const CHECK: Check = Check { limit: Limit::Offload, look };

/// Samples under which a share says nothing.
const ENOUGH_SAMPLES: u64 = 20;

fn look(o: &Observed<'_>, t: &Thresholds) -> Seen {
    // Of the others it is the processor's task: they encrypt packet by packet.
    let Some(feature) = feature(&o.tunnel.kind) else { return Seen::Quiet };
    let sum = |of: fn(&crate::model::tunnel::Samples) -> Packets| {
        let known = o.readings.iter().filter_map(|(tunnel, ..)| tunnel.samples.as_ref()).map(of);
        known.reduce(|a, b| Packets {
            packets: a.packets + b.packets,
            large: a.large + b.large,
            segments: a.segments + b.segments,
            bytes: a.bytes + b.bytes,
        })
    };
    let Some((entered, left)) = sum(|s| s.entered).zip(sum(|s| s.left)) else {
        return if o.is_idle(t) { Seen::Quiet } else { Seen::Lacks("sampled packets of the tunnel".into()) };
    };
    let share = |p: Packets| p.large as f64 / p.packets.max(1) as f64;
    if entered.packets < ENOUGH_SAMPLES
        || left.packets < ENOUGH_SAMPLES
        || share(entered) < t.large_share
        || share(left) >= t.large_share / 2.0
    {
        return Seen::Quiet;
    }
    let mean = |p: Packets| units::or_unknown(p.mean_bytes(), units::bytes);
    let cpus = o.cpus();
    let busiest = cpus.first().map(|c| c.softirq);
    let mut evidence = vec![
        Evidence::new(
            "packets as they enter, mean length",
            format!("{}, {} of them large", mean(entered), units::percent(share(entered))),
            "net:net_dev_start_xmit of the tunnel",
        ),
        Evidence::new(
            "packets as they leave, mean length",
            format!("{}, {} of them large", mean(left), units::percent(share(left))),
            "net:net_dev_start_xmit of the interface below",
        ),
    ];
    if let Some((busiest, others)) = busiest.zip(median_of_others(&cpus)) {
        let value = format!("{}, the others {}", units::percent(busiest), units::percent(others));
        evidence.push(Evidence::new("busiest CPU in soft interrupts", value, "/proc/stat softirq"));
    }
    let device = o.tunnel.underlays.first().map_or_else(|| "DEV".to_owned(), |l| words::shell(&l.now.name));
    let slow = busiest.is_some_and(|share| share >= t.receive_cpu_busy);
    Seen::Fires(Sign {
        limit: Limit::Offload,
        severity: if slow { Severity::Warning } else { Severity::Info },
        verdict: format!(
            "its packets enter with {} each and leave with {}: a processor cuts them, not the interface below",
            mean(entered),
            mean(left)
        ),
        ceiling: None,
        evidence,
        advice: vec![format!(
            "`{}ethtool -k {device} | grep {feature}`: if it can be switched on, `ethtool -K {device} {feature} on`.",
            words::enter(o.tunnel)
        )],
    })
}

/// The feature of an interface that cuts packets of such a tunnel.
fn feature(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Vxlan | Kind::Geneve | Kind::Bareudp => Some("tx-udp_tnl-segmentation"),
        Kind::Gre | Kind::Gretap | Kind::Ip6gre | Kind::Ip6gretap => Some("tx-gre-segmentation"),
        Kind::Ipip | Kind::Sit => Some("tx-ipxip4-segmentation"),
        Kind::Ip6tnl => Some("tx-ipxip6-segmentation"),
        _ => None,
    }
}
