//! A tunnel's packets are dropped on their way through this host, or wait in a queue that does not empty.

use super::{Check, Limit, Seen, Sign, observed::Observed, rule, thresholds::Thresholds, words};
use crate::{
    diagnose::{Evidence, Rule, Severity, flow::Ceiling},
    model::tunnel::{Qdisc, Stage, Tunnel},
    units,
};

pub(in crate::diagnose) const RULE: Rule = Rule {
    name: "tunnel_drops",
    about: "Packets of a tunnel are dropped in this host, or stand in a queue.",
    check: |window| rule(window, &CHECK, RULE.name),
};

pub(super) const CHECK: Check = Check { limit: Limit::Drops, look };

fn look(o: &Observed<'_>, t: &Thresholds) -> Seen {
    let packets = o.sent().zip(o.received()).map(|(out, back)| out + back);
    let lost: Vec<(Stage, u64)> =
        Stage::ALL.iter().filter_map(|s| Some((*s, o.dropped(*s)?))).filter(|(_, n)| *n > 0).collect();
    let all: u64 = lost.iter().map(|(_, n)| n).sum();
    // What is dropped never came to be counted as sent.
    let share = all as f64 / (packets.unwrap_or(0.0) + all as f64).max(1.0);
    let dropping = all >= u64::from(t.least_drops) && share >= t.drops_share;
    let standing = standing(o, t);
    if !dropping && standing.is_none() {
        return Seen::Quiet;
    }
    let worst = lost.iter().max_by_key(|(_, n)| *n).map(|(stage, _)| *stage);
    let over = units::seconds(o.seconds);
    let mut evidence: Vec<Evidence> = lost
        .iter()
        .map(|(stage, n)| {
            let place = place(o, *stage).map_or(String::new(), |p| format!(" ({p})"));
            let what = format!("packets dropped, {}{place}, {over}", stage.words());
            Evidence::new(what, units::count(*n as f64), stage.source())
        })
        .collect();
    if let Some((queue, seconds)) = &standing {
        let value =
            format!("{} = {} at its rate", units::bytes(queue.now.backlog_bytes as f64), units::seconds(*seconds));
        evidence.push(Evidence::new(format!("waits in {}", queue.now.kind), value, "rtnetlink TCA_STATS2"));
    }
    if let Some(packets) = packets {
        evidence.push(Evidence::new(
            format!("packets of the tunnel, {over}"),
            units::count(packets),
            "rtnetlink IFLA_STATS64",
        ));
    }
    let queue = match (&standing, worst) {
        (_, Some(stage @ (Stage::TunnelQueue | Stage::UnderlayQueue))) => busiest(o, stage == Stage::TunnelQueue),
        (Some((queue, _)), None) => Some(*queue),
        _ => None,
    };
    let verdict = match (dropping, worst) {
        (true, Some(stage)) => {
            let place = place(o, stage).map_or(String::new(), |p| format!(": {p}"));
            format!("{} of its packets are dropped, most by {}{place}", units::percent(share), says(stage))
        }
        _ => format!(
            "its packets wait {} in a queue that does not empty",
            standing.as_ref().map_or_else(|| units::UNKNOWN.to_owned(), |(_, s)| units::seconds(*s))
        ),
    };
    Seen::Fires(Sign {
        limit: Limit::Drops,
        severity: Severity::Warning,
        verdict,
        ceiling: queue.and_then(|q| ceiling(o, q)),
        evidence,
        advice: advice(o, if dropping { worst } else { None }, queue),
    })
}

const fn says(stage: Stage) -> &'static str {
    match stage {
        Stage::Device => "the tunnel's interface",
        Stage::TunnelQueue => "the queue before it",
        Stage::Xfrm => "IPsec",
        Stage::UnderlayQueue => "the queue of the underlay",
        Stage::Underlay => "the underlay's interface",
        Stage::Backlog => "the backlog of a processor",
        Stage::Reassembly => "the host, which never had all fragments of them",
        Stage::Silent => "something that does not count",
    }
}

fn place(o: &Observed<'_>, stage: Stage) -> Option<String> {
    let named = |reading: &(&Tunnel, f64, _)| Some(reading.0.dropped(stage)?.place.as_ref()?.to_string());
    o.readings.iter().rev().find_map(named)
}

/// The queue that stands longest now, if one stood at most of the times that were looked at: the end of each reading, and the
/// begin of the first.
fn standing<'a>(o: &Observed<'a>, t: &Thresholds) -> Option<(&'a Qdisc, f64)> {
    let longest = |tunnel: &'a Tunnel, of: fn(&Qdisc) -> Option<f64>| {
        let roots = tunnel.qdiscs.iter().filter(|q| q.is_root()).filter_map(|q| Some((q, of(q)?)));
        roots.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, s)| *s >= t.standing_seconds)
    };
    let begin = o.readings.first().and_then(|(tunnel, ..)| longest(tunnel, |q| q.stood_seconds));
    let ends = o.readings.iter().filter(|(tunnel, ..)| longest(tunnel, |q| q.standing_seconds).is_some()).count();
    let (stood, looks) = (ends + usize::from(begin.is_some()), o.readings.len() + 1);
    longest(o.tunnel, |q| q.standing_seconds).filter(|_| stood as f64 > t.standing_samples * looks as f64)
}

/// The queue before the tunnel, or before its underlay, that drops most.
fn busiest<'a>(o: &Observed<'a>, of_tunnel: bool) -> Option<&'a Qdisc> {
    let queues = o.tunnel.qdiscs.iter().filter(|q| q.of_tunnel == of_tunnel && q.is_root());
    queues.max_by_key(|q| (q.drops_in_interval, q.now.drops))
}

/// What a queue that is full lets through is what it allows.
fn ceiling(o: &Observed<'_>, queue: &Qdisc) -> Option<Ceiling> {
    let key = |q: &&Qdisc| {
        q.now.netns == queue.now.netns && q.now.ifindex == queue.now.ifindex && q.now.handle == queue.now.handle
    };
    let rate = o.rate(|t| t.qdiscs.iter().find(key)?.tx)?;
    Some(Ceiling {
        bytes_per_second: rate,
        formula: format!("{} sends {}", queue.now.kind, units::bits_per_second(rate)),
    })
}

fn advice(o: &Observed<'_>, stage: Option<Stage>, queue: Option<&Qdisc>) -> Vec<String> {
    let tunnel = o.tunnel;
    let enter = words::enter(tunnel);
    let mut advice = Vec::new();
    if let Some(queue) = queue {
        let links = tunnel.underlays.iter().chain(&tunnel.link);
        let device = links.filter(|l| l.now.index == queue.now.ifindex).map(|l| words::shell(&l.now.name)).next();
        let device = device.unwrap_or_else(|| "DEV".to_owned());
        if matches!(queue.now.kind.as_str(), "tbf" | "htb" | "cake" | "hfsc") {
            advice.push(format!(
                "The rate is set there: `{enter}tc qdisc show dev {device}`, and `tc qdisc change` with a higher one."
            ));
        }
        advice.push(format!("A queue that shares fairly and stays short loses less: `{enter}tc qdisc replace dev {device} root fq_codel`."));
        return advice;
    }
    advice.push(match stage {
        Some(Stage::Xfrm) => format!("`{enter}ip -s xfrm state` and `cat /proc/net/xfrm_stat` tell why: keys, replay window, policy."),
        Some(Stage::Backlog) => "Raise net.core.netdev_max_backlog, and let more processors receive (rps_cpus, more queues).".into(),
        Some(Stage::Reassembly) => "The other end sends fragments and some are lost: lower the MTU of its tunnel. `sysctl net.ipv4.ipfrag_high_thresh` if there are many at once.".into(),
        Some(Stage::Underlay) => format!("`{enter}ip -s -s link show` and `ethtool -S` of the underlay's interface tell of which kind."),
        _ => format!("`{enter}ip -s -s link show dev {}` tells of which kind: no route to the other end, no peer for the address, or too large.", words::shell(&tunnel.name)),
    });
    advice
}
