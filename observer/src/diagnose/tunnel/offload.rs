//! Large packets enter a tunnel and leave it cut: the processor does what the interface below could do. Or they are small all
//! the way, because an interface was told not to put them together.

use super::{
    Check, Limit, Seen, Sign,
    observed::{Observed, median_of_others},
    rule,
    thresholds::Thresholds,
    words,
};
use crate::{
    diagnose::{Evidence, Rule, Severity},
    model::{
        link::Link,
        tunnel::{
            Qdisc, Samples,
            offloads::{ENTERS_LARGE, GRO, cut_by},
        },
    },
    snapshot::{encapsulation::Packets, link::Feature},
    units,
};

pub(in crate::diagnose) const RULE: Rule = Rule {
    name: "tunnel_missing_offload",
    about: "A tunnel's large packets are cut by a processor, not by the interface below, or are never put together.",
    check: |window| rule(window, &CHECK, RULE.name),
};

pub(super) const CHECK: Check = Check { limit: Limit::Offload, look };

/// Samples under which a share says nothing.
const ENOUGH_SAMPLES: u64 = 20;

fn look(o: &Observed<'_>, t: &Thresholds) -> Seen {
    match (cut(o, t), kept_small(o, t)) {
        (Seen::Quiet, Some(sign)) => Seen::Fires(sign),
        (seen, _) => seen,
    }
}

/// Packets that were sampled in one place over the window.
fn sum(o: &Observed<'_>, of: fn(&Samples) -> Packets) -> Option<Packets> {
    let known = o.readings.iter().filter_map(|(tunnel, ..)| tunnel.samples.as_ref()).map(of);
    known.reduce(|a, b| Packets {
        packets: a.packets + b.packets,
        large: a.large + b.large,
        segments: a.segments + b.segments,
        bytes: a.bytes + b.bytes,
    })
}

fn share(p: Packets) -> f64 {
    p.large as f64 / p.packets.max(1) as f64
}

fn mean(p: Packets) -> String {
    units::or_unknown(p.mean_bytes(), units::bytes)
}

fn sizes(what: &str, packets: Packets, source: &'static str) -> Evidence {
    let value = format!("{}, {} of them large", mean(packets), units::percent(share(packets)));
    Evidence::new(format!("packets as they {what}, mean length"), value, source)
}

/// Large packets enter and small ones leave.
fn cut(o: &Observed<'_>, t: &Thresholds) -> Seen {
    let features = cut_by(&o.tunnel.kind);
    if features.is_empty() || is_cut_by_a_queue(o) {
        return Seen::Quiet;
    }
    let Some((entered, left)) = sum(o, |s| s.entered).zip(sum(o, |s| s.left)) else {
        return if o.is_idle(t) { Seen::Quiet } else { Seen::Lacks("sampled packets of the tunnel".into()) };
    };
    if entered.packets < ENOUGH_SAMPLES
        || left.packets < ENOUGH_SAMPLES
        || share(entered) < t.large_share
        || share(left) >= t.large_share / 2.0
    {
        return Seen::Quiet;
    }
    let mut evidence = vec![
        sizes("enter", entered, "net:net_dev_start_xmit of the tunnel"),
        sizes("leave", left, "net:net_dev_start_xmit of the interface below"),
    ];
    let slow = add_cpus(o, t, &mut evidence);
    let below = o.tunnel.underlays.first();
    let known: Vec<&Feature> =
        below.into_iter().flat_map(|l| features.iter().filter_map(|name| l.now.feature(name))).collect();
    evidence.extend(below.iter().flat_map(|l| known.iter().map(|feature| state(l, feature))));
    let off: Vec<&Feature> = known.iter().copied().filter(|feature| !feature.on).collect();
    let why = match (below, off.as_slice()) {
        (Some(link), [first, ..]) => format!(": {} of {} is {}", first.name, link.now.name, first.state()),
        _ => String::new(),
    };
    Seen::Fires(Sign {
        limit: Limit::Offload,
        severity: if slow { Severity::Warning } else { Severity::Info },
        verdict: format!(
            "its packets enter with {} each and leave with {}: a processor cuts them, not the interface below{why}",
            mean(entered),
            mean(left)
        ),
        ceiling: None,
        evidence,
        advice: vec![advice(o, features, &known, &off)],
    })
}

/// True if the queue before the underlay cuts large packets itself, whatever its interface could do: they leave it cut.
fn is_cut_by_a_queue(o: &Observed<'_>) -> bool {
    let cuts = |q: &Qdisc| !q.of_tunnel && q.is_root() && matches!(q.now.kind.as_str(), "tbf" | "cake");
    o.tunnel.qdiscs.iter().any(cuts)
}

/// What can be done about packets that the interface below does not cut, by what is known of its features.
fn advice(o: &Observed<'_>, features: &[&str], known: &[&Feature], off: &[&Feature]) -> String {
    let enter = words::enter_underlay(o.tunnel);
    let device = o.tunnel.underlays.first().map_or_else(|| "DEV".to_owned(), |l| words::shell(&l.now.name));
    let switched: Vec<String> = off.iter().filter(|f| !f.fixed).map(|f| format!("{} on", f.name)).collect();
    if !switched.is_empty() {
        return format!("`{enter}ethtool -K {device} {}`.", switched.join(" "));
    }
    if known.is_empty() {
        let first = features.first().copied().unwrap_or_default();
        return format!(
            "`{enter}ethtool -k {device} | grep {first}`: if it can be switched on, `{enter}ethtool -K {device} {first} on`."
        );
    }
    if off.is_empty() {
        return format!(
            "{device} has the feature: `{enter}ip -d link show dev {device}` tells how much it cuts at one time \
             (gso_max_size, gso_max_segs), and whether packets go through another device first."
        );
    }
    format!("{device} cannot do it. A larger MTU outside and inside makes fewer packets of the same bytes.")
}

/// A processor is busy with packets that are small because putting them together is switched off.
fn kept_small(o: &Observed<'_>, t: &Thresholds) -> Option<Sign> {
    // Datagrams stay as they are.
    o.flows().next()?;
    let small = |of: fn(&Samples) -> Packets| {
        sum(o, of).filter(|p| p.packets >= ENOUGH_SAMPLES && share(*p) < t.large_share / 2.0)
    };
    let own = o.tunnel.link.as_ref()?;
    let off = |link: &&Link, name: &str| link.now.feature(name).filter(|feature| !feature.on).cloned();
    let (link, feature, packets, what) = if let Some(packets) = small(|s| s.received)
        && let Some((link, feature)) = o.tunnel.underlays.iter().chain([own]).find_map(|l| Some((l, off(&l, GRO)?)))
    {
        (link, feature, packets, "are received")
    } else {
        let packets = small(|s| s.entered)?;
        let feature = ENTERS_LARGE.iter().find_map(|name| off(&own, name))?;
        (own, feature, packets, "enter")
    };
    let mut evidence = vec![sizes(what, packets, "tracepoints net:*")];
    if !add_cpus(o, t, &mut evidence) {
        return None;
    }
    evidence.push(state(link, &feature));
    let enter = if std::ptr::eq(link, own) { words::enter(o.tunnel) } else { words::enter_underlay(o.tunnel) };
    let device = words::shell(&link.now.name);
    Some(Sign {
        limit: Limit::Offload,
        severity: Severity::Warning,
        verdict: format!(
            "its packets {what} with {} each, and a processor is busy: {} of {} is {}",
            mean(packets),
            feature.name,
            link.now.name,
            feature.state()
        ),
        ceiling: None,
        evidence,
        advice: vec![if feature.fixed {
            format!("{device} cannot put packets together; a larger MTU makes fewer of them.")
        } else {
            format!("`{enter}ethtool -K {device} {} on`.", feature.name)
        }],
    })
}

fn state(link: &Link, feature: &Feature) -> Evidence {
    let what = format!("{} of {}", feature.name, link.now.name);
    Evidence::new(what, feature.state().to_owned(), "ETHTOOL_MSG_FEATURES_GET")
}

/// Adds the busiest processor; true if it is busy.
fn add_cpus(o: &Observed<'_>, t: &Thresholds, evidence: &mut Vec<Evidence>) -> bool {
    let cpus = o.cpus();
    let busiest = cpus.first().map(|c| c.softirq);
    if let Some((busiest, others)) = busiest.zip(median_of_others(&cpus)) {
        let value = format!("{}, the others {}", units::percent(busiest), units::percent(others));
        evidence.push(Evidence::new("busiest CPU in soft interrupts", value, "/proc/stat softirq"));
    }
    busiest.is_some_and(|share| share >= t.receive_cpu_busy)
}
