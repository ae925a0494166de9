//! Reads every open TCP socket of every network namespace through the iterator.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use aya::Ebpf;
use observer_ebpf::abi::socket::{Counted, Socket as Raw};

use super::{
    bpf_sys, iterator,
    maps::Array,
    netns::{self, Namespace},
    socket::Decoder,
};
use crate::snapshot::tcp::{SocketTotals, Sockets};

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
        let mut reads = Reads::default();
        // A thread of its own: it changes its network namespace and never changes back.
        std::thread::scope(|scope| scope.spawn(|| self.read_all(&mut reads)).join())
            .map_err(|_| io::Error::other("the thread that reads the namespaces panicked"))??;
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

    fn read_all(&self, reads: &mut Reads) -> io::Result<()> {
        self.read_here(self.own.inode, reads)?;
        for namespace in self.others.iter().take(MAX_NAMESPACES) {
            match namespace.enter().and_then(|()| self.read_here(namespace.inode, reads)) {
                Ok(()) => {}
                // It ended since it was found: nothing is missing.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(_) => reads.failed += 1,
            }
        }
        Ok(())
    }

    /// Reads the namespace that the thread is in.
    fn read_here(&self, netns: u64, reads: &mut Reads) -> io::Result<()> {
        let records = &mut reads.records;
        iterator::read(self.link.as_fd(), &mut reads.bytes, |raw| records.push((netns, raw)))?;
        reads.done += 1;
        Ok(())
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
