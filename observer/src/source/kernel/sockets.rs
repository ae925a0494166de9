//! Reads every open TCP socket of every network namespace through the iterator.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use aya::Ebpf;
use observer_ebpf::abi::socket::{Counted, Socket as Raw};

use super::{bpf_sys, busiest::Busiest, iterator, maps::Array, socket::Decoder, sockstat};
use crate::{
    snapshot::tcp::Sockets,
    source::netns::{Known, Namespace, Visit},
};

/// Time that the namespaces may take in one snapshot, as each read walks the kernel's whole table of connections. The others
/// have their turn in the next one. One besides the own is read always: where each takes long, none would ever have a turn.
const TIME: Duration = Duration::from_millis(100);
/// Namespaces without a turn that are named.
const MAX_WAITING: usize = 256;

/// Reader of sockets.
#[derive(Debug)]
pub(super) struct Reader {
    link: OwnedFd,
    counted: Array<u64>,
    decoder: Decoder,
    max_sockets: usize,
    round: u64,
    /// Round in which each namespace was read last.
    read: HashMap<u64, u64>,
    bytes: Vec<u8>,
}

/// What became of a namespace.
enum Outcome {
    /// It was read, or has no socket.
    Read,
    /// There was no time left.
    Waits,
}

impl Reader {
    /// Links the iterator; it runs only while it is read.
    pub(super) fn open(ebpf: &Ebpf, program: BorrowedFd<'_>, decoder: Decoder, max_sockets: usize) -> io::Result<Self> {
        Ok(Self {
            link: bpf_sys::link_iterator(program)?,
            counted: Array::open(ebpf, "obs_tcp_counted")?,
            decoder,
            max_sockets,
            round: 0,
            read: HashMap::new(),
            bytes: Vec::new(),
        })
    }

    /// Reads all sockets of the namespaces that are known. `weigh` is shown each socket, with its
    /// namespace and whether that was read before, and says how much it weighs: the heaviest are listed.
    pub(super) fn read(
        &mut self,
        known: &mut Known,
        mut weigh: impl FnMut(u64, &Raw, bool) -> u64 + Send,
    ) -> io::Result<Sockets> {
        self.round += 1;
        let before = self.counts()?;
        let mut busiest = Busiest::new(self.max_sockets);
        let mut sockets = Sockets::default();
        self.read_all(known, &mut sockets, |netns, raw, read_before| {
            busiest.push(weigh(netns, raw, read_before), netns, raw);
        })?;
        let after = self.counts()?;
        let [listening, time_wait, syn_recv] =
            std::array::from_fn(|i| after.get(i).zip(before.get(i)).map_or(0, |(a, b)| a - b));
        let (list, other) = busiest.finish();
        let list = list.iter().map(|(netns, raw)| self.decoder.socket(*netns, raw)).collect();
        Ok(Sockets { list, other, listening, time_wait, syn_recv, ..sockets })
    }

    /// True if the sockets of a namespace were all read in the last round, or if the namespace is no more.
    pub(super) fn has_read(&self, netns: u64) -> bool {
        self.read.get(&netns).is_none_or(|round| *round == self.round)
    }

    /// Reads the own namespace and then the others, the one that was not read for the longest time first.
    fn read_all(
        &mut self,
        known: &mut Known,
        sockets: &mut Sockets,
        mut each: impl FnMut(u64, &Raw, bool) + Send,
    ) -> io::Result<()> {
        let (link, bytes, read, round) = (&self.link, &mut self.bytes, &mut self.read, self.round);
        read.retain(|inode, _| known.knows(*inode));
        let last = read.clone();
        let (end, mut visited, mut waiting) = (Instant::now() + TIME, 0_usize, Vec::new());
        let turn = |namespace: &Namespace| last.get(&namespace.inode).copied().unwrap_or(0);
        let visits = known.visit_by_turns(turn, |namespace| {
            let (inode, own) = (namespace.inode, visited == 0);
            if visited > 1 && Instant::now() > end {
                waiting.push(inode);
                return Ok(Outcome::Waits);
            }
            visited += 1;
            let read_before = read.insert(inode, round).is_some();
            if own || !sockstat::is_empty() {
                iterator::read(link.as_fd(), bytes, |raw| each(inode, &raw, read_before))?;
            }
            Ok(Outcome::Read)
        })?;
        waiting.truncate(MAX_WAITING);
        sockets.waiting = waiting;
        for (place, visit) in visits.into_iter().enumerate() {
            match visit {
                Visit::Read(Outcome::Read) => sockets.namespaces += 1,
                Visit::Read(Outcome::Waits) => sockets.namespaces_waiting += 1,
                Visit::Gone => {}
                Visit::Failed(e) if place == 0 => return Err(e),
                Visit::Failed(_) => sockets.namespaces_not_read += 1,
            }
        }
        Ok(())
    }

    /// Sockets that are counted in the kernel, in the order of [`Counted`].
    fn counts(&self) -> io::Result<[u64; 3]> {
        let [a, b, c] =
            [Counted::Listening, Counted::TimeWait, Counted::NewSynRecv].map(|what| self.counted.get(what as u32));
        Ok([a?, b?, c?])
    }
}
