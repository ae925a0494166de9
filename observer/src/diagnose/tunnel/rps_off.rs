//! A single outer flow is received by one processor, the kernel is not told to share it, and others are idle.

use super::{
    Check, Limit, Seen, Sign, is_one_flow,
    observed::{Observed, median_of_others},
    one_core::{cpu_evidence, is_its_work},
    rule,
    thresholds::Thresholds,
    words,
};
use crate::{
    diagnose::{Evidence, Rule, Severity},
    units,
};

pub(in crate::diagnose) const RULE: Rule = Rule {
    name: "tunnel_rps_off",
    about: "One processor alone receives a tunnel's single outer flow, and receive packet steering is off.",
    check: |window| rule(window, &CHECK, RULE.name),
};

pub(super) const CHECK: Check = Check { limit: Limit::ReceiveSteering, look };

fn look(o: &Observed<'_>, t: &Thresholds) -> Seen {
    let cpus = o.cpus();
    if cpus.is_empty() {
        return Seen::Lacks("time of each processor in soft interrupts (/proc/stat)".into());
    }
    let Some(others) = median_of_others(&cpus) else { return Seen::Quiet };
    let all: f64 = cpus.iter().map(|c| c.packets).sum();
    let Some(receiver) = cpus.iter().max_by(|a, b| a.packets.total_cmp(&b.packets)).filter(|_| all > 0.0) else {
        let counted = o.newest.cpus.iter().flat_map(|c| &c.list).any(|c| c.usage.packets.is_some());
        return match counted {
            true => Seen::Quiet,
            false => Seen::Lacks("packets that each processor takes (/proc/net/softnet_stat)".into()),
        };
    };
    let alone = receiver.packets / all;
    let steered: f64 = cpus.iter().map(|c| c.steered).sum();
    let receives = o.received() > o.sent().map(|n| n / 10.0);
    if receiver.softirq < t.receive_cpu_busy
        || alone < t.receive_cpu_share
        || steered > 0.0
        || others >= t.other_cpus
        || !receives
        || !is_single(o)
        || !is_its_work(o, &cpus, t)
    {
        return Seen::Quiet;
    }
    let mut evidence = cpu_evidence(receiver, others, o.seconds);
    evidence.push(Evidence::new(
        format!("its share of all packets received, {}", units::seconds(o.seconds)),
        units::percent(alone),
        "/proc/net/softnet_stat processed",
    ));
    evidence.push(Evidence::new(
        "packets given to another processor",
        units::per_second(steered),
        "/proc/net/softnet_stat received_rps",
    ));
    let device = words::shell(&o.tunnel.name);
    let mask = (1_u64.checked_shl(cpus.len() as u32).unwrap_or(0)).wrapping_sub(1);
    Seen::Fires(Sign {
        limit: Limit::ReceiveSteering,
        severity: Severity::Warning,
        verdict: format!(
            "its single outer flow is received by CPU {} alone, {} of its time in soft interrupts, and receive packet steering is off",
            receiver.cpu,
            units::percent(receiver.softirq)
        ),
        ceiling: None,
        evidence,
        advice: vec![
            format!("Spread the inner connections: `{}sh -c 'echo {mask:x} > /sys/class/net/'{device}'/queues/rx-0/rps_cpus'`.", words::enter(o.tunnel)),
            "On the underlay's interface the same moves the whole flow to one other processor: it helps where that one does both.".into(),
        ],
    })
}

/// True if the tunnel's packets come in one outer flow.
fn is_single(o: &Observed<'_>) -> bool {
    let busy = o.tunnel.peers.iter().filter(|p| p.rx.is_none_or(|rx| rx > 0.0)).count();
    let seen = o.tunnel.samples.as_ref().map_or(0, |s| s.outer_flows);
    busy <= 1 && seen <= 2 && (is_one_flow(&o.tunnel.kind) || o.tunnel.flows.len() <= 1)
}
