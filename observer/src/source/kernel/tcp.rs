//! Reads the life cycle of TCP connections: counts by network namespace, final numbers of closed connections.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use aya::Ebpf;
use observer_ebpf::abi::tcp::{Closed as RawClosed, ClosedKey, Counts, Namespace, OUTGOING};

use super::{
    cgroup,
    maps::{Array, PerCpuTable, Table},
};
use crate::{
    snapshot::tcp::{Closed, ClosedGroup, ClosedTotals, NamespaceCounts},
    source::netns,
};

/// Which of the probes that count by namespace beside `inet_sock_set_state` are attached, with the fields they need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    /// `tcp_retransmit_skb` with its segments, and `tcp_retransmit_synack`.
    pub(super) retransmits: bool,
    /// `tcp_send_reset`.
    pub(super) resets_sent: bool,
    /// `tcp_receive_reset`.
    pub(super) resets_received: bool,
}

/// Reader of the namespaces' counts.
#[derive(Debug)]
pub(super) struct Namespaces {
    table: PerCpuTable<Namespace, Counts>,
    counted: Counted,
    capacity: u32,
    /// What was given for `ActiveOpens`: a connection that fails before its SYN is taken back a moment later, and a
    /// counter must not shrink.
    opens: HashMap<Namespace, u64>,
}

impl Namespaces {
    /// Opens the map.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32, counted: Counted) -> io::Result<Self> {
        let table = PerCpuTable::open(ebpf, "obs_tcp_netns", capacity)?;
        Ok(Self { table, counted, capacity, opens: HashMap::new() })
    }

    /// Reads the counts of every namespace that was seen.
    pub(super) fn read(&mut self) -> io::Result<Vec<NamespaceCounts>> {
        let mut rows = HashMap::new();
        self.table.for_each(|key, cpus| {
            rows.insert(*key, cpus.fold(Counts::default(), |sum, counts| add(sum, &counts)));
        })?;
        if rows.len() > self.capacity as usize / 4 * 3 {
            self.forget_gone(&mut rows)?;
        }
        self.opens.retain(|key, _| rows.contains_key(key));
        Ok(newest(&rows).into_iter().map(|(key, counts)| self.namespace(key, counts)).collect())
    }

    fn forget_gone(&mut self, rows: &mut HashMap<Namespace, Counts>) -> io::Result<()> {
        let own = netns::own()?;
        let living: HashSet<_> = netns::others(&own).iter().chain([&own]).map(|n| n.inode).collect();
        let gone: Vec<_> = rows.keys().filter(|key| !living.contains(&u64::from(key.inode))).copied().collect();
        for key in gone {
            self.table.delete(&key)?;
            rows.remove(&key);
        }
        Ok(())
    }

    fn namespace(&mut self, key: &Namespace, counts: &Counts) -> NamespaceCounts {
        let Counted { retransmits, resets_sent, resets_received } = self.counted;
        let opens = self.opens.entry(*key).or_default();
        *opens = counts.opens.saturating_sub(counts.unsent).max(*opens);
        NamespaceCounts {
            netns: u64::from(key.inode),
            active_opens: *opens,
            passive_opens: counts.passive,
            // Half-open connections that are reset leave no trace that a tracepoint would show.
            attempt_fails: None,
            estab_resets: Some(counts.estab_resets),
            established: counts.established,
            closed: counts.closed,
            retrans_segs: retransmits.then_some(counts.retrans + counts.retrans_synack),
            resets_sent: resets_sent.then_some(counts.resets_sent),
            resets_received: resets_received.then_some(counts.resets_received),
        }
    }
}

/// Of those with the same inode the one that was first seen last: an inode is used again when nothing of its namespace is left.
/// Cookies tell nothing of that: each CPU hands out numbers of its own (`gen_cookie_next`).
fn newest(rows: &HashMap<Namespace, Counts>) -> Vec<(&Namespace, &Counts)> {
    let mut newest: HashMap<u32, (&Namespace, &Counts)> = HashMap::new();
    for row in rows {
        let kept = newest.entry(row.0.inode).or_insert(row);
        if row.1.begun_ns > kept.1.begun_ns {
            *kept = row;
        }
    }
    newest.into_values().collect()
}

fn add(a: Counts, b: &Counts) -> Counts {
    let Counts {
        opens,
        unsent,
        passive,
        established,
        closed,
        estab_resets,
        retrans,
        retrans_synack,
        resets_sent,
        resets_received,
        begun_ns,
    } = *b;
    Counts {
        opens: a.opens + opens,
        unsent: a.unsent + unsent,
        passive: a.passive + passive,
        established: a.established + established,
        closed: a.closed + closed,
        estab_resets: a.estab_resets + estab_resets,
        retrans: a.retrans + retrans,
        retrans_synack: a.retrans_synack + retrans_synack,
        resets_sent: a.resets_sent + resets_sent,
        resets_received: a.resets_received + resets_received,
        begun_ns: a.begun_ns.max(begun_ns),
    }
}

/// Reader of closed connections.
#[derive(Debug)]
pub(super) struct ClosedReader {
    groups: Table<ClosedKey, RawClosed>,
    other: Array<RawClosed>,
}

impl ClosedReader {
    /// Opens the maps.
    pub(super) fn open(ebpf: &Ebpf) -> io::Result<Self> {
        Ok(Self { groups: Table::open(ebpf, "obs_tcp_closed")?, other: Array::open(ebpf, "obs_tcp_rest")? })
    }

    /// Reads all sums.
    pub(super) fn read(&mut self) -> io::Result<Closed> {
        let mut list = Vec::new();
        self.groups.for_each(|key, value| list.push(group(key, value)))?;
        Ok(Closed { list, other: totals(&self.other.get(0)?) })
    }
}

fn group(key: &ClosedKey, value: &RawClosed) -> ClosedGroup {
    ClosedGroup {
        netns: u64::from(key.netns),
        port: key.port,
        outgoing: key.direction == OUTGOING,
        cgroup: cgroup(key.cgroup),
        totals: totals(value),
    }
}

fn totals(raw: &RawClosed) -> ClosedTotals {
    ClosedTotals {
        connections: raw.connections,
        bytes_acked: raw.bytes_acked,
        bytes_received: raw.bytes_received,
        segs_out: raw.segs_out,
        retrans_segs: raw.retrans,
        srtt_ns_sum: raw.srtt_8us.saturating_mul(1000) / 8,
        timed: raw.timed,
        duration_ns_sum: raw.duration_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_namespaces_with_one_inode_the_last_one_lives() {
        let key = |inode, cookie| Namespace { inode, cookie, zero: 0 };
        let counts = |begun_ns, opens| Counts { begun_ns, opens, ..Counts::default() };
        // The later one was made on a CPU whose cookies are smaller.
        let rows =
            HashMap::from([(key(7, 5000), counts(1, 10)), (key(7, 80), counts(2, 20)), (key(8, 81), counts(1, 5))]);
        let mut found: Vec<_> = newest(&rows).into_iter().map(|(key, counts)| (key.inode, counts.opens)).collect();
        found.sort_unstable();
        assert_eq!(found, [(7, 20), (8, 5)]);
        let sum = add(counts(0, 1), &counts(9, 2));
        assert_eq!((sum.begun_ns, sum.opens), (9, 3));
    }
}
