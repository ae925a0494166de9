//! TCP over an interval.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    cgroup::Paths,
    first_byte::FirstBytes,
    flow::Grown,
    interval::{Interval, rate, ratio, sort_descending},
    listener::{self, Listener},
    traffic::{InCgroup, Traffic},
};
use crate::snapshot::{
    self, Name, Snapshot,
    tcp::{Closed, ClosedGroup, ClosedTotals, NamespaceCounts, Netstat, Snmp, Sockets, TcpMemory},
};

/// TCP.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tcp {
    /// Counters of observer's own network namespace.
    pub own: OwnNamespace,
    /// Life cycle by network namespace, busiest first.
    pub namespaces: Option<Vec<Namespace>>,
    /// Connections that closed in the interval, most bytes first.
    pub closed: Option<Vec<ClosedRow>>,
    /// Open connections.
    pub sockets: Option<Open>,
    /// What all connections carried, by what it belongs to.
    pub traffic: Option<Traffic>,
    /// Handshakes and first bytes of the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bytes: Option<FirstBytes>,
    /// Sockets that listen, those that refuse first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Vec<Listener>>,
    /// Memory of TCP as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<TcpMemory>,
}

/// TCP counters of one namespace. Source: its /proc/net/snmp and netstat.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OwnNamespace {
    /// Connections that are established now.
    pub established: Option<u64>,
    /// Connections a second begun from here.
    pub active_opens: Option<f64>,
    /// Connections a second accepted.
    pub passive_opens: Option<f64>,
    /// Segments a second sent, without retransmits.
    pub out_segs: Option<f64>,
    /// Segments a second sent again.
    pub retrans_segs: Option<f64>,
    /// Segments sent again, as a share of all that were sent, 0 to 1. `None` if none was sent.
    pub retrans_ratio: Option<f64>,
    /// Segments sent in the interval, without retransmits.
    pub out_segs_in_interval: Option<u64>,
    /// Segments sent again in the interval.
    pub retrans_in_interval: Option<u64>,
    /// Retransmission time-outs a second.
    pub timeouts: Option<f64>,
    /// Connections a second that a listening socket refused.
    pub listen_drops: Option<f64>,
    /// Of these, because the accept queue was full.
    pub listen_overflows: Option<f64>,
    /// Resets a second sent.
    pub resets_sent: Option<f64>,
    /// What it did for want of memory in the interval.
    pub shortage: Shortage,
}

/// What TCP of a namespace did for want of memory in an interval. Source: /proc/net/netstat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// Times that a socket of it brought TCP as a whole under pressure (`TCPMemoryPressures`).
    pub pressures: Option<u64>,
    /// Receive queues that were pruned, also because their own limit was met (`PruneCalled`).
    pub prunes: Option<u64>,
    /// Segments dropped because nothing was left to prune (`RcvPruned`).
    pub pruned: Option<u64>,
    /// Segments that found no room in a receive queue (`TCPRcvQDrop`).
    pub dropped: Option<u64>,
    /// Connections that ended because no memory was to be had (`TCPAbortOnMemory`).
    pub aborted: Option<u64>,
}

impl Shortage {
    /// Both together; what only one knows is what it knows.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| a.map_or(b, |a| Some(a.saturating_add(b.unwrap_or(0))));
        Self {
            pressures: sum(self.pressures, other.pressures),
            prunes: sum(self.prunes, other.prunes),
            pruned: sum(self.pruned, other.pruned),
            dropped: sum(self.dropped, other.dropped),
            aborted: sum(self.aborted, other.aborted),
        }
    }
}

/// Life cycle of one namespace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Namespace {
    /// Counts since the probes were attached.
    #[serde(flatten)]
    pub now: NamespaceCounts,
    /// Connections a second opened, both ways.
    pub opens: Option<f64>,
    /// Connections a second closed.
    pub closes: Option<f64>,
    /// Segments a second sent again.
    pub retrans: Option<f64>,
}

/// Connections that closed in the interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClosedRow {
    /// Namespace, port, cgroup; the totals are those of the interval.
    #[serde(flatten)]
    pub group: ClosedGroup,
    /// Path of the cgroup, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// Mean of the smoothed round-trip times at the end, in seconds.
    pub mean_srtt_seconds: Option<f64>,
}

/// Open connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Open {
    /// Most traffic in the interval first.
    pub list: Vec<Connection>,
    /// Sockets beyond the limit of a snapshot.
    pub not_listed: u64,
    /// Listening sockets.
    pub listening: u64,
    /// Network namespaces that were read.
    pub namespaces: u64,
    /// Network namespaces that could not be entered.
    pub namespaces_not_read: u64,
    /// Network namespaces whose turn comes with a later snapshot.
    pub namespaces_waiting: u64,
    /// Inodes of these, some hundreds at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<u64>,
}

impl Open {
    /// True if the sockets of a network namespace were not read because its turn comes later.
    pub fn waits(&self, netns: u64) -> bool {
        self.waiting.contains(&netns)
    }
}

/// One open connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Connection {
    /// What the kernel reports now.
    #[serde(flatten)]
    pub now: snapshot::tcp::Socket,
    /// Memory cgroup that its buffers are charged to; else that of the process that holds it, which is where the kernel
    /// charges them, if it does.
    pub in_cgroup: InCgroup,
    /// What was counted in the interval; `None` if the connection was not listed at its begin.
    pub grown: Option<Grown>,
    /// What the kernel reported in the interval, oldest first, where it was read more often than at its ends.
    #[serde(skip)]
    pub between: Vec<snapshot::tcp::TcpInfo>,
    /// Bytes a second that the peer acknowledged.
    pub tx: Option<f64>,
    /// Bytes a second received.
    pub rx: Option<f64>,
    /// Segments sent again in the interval.
    pub retrans_in_interval: Option<u64>,
    /// Segments sent in the interval, those sent again included.
    pub segs_out_in_interval: Option<u64>,
    /// Segments sent again as a share of the segments sent in the interval, 0 to 1.
    pub retrans_ratio: Option<f64>,
    /// Share of the interval with data to send, 0 to 1. It contains the two below.
    pub busy_ratio: Option<f64>,
    /// Share of the interval in which the peer's receive window was the limit.
    pub rwnd_limited_ratio: Option<f64>,
    /// Share of the interval in which the send buffer was the limit.
    pub sndbuf_limited_ratio: Option<f64>,
}

impl Tcp {
    pub(super) fn new(
        snapshot: &Snapshot,
        earlier: Option<&Snapshot>,
        interval: Option<Interval>,
        paths: &Paths<'_>,
    ) -> Self {
        let (now, before) = (&snapshot.tcp, earlier.map(|b| &b.tcp));
        Self {
            traffic: Traffic::new(snapshot, earlier, interval, paths),
            own: OwnNamespace::of(
                (now.snmp.as_ref(), now.netstat.as_ref()),
                before.map(|b| (b.snmp.as_ref(), b.netstat.as_ref())),
                interval,
            ),
            namespaces: now
                .namespaces
                .as_ref()
                .map(|n| namespaces(n, before.and_then(|b| b.namespaces.as_deref()), interval)),
            closed: now.closed.as_ref().map(|c| closed(c, before.and_then(|b| b.closed.as_ref()), paths)),
            first_bytes: now
                .first_bytes
                .as_ref()
                .map(|f| FirstBytes::new(f, before.and_then(|b| b.first_bytes.as_ref()), paths)),
            listeners: now.listeners.as_ref().map(|l| listener::rank(l, before.and_then(|b| b.listeners.as_deref()))),
            memory: now.memory,
            sockets: now.sockets.as_ref().map(|s| open(s, before.and_then(|b| b.sockets.as_ref()), interval, paths)),
        }
    }
}

/// The two tables of a namespace.
type Tables<'a> = (Option<&'a Snmp>, Option<&'a Netstat>);

impl OwnNamespace {
    pub(super) fn of(now: Tables<'_>, before: Option<Tables<'_>>, interval: Option<Interval>) -> Self {
        let grown = |field: fn(&Snmp) -> Option<u64>| field(now.0?)?.checked_sub(field(before?.0?)?);
        let grown_ext = |field: fn(&Netstat) -> Option<u64>| field(now.1?)?.checked_sub(field(before?.1?)?);
        let per_second = |amount: Option<u64>| interval.zip(amount).map(|(i, amount)| i.per_second(amount));
        let (out, retrans) = (grown(|s| s.out_segs), grown(|s| s.retrans_segs));
        Self {
            established: now.0.and_then(|s| s.curr_estab),
            active_opens: per_second(grown(|s| s.active_opens)),
            passive_opens: per_second(grown(|s| s.passive_opens)),
            out_segs: per_second(out),
            retrans_segs: per_second(retrans),
            retrans_ratio: out.zip(retrans).and_then(|(out, retrans)| ratio(retrans, out + retrans)),
            out_segs_in_interval: out,
            retrans_in_interval: retrans,
            timeouts: per_second(grown_ext(|s| s.timeouts)),
            listen_drops: per_second(grown_ext(|s| s.listen_drops)),
            listen_overflows: per_second(grown_ext(|s| s.listen_overflows)),
            resets_sent: per_second(grown(|s| s.out_rsts)),
            shortage: Shortage {
                pressures: grown_ext(|s| s.memory_pressures),
                prunes: grown_ext(|s| s.prune_called),
                pruned: grown_ext(|s| s.rcv_pruned),
                dropped: grown_ext(|s| s.rcv_q_drop),
                aborted: grown_ext(|s| s.abort_on_memory),
            },
        }
    }
}

fn namespaces(
    now: &[NamespaceCounts],
    before: Option<&[NamespaceCounts]>,
    interval: Option<Interval>,
) -> Vec<Namespace> {
    let interval = interval.filter(|_| before.is_some());
    let mut rows: Vec<_> = now
        .iter()
        .map(|n| {
            let absent = NamespaceCounts { retrans_segs: Some(0), ..NamespaceCounts::default() };
            let old = before.unwrap_or_default().iter().find(|o| o.netns == n.netns).unwrap_or(&absent);
            Namespace {
                opens: rate(
                    interval,
                    Some(n.active_opens + n.passive_opens),
                    Some(old.active_opens + old.passive_opens),
                ),
                closes: rate(interval, Some(n.closed), Some(old.closed)),
                retrans: rate(interval, n.retrans_segs, old.retrans_segs),
                now: n.clone(),
            }
        })
        .collect();
    sort_descending(&mut rows, |r| r.opens.unwrap_or((r.now.active_opens + r.now.passive_opens) as f64));
    rows
}

fn closed(now: &Closed, before: Option<&Closed>, paths: &Paths<'_>) -> Vec<ClosedRow> {
    let key = |g: &ClosedGroup| (g.netns, g.port, g.outgoing, g.cgroup);
    let old: HashMap<_, _> = before.map(|b| b.list.iter().map(|g| (key(g), g.totals)).collect()).unwrap_or_default();
    let mut rows: Vec<_> = now
        .list
        .iter()
        .filter_map(|g| {
            let totals = old.get(&key(g)).and_then(|o| difference(g.totals, *o)).unwrap_or(g.totals);
            let mean = (totals.connections > 0).then(|| totals.srtt_ns_sum as f64 / 1e9 / totals.connections as f64)?;
            Some(ClosedRow {
                group: ClosedGroup { totals, ..g.clone() },
                cgroup_path: paths.get(g.cgroup),
                mean_srtt_seconds: Some(mean),
            })
        })
        .collect();
    sort_descending(&mut rows, |r| (r.group.totals.bytes_acked + r.group.totals.bytes_received) as f64);
    rows
}

fn difference(now: ClosedTotals, before: ClosedTotals) -> Option<ClosedTotals> {
    Some(ClosedTotals {
        connections: now.connections.checked_sub(before.connections)?,
        bytes_acked: now.bytes_acked.checked_sub(before.bytes_acked)?,
        bytes_received: now.bytes_received.checked_sub(before.bytes_received)?,
        segs_out: now.segs_out.checked_sub(before.segs_out)?,
        retrans_segs: now.retrans_segs.checked_sub(before.retrans_segs)?,
        srtt_ns_sum: now.srtt_ns_sum.checked_sub(before.srtt_ns_sum)?,
        timed: now.timed.checked_sub(before.timed)?,
        duration_ns_sum: now.duration_ns_sum.checked_sub(before.duration_ns_sum)?,
    })
}

fn open(now: &Sockets, before: Option<&Sockets>, interval: Option<Interval>, paths: &Paths<'_>) -> Open {
    let interval = interval.filter(|_| before.is_some());
    let old: HashMap<_, _> = before.map(|b| b.list.iter().map(|s| (s.cookie, s)).collect()).unwrap_or_default();
    let mut list: Vec<_> =
        now.list.iter().map(|s| connection(s, old.get(&s.cookie).copied(), interval, paths)).collect();
    sort_descending(&mut list, |c| c.tx.unwrap_or(0.0) + c.rx.unwrap_or(0.0));
    Open {
        list,
        not_listed: now.other.sockets,
        listening: now.listening,
        namespaces: now.namespaces,
        namespaces_not_read: now.namespaces_not_read,
        namespaces_waiting: now.namespaces_waiting,
        waiting: now.waiting.clone(),
    }
}

fn connection(
    now: &snapshot::tcp::Socket,
    before: Option<&snapshot::tcp::Socket>,
    interval: Option<Interval>,
    paths: &Paths<'_>,
) -> Connection {
    // A socket that was not listed before may have begun in the interval or not: its rates are not known.
    let all = before.map(|before| Grown::between(&before.info, &now.info));
    let grown = all.unwrap_or_default();
    let per_second = |amount: Option<u64>| interval.zip(amount).map(|(i, amount)| i.per_second(amount));
    let share = |ns: Option<u64>| per_second(ns).map(|ns_per_s| (ns_per_s / 1e9).min(1.0));
    let cgroup = now.cgroup.or_else(|| now.owner.as_ref().and_then(|owner| owner.cgroup));
    Connection {
        in_cgroup: InCgroup::of(cgroup, paths),
        grown: all,
        between: Vec::new(),
        tx: per_second(grown.bytes_acked),
        rx: per_second(grown.bytes_received),
        retrans_in_interval: grown.retrans_segs,
        segs_out_in_interval: grown.segs_out,
        retrans_ratio: grown.retrans_segs.zip(grown.segs_out).and_then(|(retrans, out)| ratio(retrans, out)),
        busy_ratio: share(grown.busy_ns),
        rwnd_limited_ratio: share(grown.rwnd_limited_ns),
        sndbuf_limited_ratio: share(grown.sndbuf_limited_ns),
        now: now.clone(),
    }
}
