//! Handshakes and first bytes over an interval: means by stage, and beside them those of another network.

use serde::Serialize;

use super::{
    cgroup::Paths,
    interval::{grown, grown_histogram, ranked},
};
use crate::snapshot::{
    Name,
    tcp::{FirstByteGroup, FirstByteTotals, FirstBytes as Read, StagesNs, Who},
};

/// First bytes under which a mean says little.
const ENOUGH: u64 = 5;

/// Handshakes and first bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FirstBytes {
    /// Those of the interval, most first bytes first. Each connection is in two rows: of its process, of its network.
    pub rows: Vec<Row>,
    /// True if first bytes are seen, and not handshakes alone.
    pub stages: bool,
    /// True if the wait for soft interrupts is seen.
    pub softirq: bool,
}

/// Connections of the interval that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Whose they are; the totals are those of the interval.
    #[serde(flatten)]
    pub group: FirstByteGroup,
    /// Path of the process's cgroup, `None` if it is not known.
    pub cgroup_path: Option<Name>,
    /// Mean time of a handshake in seconds. `None` if there was none.
    pub connect_seconds: Option<f64>,
    /// Mean time to the first byte, all stages together, in seconds. `None` if there was none.
    pub first_byte_seconds: Option<f64>,
    /// Mean time of each stage.
    pub stages: Option<Stages>,
    /// Mean time that the reading thread waited for a CPU, in seconds.
    pub run_delay_seconds: Option<f64>,
    /// The fastest network with the same service; `None` of processes, and where there is no other.
    pub beside: Option<Beside>,
}

/// Mean time of each stage in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stages {
    /// From the SYN to the answer.
    pub connect: f64,
    /// From the handshake until the request was sent, or came.
    pub request: f64,
    /// A round trip of the path.
    pub wire: f64,
    /// From the request to the answer.
    pub server: f64,
    /// From the interrupt to the socket.
    pub softirq: f64,
    /// From the socket to the process.
    pub read: f64,
}

/// A stage by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// From the SYN to the answer.
    Connect,
    /// From the handshake until the request was sent, or came.
    Request,
    /// A round trip of the path.
    Wire,
    /// From the request to the answer.
    Server,
    /// From the interrupt to the socket.
    Softirq,
    /// From the socket to the process.
    Read,
}

impl Stage {
    /// The words for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Connect => "handshake",
            Self::Request => "request",
            Self::Wire => "path",
            Self::Server => "server",
            Self::Softirq => "soft interrupt",
            Self::Read => "reading",
        }
    }
}

/// How a network compares with the fastest one of the same service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// The fastest network.
    pub who: Who,
    /// Its mean time to the first byte in seconds.
    pub first_byte_seconds: f64,
    /// The stage that differs most.
    pub stage: Stage,
    /// By how much its mean is longer, in seconds.
    pub difference_seconds: f64,
}

impl Stages {
    fn new(sum: &StagesNs, count: u64) -> Option<Self> {
        let mean = |ns: u64| ns as f64 / 1e9 / count as f64;
        let StagesNs { connect, request, wire, server, softirq, read } = *sum;
        (count > 0).then(|| Self {
            connect: mean(connect),
            request: mean(request),
            wire: mean(wire),
            server: mean(server),
            softirq: mean(softirq),
            read: mean(read),
        })
    }

    /// Each stage with its time, in the order of time.
    pub fn each(&self) -> [(Stage, f64); 6] {
        [
            (Stage::Connect, self.connect),
            (Stage::Request, self.request),
            (Stage::Wire, self.wire),
            (Stage::Server, self.server),
            (Stage::Softirq, self.softirq),
            (Stage::Read, self.read),
        ]
    }

    fn total(&self) -> f64 {
        self.each().iter().map(|(_, seconds)| seconds).sum()
    }

    /// The stage in which this took longer than `other` by most, and by how much.
    fn longer(&self, other: &Self) -> (Stage, f64) {
        let differences = self.each().into_iter().zip(other.each()).map(|((stage, a), (_, b))| (stage, a - b));
        differences.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((Stage::Connect, 0.0))
    }
}

impl FirstBytes {
    pub(super) fn new(now: &Read, before: Option<&Read>, paths: &Paths<'_>) -> Self {
        let key = |g: &FirstByteGroup| (g.netns, g.port, g.outgoing, g.who.clone());
        let mut rows = ranked(&now.list, before.map(|b| b.list.as_slice()), key, |group, old| {
            let totals = since(&group.totals, old.map(|o| &o.totals));
            let weight = totals.first_bytes + totals.connects + totals.failed + totals.unstaged;
            (weight > 0).then(|| (weight, row(group, totals, paths)))
        });
        let networks: Vec<Row> = rows.iter().filter(|r| matches!(r.group.who, Who::Network { .. })).cloned().collect();
        for row in &mut rows {
            row.beside = beside(row, &networks);
        }
        Self { rows, stages: now.stages, softirq: now.softirq }
    }
}

fn row(group: &FirstByteGroup, totals: FirstByteTotals, paths: &Paths<'_>) -> Row {
    let mean = |ns: u64, count: u64| (count > 0).then(|| ns as f64 / 1e9 / count as f64);
    let stages = Stages::new(&totals.stages, totals.first_bytes);
    let cgroup = match &group.who {
        Who::Process { cgroup, .. } => *cgroup,
        _ => None,
    };
    Row {
        cgroup_path: paths.get(cgroup),
        connect_seconds: mean(totals.connect_ns_sum, totals.connects),
        first_byte_seconds: stages.map(|s| s.total()),
        stages,
        run_delay_seconds: mean(totals.run_delay_ns, totals.run_delays),
        beside: None,
        group: FirstByteGroup { totals, ..group.clone() },
    }
}

fn beside(row: &Row, networks: &[Row]) -> Option<Beside> {
    if !matches!(row.group.who, Who::Network { .. }) || row.group.totals.first_bytes < ENOUGH {
        return None;
    }
    let stages = row.stages?;
    let others = networks.iter().filter(|n| {
        (n.group.port, n.group.outgoing) == (row.group.port, row.group.outgoing)
            && (&n.group.who, n.group.netns) != (&row.group.who, row.group.netns)
            && n.group.totals.first_bytes >= ENOUGH
    });
    let fastest = others.filter_map(|n| Some((n, n.stages?))).min_by(|a, b| a.1.total().total_cmp(&b.1.total()))?;
    let (stage, difference_seconds) = stages.longer(&fastest.1);
    Some(Beside { who: fastest.0.group.who.clone(), first_byte_seconds: fastest.1.total(), stage, difference_seconds })
}

fn since(now: &FirstByteTotals, before: Option<&FirstByteTotals>) -> FirstByteTotals {
    let of = |field: fn(&FirstByteTotals) -> u64| grown(field(now), before.map(field));
    FirstByteTotals {
        connects: of(|t| t.connects),
        failed: of(|t| t.failed),
        syn_retrans: of(|t| t.syn_retrans),
        connect_ns_sum: of(|t| t.connect_ns_sum),
        connect_ns: grown_histogram(&now.connect_ns, before.map(|b| &b.connect_ns)),
        first_bytes: of(|t| t.first_bytes),
        unstaged: of(|t| t.unstaged),
        stages: StagesNs {
            connect: of(|t| t.stages.connect),
            request: of(|t| t.stages.request),
            wire: of(|t| t.stages.wire),
            server: of(|t| t.stages.server),
            softirq: of(|t| t.stages.softirq),
            read: of(|t| t.stages.read),
        },
        total_ns: grown_histogram(&now.total_ns, before.map(|b| &b.total_ns)),
        run_delay_ns: of(|t| t.run_delay_ns),
        run_delays: of(|t| t.run_delays),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;

    fn group(network: [u8; 4], port: u16, first_bytes: u64, server_ms: u64) -> FirstByteGroup {
        let times = |ms: u64| ms * 1_000_000 * first_bytes;
        FirstByteGroup {
            netns: 1,
            port,
            outgoing: true,
            who: Who::Network { address: network.into(), bits: 24 },
            totals: FirstByteTotals {
                connects: first_bytes,
                connect_ns_sum: times(10),
                first_bytes,
                stages: StagesNs { connect: times(10), server: times(server_ms), ..StagesNs::default() },
                ..FirstByteTotals::default()
            },
        }
    }

    fn model(now: Vec<FirstByteGroup>, before: Vec<FirstByteGroup>) -> FirstBytes {
        let read = |list| Read { list, stages: true, softirq: false };
        let nothing = Snapshot::default();
        FirstBytes::new(&read(now), Some(&read(before)), &Paths::new(&nothing, None))
    }

    #[test]
    fn a_network_stands_beside_the_fastest_of_the_same_service() {
        let (near, far, other) =
            (group([10, 0, 0, 0], 443, 9, 30), group([10, 1, 0, 0], 443, 9, 68), group([10, 2, 0, 0], 80, 9, 1));
        let model = model(vec![near.clone(), far.clone(), other], vec![]);
        let of = |who: &Who| model.rows.iter().find(|r| r.group.who == *who).unwrap();
        let beside = of(&far.who).beside.clone().unwrap();
        assert_eq!((&beside.who, beside.stage), (&near.who, Stage::Server));
        assert!((beside.difference_seconds - 0.038).abs() < 1e-9 && (beside.first_byte_seconds - 0.04).abs() < 1e-9);
        assert!(of(&near.who).beside.clone().unwrap().difference_seconds <= 0.0, "it is the faster one");
    }

    #[test]
    fn only_what_is_new_counts_and_a_few_first_bytes_say_nothing() {
        let (before, now) = (group([10, 0, 0, 0], 443, 10, 30), group([10, 0, 0, 0], 443, 12, 30));
        let model = model(vec![now, group([10, 1, 0, 0], 443, 90, 1)], vec![before]);
        let row = model.rows.iter().find(|r| r.group.totals.first_bytes == 2).unwrap();
        assert_eq!((row.connect_seconds, row.beside.clone()), (Some(0.01), None));
    }
}
