//! Series of handshakes and first bytes, by service and network of the other end.

use super::{
    super::top_k::{Counts, Row, TopK},
    BUCKETS, bucket_counts,
};
use crate::snapshot::tcp::{FirstByteGroup, FirstByteTotals, FirstBytes, Who};

/// Places of the counts. The stages are in the order of [`STAGES`].
pub(in crate::output::metrics) const FAILED: usize = 0;
pub(in crate::output::metrics) const SYN_RETRANS: usize = 1;
pub(in crate::output::metrics) const RUN_DELAY_NS: usize = 2;
pub(in crate::output::metrics) const RUN_DELAYS: usize = 3;
pub(in crate::output::metrics) const CONNECT_NS: usize = 4;
pub(in crate::output::metrics) const FIRST_STAGE: usize = 5;
pub(in crate::output::metrics) const CONNECT_BUCKETS: usize = FIRST_STAGE + STAGES.len();
pub(in crate::output::metrics) const FIRST_BYTE_BUCKETS: usize = CONNECT_BUCKETS + BUCKETS;
const COUNTS: usize = FIRST_BYTE_BUCKETS + BUCKETS;

/// Names of the stages, in the order of time.
pub(in crate::output::metrics) const STAGES: [&str; 6] = ["connect", "request", "wire", "server", "softirq", "read"];

/// Buckets of a histogram among the counts.
pub(in crate::output::metrics) fn histogram(counts: &[u64], first: usize) -> impl Iterator<Item = u64> {
    counts.iter().skip(first).take(BUCKETS).copied()
}

/// Names a group for good: namespace, network, port, direction.
type Key = (u64, Who, u16, bool);

/// The series, by network, port and direction.
#[derive(Debug)]
pub(in crate::output::metrics) struct FirstByteSeries(pub(in crate::output::metrics) TopK<Key, COUNTS>);

impl FirstByteSeries {
    pub(super) fn new(top: usize) -> Self {
        Self(TopK::new(top, |c| histogram(c, CONNECT_BUCKETS).chain(histogram(c, FIRST_BYTE_BUCKETS)).sum()))
    }

    /// Each connection is in two groups; those of networks have each once.
    pub(super) fn update(&mut self, at: u64, first_bytes: &FirstBytes) {
        let rows = first_bytes.list.iter().filter_map(|g| {
            let label = match &g.who {
                Who::Network { address, bits } => Some(label(g, format!("{address}/{bits}"))),
                Who::OtherNetworks => None,
                Who::Process { .. } | Who::OtherProcesses => return None,
            };
            Some(Row { key: (g.netns, g.who.clone(), g.port, g.outgoing), label, counts: counts(&g.totals) })
        });
        self.0.update(at, rows, None);
    }
}

fn label(g: &FirstByteGroup, network: String) -> Vec<String> {
    vec![network, g.port.to_string(), if g.outgoing { "out" } else { "in" }.to_owned()]
}

fn counts(t: &FirstByteTotals) -> Counts<COUNTS> {
    let s = &t.stages;
    let first = [t.failed, t.syn_retrans, t.run_delay_ns, t.run_delays, t.connect_ns_sum];
    let stages = [s.connect, s.request, s.wire, s.server, s.softirq, s.read];
    let all = first.into_iter().chain(stages).chain(bucket_counts(&t.connect_ns)).chain(bucket_counts(&t.total_ns));
    let mut counts = [0; COUNTS];
    counts.iter_mut().zip(all).for_each(|(count, n)| *count = n);
    counts
}
