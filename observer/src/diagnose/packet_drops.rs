//! Packets that are dropped because there is no room for them.

use std::collections::HashMap;

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, common};
use crate::{model::drops::Row, snapshot::Name, units};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 30.0;
/// Packets under which it is an accident.
const ENOUGH: u64 = 10;
/// Packets a second from which work is surely lost.
const CRITICAL_PER_SECOND: f64 = 1000.0;
/// Places that are named.
const NAMED: usize = 3;

pub(super) const RULE: Rule = Rule {
    name: "packet_drops",
    about: "Packets that had arrived are dropped because a buffer, a queue or memory is used up.",
    check,
};

/// Reasons of the rule, what they mean, and what lifts them. Drops of a queueing discipline are not among them: that is how
/// it tells senders to slow down.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "socket_rcvbuff",
        "the receive buffers of sockets are full",
        "Its process reads too slowly, or in bursts: SO_RCVBUF, net.core.rmem_max, net.core.rmem_default.",
    ),
    (
        "socket_backlog",
        "sockets that are in use have a full backlog",
        "One process works on the socket while packets come: more than one socket (SO_REUSEPORT), net.core.rmem_default.",
    ),
    (
        "proto_mem",
        "a protocol has used up its memory",
        "net.ipv4.tcp_mem and net.ipv4.udp_mem, in pages; `observer report tcp` shows what TCP takes.",
    ),
    ("nomem", "the kernel has no memory for them", "`observer report memory`: who takes it?"),
    (
        "cpu_backlog",
        "the backlog of a CPU is full",
        "One CPU takes more packets than it can: net.core.netdev_max_backlog, receive packet steering (rps_cpus).",
    ),
    (
        "full_ring",
        "the ring of a device is full",
        "Who reads from the tun or tap device? `ip link set DEV txqueuelen N`.",
    ),
    (
        "neigh_queuefull",
        "they wait for a neighbour that does not answer",
        "Is the neighbour there? `ip neighbour`; net.ipv4.neigh.default.unres_qlen_bytes.",
    ),
    (
        "tcp_ofo_queue_prune",
        "TCP prunes segments out of order for want of memory",
        "net.ipv4.tcp_rmem, net.ipv4.tcp_mem; why do segments come out of order?",
    ),
];

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    if newest.drops.is_none() {
        return common::no_probe(window, "packets that were dropped", "drops");
    }
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    type Place<'a> = (&'a Name, Option<&'a Name>, Option<u64>);
    let mut places: HashMap<Place<'_>, u64> = HashMap::new();
    let rows = models.iter().filter(|m| m.interval.is_some()).flat_map(|m| m.drops.iter().flat_map(|d| &d.rows));
    for row in rows.filter(|r| r.is_packet()) {
        if let Some(reason) = row.now.reason.as_ref().filter(|r| known(r).is_some()) {
            *places.entry((reason, row.now.function.as_ref(), row.now.netns)).or_default() += new(row);
        }
    }
    let mut places: Vec<_> = places.into_iter().filter(|(_, n)| *n >= ENOUGH).collect();
    places.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let Some(((reason, ..), most)) = places.first() else { return Outcome::Quiet };
    let Some((_, words, advice)) = known(reason) else { return Outcome::Quiet };
    let rate = *most as f64 / seconds;
    let over = units::seconds(seconds);
    let evidence = places.iter().take(NAMED).map(|((reason, function, netns), n)| {
        let function = function.map_or(String::new(), |f| format!(" in {f}"));
        let netns = netns.map_or(String::new(), |n| format!(", netns {}", newest.netns_titles.with_inode(n)));
        Evidence::new(format!("{reason}{function}{netns}, {over}"), format!("{n} packets"), "tracepoint skb:kfree_skb")
    });
    Outcome::Fires(Finding {
        rule: RULE.name,
        severity: if rate >= CRITICAL_PER_SECOND { Severity::Critical } else { Severity::Warning },
        verdict: format!("{} packets a second are dropped: {words}", units::count(rate)),
        evidence: evidence.collect(),
        advice: vec![advice.to_owned()],
    })
}

fn known(reason: &Name) -> Option<(&'static str, &'static str, &'static str)> {
    REASONS.iter().find(|(word, ..)| *word == reason.as_str()).copied()
}

fn new(row: &Row) -> u64 {
    row.packets_in_interval
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::drops::{Drop, Drops},
    };

    fn after_one_second(reason: &str, packets: u64, protocol: Option<u16>) -> Outcome {
        let at = |second, packets| {
            let mut s = snapshot_at(second);
            let drop = Drop { reason: Some(reason.into()), packets, protocol, ..Drop::default() };
            s.drops = Some(Drops { list: vec![drop], other: 0 });
            s
        };
        check(&Window::new(&models(&[at(1, 100), at(2, 100 + packets)])).unwrap())
    }

    #[test]
    fn full_buffers_are_named_with_what_lifts_them() {
        let finding = fired(after_one_second("socket_rcvbuff", 50, Some(0x0800)));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.advice[0].contains("SO_RCVBUF"), "{finding:?}");
        assert_eq!(fired(after_one_second("cpu_backlog", 5000, Some(0x0800))).severity, Severity::Critical);
    }

    #[test]
    fn what_nobody_wants_and_what_is_no_packet_is_no_finding() {
        assert_eq!(after_one_second("no_socket", 5000, Some(0x0800)), Outcome::Quiet);
        assert_eq!(after_one_second("qdisc_drop", 5000, Some(0x0800)), Outcome::Quiet);
        assert_eq!(after_one_second("socket_rcvbuff", 5000, None), Outcome::Quiet);
        assert_eq!(after_one_second("socket_rcvbuff", 9, Some(0x0800)), Outcome::Quiet);
    }
}
