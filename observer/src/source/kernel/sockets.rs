//! Reads every open TCP socket of every network namespace through the iterator.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use aya::Ebpf;
use observer_ebpf::abi::socket::{Counted, Socket as Raw};

use super::{bpf_sys, iterator, maps::Array, socket::Decoder};
use crate::{
    snapshot::tcp::{SocketTotals, Sockets},
    source::netns::{self, Namespace, Visit},
};

/// Namespaces that are read at most: each read walks the kernel's whole table of connections.
const MAX_NAMESPACES: usize = 64;
/// Between two looks for new namespaces that nothing points to.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Between two looks when a namespace shows traffic that was not found yet.
const LOOK_SOON: Duration = Duration::from_millis(500);

/// Reader of sockets.
#[derive(Debug)]
pub(super) struct Reader {
    link: OwnedFd,
    counted: Array<u64>,
    decoder: Decoder,
    max_sockets: usize,
    own: Namespace,
    others: Vec<Namespace>,
    looked: Option<Instant>,
}

impl Reader {
    /// Links the iterator; it runs only while it is read.
    pub(super) fn open(ebpf: &Ebpf, program: BorrowedFd<'_>, decoder: Decoder, max_sockets: usize) -> io::Result<Self> {
        Ok(Self {
            link: bpf_sys::link_iterator(program)?,
            counted: Array::open(ebpf, "obs_tcp_counted")?,
            decoder,
            max_sockets,
            own: netns::own()?,
            others: Vec::new(),
            looked: None,
        })
    }

    /// Reads all sockets; `active` are the namespaces in which connections were seen.
    pub(super) fn read(&mut self, active: impl Iterator<Item = u64>) -> io::Result<Sockets> {
        self.look_for_namespaces(active);
        let before = self.counts()?;
        let reads = self.read_all()?;
        let after = self.counts()?;
        let [listening, time_wait, syn_recv] =
            std::array::from_fn(|i| after.get(i).zip(before.get(i)).map_or(0, |(a, b)| a - b));
        let (list, other) = self.select(reads.records);
        let list = list.iter().map(|(netns, raw)| self.decoder.socket(*netns, raw)).collect();
        let not_read = reads.failed + self.others.len().saturating_sub(MAX_NAMESPACES) as u64;
        Ok(Sockets {
            list,
            other,
            listening,
            time_wait,
            syn_recv,
            namespaces: reads.done,
            namespaces_not_read: not_read,
        })
    }

    fn look_for_namespaces(&mut self, mut active: impl Iterator<Item = u64>) {
        let age = self.looked.map(|at| at.elapsed());
        let known = |inode| inode == self.own.inode || self.others.iter().any(|n| n.inode == inode);
        let due = age.is_none_or(|age| age > LOOK_AGAIN || age > LOOK_SOON && active.any(|inode| !known(inode)));
        if due {
            self.others = netns::others(&self.own);
            self.looked = Some(Instant::now());
        }
    }

    fn read_all(&self) -> io::Result<Reads> {
        let mut reads = Reads::default();
        let (records, bytes) = (&mut reads.records, &mut reads.bytes);
        let others = self.others.get(..MAX_NAMESPACES.min(self.others.len())).unwrap_or_default();
        let visits = netns::visit(&self.own, others, |namespace| {
            iterator::read(self.link.as_fd(), bytes, |raw| records.push((namespace.inode, raw)))
        })?;
        for (place, visit) in visits.into_iter().enumerate() {
            match visit {
                Visit::Read(()) => reads.done += 1,
                Visit::Gone => {}
                Visit::Failed(e) if place == 0 => return Err(e),
                Visit::Failed(_) => reads.failed += 1,
            }
        }
        Ok(reads)
    }

    /// Sockets that are counted in the kernel, in the order of [`Counted`].
    fn counts(&self) -> io::Result<[u64; 3]> {
        let [a, b, c] =
            [Counted::Listening, Counted::TimeWait, Counted::NewSynRecv].map(|what| self.counted.get(what as u32));
        Ok([a?, b?, c?])
    }

    /// The sockets that carried the most bytes, and the sum of the rest.
    fn select(&self, mut records: Vec<(u64, Raw)>) -> (Vec<(u64, Raw)>, SocketTotals) {
        let mut other = SocketTotals::default();
        if records.len() > self.max_sockets {
            let bytes = |raw: &Raw| raw.bytes_acked.saturating_add(raw.bytes_received);
            records.select_nth_unstable_by_key(self.max_sockets, |(_, raw)| std::cmp::Reverse(bytes(raw)));
            for (_, raw) in records.drain(self.max_sockets..) {
                other.sockets += 1;
                other.bytes_acked += raw.bytes_acked;
                other.bytes_received += raw.bytes_received;
                other.retrans_segs += u64::from(raw.total_retrans);
            }
        }
        (records, other)
    }
}

/// What one round of reads gave.
#[derive(Debug, Default)]
struct Reads {
    records: Vec<(u64, Raw)>,
    bytes: Vec<u8>,
    done: u64,
    failed: u64,
}
