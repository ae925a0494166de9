//! TCP sends too much twice.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window};
use crate::{
    model::{Model, tcp::Connection},
    snapshot::tcp::ends,
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 30.0;
/// Share of segments sent again from which to warn: the line that NDT draws for a path with low loss.
const WARN_RATIO: f64 = 0.01;
/// Share of segments sent again from which throughput collapses.
const CRITICAL_RATIO: f64 = 0.05;
/// Retransmits under which a share says nothing.
const ENOUGH_RETRANSMITS: u64 = 10;
/// Connections that are named.
const NAMED: usize = 3;

pub(super) const RULE: Rule =
    Rule { name: "retransmissions", about: "TCP sends a share of its segments again that costs throughput.", check };

/// Segments sent and sent again in one place.
#[derive(Clone, Copy, Default)]
struct Sent {
    out: u64,
    again: u64,
}

impl Sent {
    fn ratio(self) -> f64 {
        if self.out == 0 { 0.0 } else { self.again as f64 / self.out as f64 }
    }

    fn is_bad(self) -> bool {
        self.again >= ENOUGH_RETRANSMITS && self.ratio() >= WARN_RATIO
    }
}

fn check(window: &Window<'_>) -> Outcome {
    let newest = window.newest();
    if newest.interval.is_none() {
        return Outcome::NoData { lacks: "a second snapshot of the same boot".into(), reason: None };
    }
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let own = own_namespace(models);
    let sockets = open_sockets(models);
    if own.is_none() && sockets.is_none() {
        let reason = newest.coverage.source_reason("/proc/net/snmp").cloned();
        return Outcome::NoData { lacks: "segments sent and sent again".into(), reason };
    }
    let (own, sockets) = (own.unwrap_or_default(), sockets.unwrap_or_default());
    // Sockets of every namespace are seen while they are open; the kernel's counters also know those that have closed.
    let worst = if own.is_bad() && (!sockets.is_bad() || own.ratio() >= sockets.ratio()) { own } else { sockets };
    if !worst.is_bad() {
        return Outcome::Quiet;
    }
    let severity = if worst.ratio() >= CRITICAL_RATIO { Severity::Critical } else { Severity::Warning };

    let over = units::seconds(seconds);
    let say = |what: &str, sent: Sent, source: &str| {
        let value = format!("{} ({} of {})", units::percent(sent.ratio()), sent.again, sent.out);
        Evidence::new(format!("{what}, {over}"), value, source)
    };
    let mut evidence = Vec::new();
    if own.out > 0 {
        evidence.push(say(
            "segments sent again in observer's network namespace",
            own,
            "/proc/net/snmp RetransSegs, OutSegs",
        ));
    }
    if sockets.out > 0 {
        evidence.push(say("segments sent again by open connections", sockets, "iter/tcp total_retrans, segs_out"));
    }
    let worst_connections = named(newest);
    evidence.extend(worst_connections.iter().map(|c| {
        let rtt = units::or_unknown(c.now.info.srtt_ns.map(|ns| ns as f64 / 1e9), units::seconds);
        let share = units::or_unknown(c.retrans_ratio, units::percent);
        let value = format!("{} segments sent again ({share}), srtt {rtt}", c.retrans_in_interval.unwrap_or(0));
        Evidence::new(ends(&c.now).to_string(), value, "iter/tcp")
    }));
    let blame = worst_connections.first().map_or(String::new(), |c| format!(", most of all on {}", ends(&c.now)));
    Outcome::Fires(Finding {
        rule: RULE.name,
        severity,
        verdict: format!("TCP sends {} of its segments again{blame}", units::percent(worst.ratio())),
        evidence,
        advice: vec![
            "One remote network only: look at the path to it (`mtr`), and at the MTU if small transfers work and large ones hang.".into(),
            "Every remote network: look at drops of the interface and its queue (`observer report tcp`, `tc -s qdisc`).".into(),
            "Many DSACKs (`nstat -az TcpExtTCPDSACKRecv`) mean reordering or late ACKs, not loss.".into(),
        ],
    })
}

/// Segments of observer's own namespace over the models; `out` includes those sent again.
fn own_namespace(models: &[Model]) -> Option<Sent> {
    sum(models.iter().map(|m| {
        let again = m.tcp.own.retrans_in_interval?;
        Some(Sent { out: m.tcp.own.out_segs_in_interval? + again, again })
    }))
}

/// Segments of the connections that were open at both ends of each interval.
fn open_sockets(models: &[Model]) -> Option<Sent> {
    sum(models.iter().map(|m| {
        let of = |c: &Connection| Some(Sent { out: c.segs_out_in_interval?, again: c.retrans_in_interval? });
        sum(m.tcp.sockets.as_ref()?.list.iter().map(of))
    }))
}

fn sum(parts: impl Iterator<Item = Option<Sent>>) -> Option<Sent> {
    parts.flatten().reduce(|a, b| Sent { out: a.out + b.out, again: a.again + b.again })
}

/// The connections that sent most again in the newest interval.
fn named(model: &Model) -> Vec<&Connection> {
    let mut rows: Vec<_> = model
        .tcp
        .sockets
        .iter()
        .flat_map(|s| &s.list)
        .filter(|c| c.retrans_in_interval.is_some_and(|n| n > 0))
        .collect();
    rows.sort_by_key(|c| std::cmp::Reverse(c.retrans_in_interval));
    rows.truncate(NAMED);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::tcp::{Snmp, Socket, Sockets, TcpInfo},
    };

    fn after_one_second(out: u64, again: u64, connection: Option<(u64, u64)>) -> Outcome {
        let at = |second, out, again, connection: Option<(u64, u64)>| {
            let mut s = snapshot_at(second);
            s.tcp.snmp = Some(Snmp { out_segs: Some(out), retrans_segs: Some(again), ..Default::default() });
            s.tcp.sockets =
                connection.map(|(out, again)| Sockets { list: vec![socket(out, again)], ..Default::default() });
            s
        };
        let before = at(1, 0, 0, connection.map(|_| (0, 0)));
        check(&Window::new(&models(&[before, at(2, out, again, connection)])).unwrap())
    }

    fn socket(segs_out: u64, retrans_segs: u64) -> Socket {
        let info = TcpInfo { segs_out: Some(segs_out), retrans_segs: Some(retrans_segs), ..Default::default() };
        Socket { info, ..Socket::new(1, 2, ([10, 0, 0, 1].into(), 1), ([10, 0, 0, 2].into(), 443)) }
    }

    #[test]
    fn two_in_a_hundred_is_a_warning() {
        assert_eq!(fired(after_one_second(980, 20, None)).severity, Severity::Warning);
    }

    #[test]
    fn a_few_retransmits_say_nothing() {
        assert_eq!(after_one_second(20, 5, None), Outcome::Quiet);
    }

    #[test]
    fn a_connection_of_another_namespace_is_named() {
        let finding = fired(after_one_second(10_000, 0, Some((1000, 200))));
        assert_eq!(finding.severity, Severity::Critical);
        assert!(finding.verdict.contains("10.0.0.2:443"), "{}", finding.verdict);
    }

    #[test]
    fn without_counters_it_says_what_it_lacks() {
        let models = models(&[snapshot_at(1), snapshot_at(2)]);
        assert!(matches!(check(&Window::new(&models).unwrap()), Outcome::NoData { .. }));
    }
}
