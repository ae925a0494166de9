//! Connections that could be faster, but for a limit that can be lifted.

use std::collections::HashMap;

use super::{
    Evidence, Finding, Outcome, Rule, Severity, Window, common,
    flow::{Limit, Thresholds, Verdict},
};
use crate::{
    model::tcp::Connection,
    snapshot::{Name, tcp::ends},
    units,
};

/// Groups of connections that are named.
const NAMED: usize = 5;

pub(super) const RULE: Rule =
    Rule { name: "flow_limits", about: "A connection is kept from being faster by a limit that can be lifted.", check };

/// Connections of one program with one limit.
struct Group<'a> {
    limit: Limit,
    /// Name of the program; `None` if no process holds the sockets, or if that is not known.
    program: Option<&'a Name>,
    connections: u64,
    /// Bytes a second of all of them.
    rate: f64,
    /// The one that moves most.
    busiest: (&'a Connection, &'a Verdict),
}

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let lacks = "what limits each open connection";
    let Some(open) = &window.newest().tcp.sockets else { return common::no_probe(window, lacks, "tcp.sockets") };
    let verdicts = window.flows();
    let judged = || open.list.iter().zip(verdicts.iter());
    if !open.list.is_empty() && judged().all(|(_, v)| v.shares().is_none() && v.seconds() > 0.0) {
        let reason = Some(Name::from("the kernel does not count the time that connections wait"));
        return Outcome::NoData { lacks: lacks.into(), reason };
    }
    let thresholds = &window.thresholds().flow;
    let mut groups = grouped(judged().filter(|(c, v)| matters(c, v, thresholds)));
    groups.sort_by(|a, b| {
        severity(b.limit).cmp(&severity(a.limit)).then(b.rate.total_cmp(&a.rate)).then(a.program.cmp(&b.program))
    });
    let Some(worst) = groups.first() else { return Outcome::Quiet };
    let others: u64 = groups.iter().skip(1).map(|g| g.connections).sum();
    let more = match others {
        0 => String::new(),
        1 => "; another one has a limit as well".to_owned(),
        n => format!("; {n} others have limits as well"),
    };
    let mut evidence = worst.busiest.1.evidence();
    evidence.extend(groups.iter().skip(1).take(NAMED - 1).map(|g| {
        let (connection, verdict) = g.busiest;
        let what = format!("{}, {}", who(g), ends(&connection.now));
        Evidence::new(what, format!("{}{}", words(g.limit), ceiling(verdict)), "tcp_sock chrono_stat, iter/tcp")
    }));
    let mut advice: Vec<String> = Vec::new();
    for text in groups.iter().take(NAMED).filter_map(|g| g.busiest.1.advice()) {
        if !advice.iter().any(|said| said == text) {
            advice.push(text.to_owned());
        }
    }
    Outcome::Fires(Finding {
        rule: RULE.name,
        severity: severity(worst.limit).unwrap_or(Severity::Info),
        verdict: sentence(worst) + &more,
        evidence,
        advice,
    })
}

/// How bad a limit is; `None` if it is none that is worth a finding: the application sends what it has, a window that grows is
/// as it should be, and of the rest only the other end knows.
fn severity(limit: Limit) -> Option<Severity> {
    match limit {
        Limit::BlackHole => Some(Severity::Critical),
        Limit::SendBuffer
        | Limit::ReceiveWindow
        | Limit::Reordering
        | Limit::Loss
        | Limit::LateAcks
        | Limit::LocalStack => Some(Severity::Warning),
        // Somebody wants it so, or nobody can change it.
        Limit::Pacing | Limit::Path => Some(Severity::Info),
        Limit::Unknown | Limit::Idle | Limit::Sender | Limit::Application | Limit::CongestionWindow => None,
    }
}

/// True if somebody waits for it: the connection moves much, or has much to move; and not what no network could.
fn matters(connection: &Connection, verdict: &Verdict, t: &Thresholds) -> bool {
    let rate = verdict.rate().unwrap_or(0.0);
    let waits = connection.now.info.notsent_bytes.is_some_and(|bytes| bytes as f64 >= t.finding_waiting);
    match verdict.limit {
        limit if severity(limit).is_none() => false,
        Limit::BlackHole => true,
        _ => (rate >= t.finding_least_rate || waits) && rate < t.finding_most_rate,
    }
}

fn grouped<'a>(rows: impl Iterator<Item = (&'a Connection, &'a Verdict)>) -> Vec<Group<'a>> {
    let mut groups: HashMap<(Limit, Option<&Name>), Group<'a>> = HashMap::new();
    for (connection, verdict) in rows {
        let program = connection.now.owner.as_ref().map(|owner| &owner.comm);
        let (limit, rate) = (verdict.limit, verdict.rate().unwrap_or(0.0));
        let busiest = (connection, verdict);
        let new = Group { limit, program, connections: 0, rate: 0.0, busiest };
        let group = groups.entry((limit, program)).or_insert(new);
        if rate > group.busiest.1.rate().unwrap_or(0.0) {
            group.busiest = busiest;
        }
        group.connections += 1;
        group.rate += rate;
    }
    groups.into_values().collect()
}

fn sentence(group: &Group<'_>) -> String {
    let (connection, verdict) = group.busiest;
    let (ends, ceiling, words) = (ends(&connection.now), ceiling(verdict), words(group.limit));
    if group.connections == 1 {
        let owner = connection.now.owner.as_ref().map_or(String::new(), |o| format!(" of {} (pid {})", o.comm, o.pid));
        return format!("connection {ends}{owner} is {words}{ceiling}");
    }
    format!("{} are {words}, most of all {ends}{ceiling}", who(group))
}

/// `37 connections of nginx`.
fn who(group: &Group<'_>) -> String {
    let program = group.program.map_or(String::new(), |name| format!(" of {name}"));
    format!("{} connection{}{program}", group.connections, if group.connections == 1 { "" } else { "s" })
}

/// The limit, as what a connection is.
fn words(limit: Limit) -> &'static str {
    match limit {
        Limit::BlackHole => "dead: what was sent is never acknowledged",
        Limit::SendBuffer => "limited by the send buffer",
        Limit::ReceiveWindow => "limited by the peer's receive window",
        Limit::Reordering => "slowed down by segments that are sent again in vain",
        Limit::Loss => "slowed down by a path that loses segments",
        Limit::LateAcks => "slowed down by acknowledgements that come late, in bursts",
        Limit::LocalStack => "limited by a queue or a processor of this host",
        Limit::Pacing => "kept to the rate that it was given",
        Limit::Path => "limited by its path, which takes no more",
        other => other.words(),
    }
}

fn ceiling(verdict: &Verdict) -> String {
    let rate = || verdict.rate().map(|rate| format!(" ({})", units::bits_per_second(rate))).unwrap_or_default();
    verdict.ceiling().map_or_else(rate, |c| format!(": {}", c.formula))
}

#[cfg(test)]
#[path = "flow_limits/tests.rs"]
mod tests;
