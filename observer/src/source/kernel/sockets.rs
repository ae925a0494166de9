//! Reads every open TCP socket of every network namespace through the iterator.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use aya::Ebpf;
use observer_ebpf::abi::socket::{Counted, Socket as Raw};

use super::{bpf_sys, iterator, maps::Array, socket::Decoder};
use crate::{
    snapshot::tcp::{SocketTotals, Sockets},
    source::netns::{Known, Visit},
};

/// Reader of sockets.
#[derive(Debug)]
pub(super) struct Reader {
    link: OwnedFd,
    counted: Array<u64>,
    decoder: Decoder,
    max_sockets: usize,
    known: Known,
}

impl Reader {
    /// Links the iterator; it runs only while it is read.
    pub(super) fn open(ebpf: &Ebpf, program: BorrowedFd<'_>, decoder: Decoder, max_sockets: usize) -> io::Result<Self> {
        Ok(Self {
            link: bpf_sys::link_iterator(program)?,
            counted: Array::open(ebpf, "obs_tcp_counted")?,
            decoder,
            max_sockets,
            known: Known::new()?,
        })
    }

    /// Reads all sockets; `active` are the namespaces in which connections were seen.
    pub(super) fn read(&mut self, active: impl Iterator<Item = u64>) -> io::Result<Sockets> {
        self.known.look(active);
        let before = self.counts()?;
        let reads = self.read_all()?;
        let after = self.counts()?;
        let [listening, time_wait, syn_recv] =
            std::array::from_fn(|i| after.get(i).zip(before.get(i)).map_or(0, |(a, b)| a - b));
        let (list, other) = self.select(reads.records);
        let list = list.iter().map(|(netns, raw)| self.decoder.socket(*netns, raw)).collect();
        Ok(Sockets {
            list,
            other,
            listening,
            time_wait,
            syn_recv,
            namespaces: reads.done,
            namespaces_not_read: reads.failed + self.known.not_visited(),
        })
    }

    fn read_all(&self) -> io::Result<Reads> {
        let mut reads = Reads::default();
        let (records, bytes) = (&mut reads.records, &mut reads.bytes);
        let visits = self
            .known
            .visit(|namespace| iterator::read(self.link.as_fd(), bytes, |raw| records.push((namespace.inode, raw))))?;
        for (place, (_, visit)) in visits.into_iter().enumerate() {
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
