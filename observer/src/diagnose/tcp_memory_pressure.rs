//! TCP that gets no memory for its buffers: of the host, or of a cgroup.

use std::collections::HashMap;

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, common};
use crate::{
    model::{Model, buffers::Row, tcp::Shortage},
    snapshot::{
        CgroupId, Name,
        buffers::{Full, Room},
        coverage::Source,
        tcp::TcpMemory,
    },
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 30.0;
/// Refusals under which it is an accident.
const ENOUGH: u64 = 10;
/// Groups of sockets that are named.
const NAMED: usize = 3;
const REFUSED: &str = "tracepoint sock:sock_exceed_buf_limit";
const LIMITS: &str = "/proc/net/sockstat, net.ipv4.tcp_mem";

pub(super) const RULE: Rule = Rule {
    name: "tcp_memory_pressure",
    about: "TCP gets no more memory for its buffers: the host's limit or that of a cgroup is met.",
    check,
};

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    // The limits are seen in the host's own network namespace alone; refusals are told of everywhere.
    let memory = newest.tcp.memory.filter(|m| m.used.is_some() && m.pressure.is_some());
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let shortage = models.iter().fold(Shortage::default(), |sum, model| sum.plus(&shortage(model)));
    let refused = refused(models);
    let over = units::seconds(seconds);
    let above = |limit: fn(&TcpMemory) -> Option<u64>| {
        memory.is_some_and(|m| m.used.zip(limit(&m)).is_some_and(|(used, limit)| used >= limit))
    };
    let (pressure, entered) = (above(|m| m.pressure), shortage.pressures.unwrap_or(0) > 0);
    if pressure || entered {
        let lost = above(|m| m.max) || shortage.aborted.unwrap_or(0) > 0;
        let mut evidence: Vec<Evidence> = memory.iter().map(level).collect();
        evidence.extend(counted(&shortage, &over));
        evidence.extend(refused.iter().take(NAMED).map(|(full, n)| refusal(full, *n, &over)));
        return Outcome::Fires(Finding {
            rule: RULE.name,
            severity: if lost { Severity::Critical } else { Severity::Warning },
            verdict: of_host(&memory.unwrap_or_default(), pressure, lost),
            evidence,
            advice: vec![
                "Who holds it? Many connections, or such as are not read: `observer report tcp`, `ss -tm` (the r and w of skmem).".into(),
                "If the host has memory to give, raise net.ipv4.tcp_mem, in pages of all sockets together.".into(),
                "Less for each connection: the last values of net.ipv4.tcp_rmem and net.ipv4.tcp_wmem.".into(),
            ],
        });
    }
    // The host has memory: what refuses is the limit of a cgroup.
    let mut cgroups: HashMap<CgroupId, u64> = HashMap::new();
    for (full, n) in &refused {
        if let Some(id) = full.cgroup {
            *cgroups.entry(id).or_default() += n;
        }
    }
    let worst = cgroups.into_iter().filter(|(_, n)| *n >= ENOUGH).max_by_key(|(id, n)| (*n, std::cmp::Reverse(*id)));
    let Some((id, n)) = worst else {
        return match memory {
            Some(_) => Outcome::Quiet,
            None => common::no_source(window, "the memory of TCP and its limits", Source::SOCKSTAT),
        };
    };
    let path = path(models, id);
    let own = refused.iter().filter(|(full, _)| full.cgroup == Some(id)).take(NAMED);
    let evidence =
        own.map(|(full, n)| refusal(full, *n, &over)).chain(counted(&shortage, &over)).chain(memory.iter().map(level));
    Outcome::Fires(Finding {
        rule: RULE.name,
        severity: Severity::Warning,
        verdict: format!(
            "TCP of {} gets no more memory for its buffers: the limit of the cgroup is met, {n} times in {over}",
            common::cgroup(path.as_ref(), Some(id))
        ),
        evidence: evidence.collect(),
        advice: vec![
            "Raise its limit: memory.kmem.tcp.limit_in_bytes (v1, also of the cgroups above it), memory.max (v2).".into(),
            "Or need less: connections that are not read keep what has come for them; the last value of net.ipv4.tcp_rmem.".into(),
            "Until then segments that have come are dropped, and their senders send them again: `observer report tcp`.".into(),
        ],
    })
}

fn of_host(memory: &TcpMemory, above: bool, lost: bool) -> String {
    let bytes = |n: Option<u64>| units::or_unknown(n.map(|n| n as f64), units::bytes);
    let what = match (above, lost) {
        (_, true) => "packets are dropped and connections may end",
        (true, false) => "the kernel makes windows and buffers smaller",
        (false, false) => "for a time the kernel made windows and buffers smaller",
    };
    format!("TCP runs short of memory for its buffers, {} of at most {}: {what}", bytes(memory.used), bytes(memory.max))
}

fn level(memory: &TcpMemory) -> Evidence {
    let bytes = |n: Option<u64>| units::or_unknown(n.map(|n| n as f64), units::bytes);
    let value =
        format!("{}; pressure from {}, at most {}", bytes(memory.used), bytes(memory.pressure), bytes(memory.max));
    Evidence::new("buffers of all TCP sockets", value, LIMITS)
}

/// What the kernel counted of it, as far as it did.
fn counted(shortage: &Shortage, over: &str) -> impl Iterator<Item = Evidence> {
    let rows = [
        ("times that pressure began", shortage.pressures, "TCPMemoryPressures"),
        ("receive queues that were pruned", shortage.prunes, "PruneCalled"),
        ("segments dropped after that", shortage.pruned, "RcvPruned"),
        ("segments that found no room in a receive queue", shortage.dropped, "TCPRcvQDrop"),
        ("connections that ended for want of memory", shortage.aborted, "TCPAbortOnMemory"),
    ];
    rows.into_iter().filter_map(move |(what, n, name)| {
        let n = n.filter(|n| *n > 0)?;
        Some(Evidence::new(format!("{what}, {over}"), n.to_string(), format!("/proc/net/netstat {name}")))
    })
}

fn refusal(full: &Full, n: u64, over: &str) -> Evidence {
    let port = full.port.map_or(String::new(), |port| format!(" port {port}"));
    let owner = full.owner.as_ref().map_or(String::new(), |o| format!(" of {}", common::process(&o.comm, o.pid)));
    let what = if full.room == Room::SendMemory { "send" } else { "receive" };
    Evidence::new(format!("memory to {what} refused to {}{port}{owner}, {over}", full.protocol), n.to_string(), REFUSED)
}

/// Memory that was refused to TCP, by sockets, most first.
fn refused(models: &[Model]) -> Vec<(Full, u64)> {
    let is_tcp = |row: &&Row| row.now.room != Room::ReceiveBuffer && row.now.protocol.as_str().contains("TCP");
    let new = models.iter().filter(|m| m.interval.is_some());
    let mut sums: HashMap<Full, u64> = HashMap::new();
    for row in new.flat_map(|m| m.buffers.iter().flat_map(|b| &b.rows)).filter(is_tcp) {
        *sums.entry(Full { events: 0, ..row.now.clone() }).or_default() += row.events_in_interval;
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    let place = |full: &Full| (full.port, full.netns, full.cgroup);
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| place(&a.0).cmp(&place(&b.0))));
    rows
}

fn path(models: &[Model], id: CgroupId) -> Option<Name> {
    let rows = models.iter().rev().flat_map(|m| m.buffers.iter().flat_map(|b| &b.rows));
    rows.filter(|row| row.now.cgroup == Some(id)).find_map(|row| row.cgroup_path.clone())
}

/// All namespaces where they are read; else the own one.
fn shortage(model: &Model) -> Shortage {
    match &model.namespaces {
        Some(all) => all.iter().fold(Shortage::default(), |sum, n| sum.plus(&n.tcp.shortage)),
        None => model.tcp.own.shortage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{Snapshot, buffers::Buffers, tcp::Netstat},
    };

    const MIB: u64 = 1 << 20;

    fn with(change: impl Fn(u64, &mut Snapshot)) -> Outcome {
        let at = |second| {
            let mut s = snapshot_at(second);
            let (used, low, pressure, max) = (Some(MIB), Some(8 * MIB), Some(10 * MIB), Some(20 * MIB));
            s.tcp.memory = Some(TcpMemory { used, low, pressure, max, ..TcpMemory::default() });
            s.tcp.netstat = Some(Netstat { memory_pressures: Some(4), prune_called: Some(9), ..Netstat::default() });
            change(second, &mut s);
            s
        };
        check(&Window::new(&models(&[at(1), at(2)])).unwrap())
    }

    fn used(bytes: u64) -> Outcome {
        with(|_, s| s.tcp.memory.as_mut().unwrap().used = Some(bytes))
    }

    fn refused_to(protocol: &str, cgroup: Option<CgroupId>, events: u64) -> Outcome {
        with(|second, s| {
            let full = Full {
                room: Room::ReceiveMemory,
                protocol: protocol.into(),
                port: Some(443),
                cgroup,
                events: events * second,
                ..Full::default()
            };
            s.buffers = Some(Buffers { list: vec![full], other: 0 });
        })
    }

    #[test]
    fn above_the_pressure_limit_is_a_warning_and_at_the_maximum_worse() {
        let finding = fired(used(11 * MIB));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.verdict.contains("11 MiB of at most 20 MiB"), "{}", finding.verdict);
        assert_eq!(fired(used(20 * MIB)).severity, Severity::Critical);
    }

    #[test]
    fn pressure_that_came_and_went_is_told_with_what_it_cost() {
        let finding = fired(with(|second, s| {
            let stat = s.tcp.netstat.as_mut().unwrap();
            (stat.memory_pressures, stat.rcv_q_drop) = (Some(4 + second), Some(7 * second));
        }));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.evidence.iter().any(|e| e.value == "7" && e.source.contains("TCPRcvQDrop")), "{finding:?}");
        let ended = with(|second, s| {
            let stat = s.tcp.netstat.as_mut().unwrap();
            (stat.memory_pressures, stat.abort_on_memory) = (Some(4 + second), Some(second));
        });
        assert_eq!(fired(ended).severity, Severity::Critical);
    }

    #[test]
    fn the_limit_of_a_cgroup_is_told_from_that_of_the_host() {
        let finding = fired(refused_to("TCP", Some(CgroupId(7)), 50));
        assert!(finding.verdict.contains("cgroup with id 7") && finding.verdict.contains("50 times"), "{finding:?}");
        assert!(finding.advice[0].contains("memory.max"));
    }

    #[test]
    fn what_is_no_shortage_of_tcp_is_no_finding() {
        assert_eq!(used(9 * MIB), Outcome::Quiet);
        assert_eq!(refused_to("TCP", Some(CgroupId(7)), 9), Outcome::Quiet);
        assert_eq!(refused_to("UDP", Some(CgroupId(7)), 500), Outcome::Quiet);
        // A receiver that does not read has its queue pruned, too.
        let pruned = with(|second, s| s.tcp.netstat.as_mut().unwrap().prune_called = Some(100 * second));
        assert_eq!(pruned, Outcome::Quiet);
    }

    #[test]
    fn without_the_limits_of_the_host_a_refusal_is_told_and_nothing_else_is_known() {
        assert!(matches!(with(|_, s| s.tcp.memory = None), Outcome::NoData { .. }));
        let entered = with(|second, s| {
            s.tcp.memory = None;
            s.tcp.netstat.as_mut().unwrap().memory_pressures = Some(4 + second);
        });
        assert!(fired(entered).verdict.contains("? of at most ?"));
    }
}
