//! One processor works on packets without a pause, and the others are not asked.

use super::{
    Check, Limit, Seen, Sign, is_one_flow,
    observed::{CpuShare, Observed, median_of_others},
    rule,
    thresholds::Thresholds,
};
use crate::{
    diagnose::{Evidence, Rule, Severity, flow::Ceiling},
    snapshot::tunnel::Kind,
    units,
};

pub(in crate::diagnose) const RULE: Rule = Rule {
    name: "tunnel_one_core",
    about: "A tunnel's packets keep one processor busy while the others are not.",
    check: |window| rule(window, &CHECK, RULE.name),
};

pub(super) const CHECK: Check = Check { limit: Limit::OneCore, look };

fn look(o: &Observed<'_>, t: &Thresholds) -> Seen {
    let cpus = o.cpus();
    let Some(busiest) = cpus.first() else {
        return Seen::Lacks("time of each processor in soft interrupts (/proc/stat)".into());
    };
    let Some(others) = median_of_others(&cpus) else { return Seen::Quiet };
    let left = busiest.squeezed > 0.0 || busiest.full_polls.is_some_and(|share| share >= t.full_polls);
    if busiest.softirq < t.cpu_busy || others >= t.other_cpus || !left || !is_its_work(o, &cpus, t) {
        return Seen::Quiet;
    }
    let mut evidence = cpu_evidence(busiest, others, o.seconds);
    if let Some(share) = busiest.full_polls {
        evidence.push(Evidence::new("polls that used their whole budget", units::percent(share), "napi:napi_poll"));
    }
    let crypto = o.newest.tunnels.iter().filter_map(|t| t.crypto.as_ref()).flatten();
    let cipher = |c: &crate::model::tunnel::CryptoRate| c.busy_ratio.is_some_and(|share| share >= 0.01);
    evidence.extend(crypto.filter(|c| cipher(c)).take(4).map(|c| {
        let what = format!("{} on CPU {}", c.now.function, c.now.cpu);
        Evidence::new(what, units::or_unknown(c.busy_ratio, units::percent), "workqueue:workqueue_execute_start, _end")
    }));
    let rate = o.rate(|t| Some(t.inner.bytes())).unwrap_or(0.0);
    let ceiling = Ceiling {
        bytes_per_second: rate / busiest.softirq,
        formula: format!(
            "{} at {} of CPU {} = {}",
            units::bits_per_second(rate),
            units::percent(busiest.softirq),
            busiest.cpu,
            units::bits_per_second(rate / busiest.softirq)
        ),
    };
    Seen::Fires(Sign {
        limit: Limit::OneCore,
        severity: Severity::Warning,
        verdict: format!(
            "CPU {} is in soft interrupts for {} of the time and is left with packets, the others for {}",
            busiest.cpu,
            units::percent(busiest.softirq),
            units::percent(others)
        ),
        ceiling: Some(ceiling),
        evidence,
        advice: advice(o),
    })
}

/// True if the processors' packets are this tunnel's for a part that matters. A packet of a tunnel is taken twice: outer, inner.
pub(super) fn is_its_work(o: &Observed<'_>, cpus: &[CpuShare], t: &Thresholds) -> bool {
    let all: f64 = cpus.iter().map(|c| c.packets).sum();
    let own = o.rate(|t| t.inner.rx_packets).unwrap_or(0.0).max(o.rate(|t| t.inner.tx_packets).unwrap_or(0.0));
    all > 0.0 && own / all >= t.tunnel_share
}

pub(super) fn cpu_evidence(busiest: &CpuShare, others: f64, seconds: f64) -> Vec<Evidence> {
    let over = units::seconds(seconds);
    vec![
        Evidence::new(
            format!("CPU {} in soft interrupts, {over}", busiest.cpu),
            units::percent(busiest.softirq),
            "/proc/stat softirq",
        ),
        Evidence::new("the others, median", units::percent(others), "/proc/stat softirq"),
        Evidence::new(
            format!("times that CPU {} stopped with packets left", busiest.cpu),
            units::per_second(busiest.squeezed),
            "/proc/net/softnet_stat time_squeeze",
        ),
        Evidence::new(
            format!("packets that CPU {} took", busiest.cpu),
            units::per_second(busiest.packets),
            "/proc/net/softnet_stat processed",
        ),
    ]
}

fn advice(o: &Observed<'_>) -> Vec<String> {
    let mut advice = Vec::new();
    match o.tunnel.kind {
        Kind::Wireguard => advice.push(
            "WireGuard receives each peer on one processor: spread the traffic over several peers (tunnels)."
                .to_owned(),
        ),
        Kind::Xfrm | Kind::Vti | Kind::Vti6 | Kind::Ipsec => {
            advice.push("The kernel decrypts each IPsec tunnel on one processor: use several associations, or pcrypt, or a NIC that does it.".to_owned());
        }
        _ => {}
    }
    if is_one_flow(&o.tunnel.kind) {
        advice.push("Its outer packets are one flow: more queues of the NIC do not spread them. Spread the inner ones: rps_cpus of the tunnel's interface.".to_owned());
    } else {
        advice.push("More queues of the NIC that hash UDP ports (`ethtool -N DEV rx-flow-hash udp4 sdfn`), or rps_cpus of the underlay's interface.".to_owned());
    }
    advice.push("Fewer, larger packets: look at offloads (`ethtool -k`), and at the MTU.".to_owned());
    advice
}
