//! Connections that are refused because nobody accepts them in time.

use std::{collections::HashMap, net::SocketAddr};

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, common};
use crate::{model::listener::Listener, units};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 30.0;
/// Refused connections a second from which a service is as good as down for part of its clients.
const CRITICAL_PER_SECOND: f64 = 10.0;
/// Listening sockets that are named.
const NAMED: usize = 3;

pub(super) const RULE: Rule = Rule {
    name: "listen_overflow",
    about: "A listening socket refuses connections because its queue of those to be accepted is full.",
    check,
};

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let Some(listeners) = &newest.tcp.listeners else {
        return common::no_probe(window, "sockets that listen", "tcp.listeners");
    };
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let mut refused: HashMap<u64, u64> = HashMap::new();
    for listener in models.iter().flat_map(|m| m.tcp.listeners.iter().flatten()) {
        *refused.entry(listener.now.cookie).or_default() += listener.refused.unwrap_or(0);
    }
    let mut worst: Vec<(&Listener, u64)> =
        listeners.iter().filter_map(|l| Some((l, *refused.get(&l.now.cookie)?))).filter(|(_, n)| *n > 0).collect();
    worst.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let Some((first, most)) = worst.first() else { return Outcome::Quiet };
    let rate = *most as f64 / seconds;
    let over = units::seconds(seconds);
    let mut evidence: Vec<_> = worst
        .iter()
        .take(NAMED)
        .map(|(l, n)| Evidence::new(format!("refused by {}, {over}", named(l)), n.to_string(), "iter/tcp sk_drops"))
        .collect();
    let queue = first.now.queue.zip(first.now.limit);
    evidence.extend(queue.map(|(queue, limit)| {
        let value = format!("{queue} of {}", u64::from(limit) + 1);
        Evidence::new("its queue now", value, "iter/tcp sk_ack_backlog, sk_max_ack_backlog")
    }));
    Outcome::Fires(Finding {
        rule: RULE.name,
        severity: if rate >= CRITICAL_PER_SECOND { Severity::Critical } else { Severity::Warning },
        verdict: format!("{} refuses connections: they are not accepted in time", named(first)),
        evidence,
        advice: vec![
            "Does its process accept at all? It may wait for a lock, a disk or a thread that is free: `cat /proc/PID/stack`, a profile.".into(),
            "If it only meets bursts, give it a longer queue: the backlog of listen(2), and net.core.somaxconn, which limits it.".into(),
            "Clients see it as handshakes of one, three or seven seconds: their SYN is sent again.".into(),
        ],
    })
}

fn named(listener: &Listener) -> String {
    let at = SocketAddr::from(listener.now.local);
    listener
        .now
        .owner
        .as_ref()
        .map_or_else(|| at.to_string(), |o| format!("{} at {at}", common::process(&o.comm, o.pid)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot,
    };

    fn after(refused: &[u32]) -> Outcome {
        let at = |(second, drops): (usize, &u32)| {
            let mut s = snapshot_at(second as u64 + 1);
            s.tcp.listeners = Some(vec![snapshot::tcp::Listener {
                cookie: 1,
                netns: 1,
                local: ([0, 0, 0, 0].into(), 443),
                uid: 0,
                inode: 1,
                owner: None,
                cgroup: None,
                queue: Some(129),
                limit: Some(128),
                drops: Some(*drops),
            }]);
            s
        };
        let models = models(&refused.iter().enumerate().map(at).collect::<Vec<_>>());
        check(&Window::new(&models).unwrap())
    }

    #[test]
    fn one_refused_connection_is_a_warning_and_many_are_worse() {
        let finding = fired(after(&[7, 8, 8]));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.verdict.contains("0.0.0.0:443"), "{}", finding.verdict);
        assert!(finding.evidence.iter().any(|e| e.value == "129 of 129"));
        assert_eq!(fired(after(&[7, 8, 40])).severity, Severity::Critical);
    }

    #[test]
    fn what_was_refused_before_is_no_news() {
        assert_eq!(after(&[7, 7]), Outcome::Quiet);
        let models = models(&[snapshot_at(1), snapshot_at(2)]);
        assert!(matches!(check(&Window::new(&models).unwrap()), Outcome::NoData { .. }));
    }
}
