//! Which process holds each socket.
//!
//! Going through all open files of a host costs more than its sockets do: it is done only when there is a socket that was
//! not there before and of which nobody was seen to open it, and it takes a small share of the time at most.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use observer_ebpf::abi::socket_owner::Owner as Raw;

use super::{bpf_sys, iterator};
use crate::source::traffic::Holder;

/// A walk comes after so many times the time that the last one took.
const REST: u32 = 20;

/// Reader of the owners of sockets.
#[derive(Debug)]
pub(super) struct Reader {
    link: OwnedFd,
    bytes: Vec<u8>,
    /// Process by inode in sockfs; 0 if nobody held it when it was looked for.
    sockets: HashMap<u64, u32>,
    processes: HashMap<u32, Holder>,
    /// Inodes that were asked for in vain.
    wanted: Vec<u64>,
    /// When the next walk may begin.
    next: Option<Instant>,
}

impl Reader {
    /// Links the iterator; it runs only while it is read.
    pub(super) fn open(program: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self {
            link: bpf_sys::link_iterator(program)?,
            bytes: Vec::new(),
            sockets: HashMap::new(),
            processes: HashMap::new(),
            wanted: Vec::new(),
            next: None,
        })
    }

    /// Asks for the process that holds a socket, if it was not looked for yet.
    pub(super) fn want(&mut self, inode: u64) {
        if inode != 0 && !self.sockets.contains_key(&inode) {
            self.wanted.push(inode);
        }
    }

    /// Goes through the open files of all processes if any socket is wanted and it is time.
    pub(super) fn look(&mut self) -> io::Result<()> {
        let wanted = std::mem::take(&mut self.wanted);
        let begin = Instant::now();
        if wanted.is_empty() || self.next.is_some_and(|next| begin < next) {
            return Ok(());
        }
        self.walk()?;
        for inode in wanted {
            self.sockets.entry(inode).or_insert(0);
        }
        let end = Instant::now();
        self.next = Some(end + (end - begin).min(Duration::from_secs(1)) * REST);
        Ok(())
    }

    /// The process that holds a socket, as far as it is known.
    pub(super) fn holder(&self, inode: u64) -> Option<Holder> {
        self.processes.get(self.sockets.get(&inode)?).copied()
    }

    /// Where several hold a socket the first one is named: the parent, as a rule, which has the smaller number.
    fn walk(&mut self) -> io::Result<()> {
        let (sockets, processes) = (&mut self.sockets, &mut self.processes);
        sockets.clear();
        processes.clear();
        iterator::read(self.link.as_fd(), &mut self.bytes, |raw: Raw| {
            sockets.entry(raw.inode).or_insert(raw.tgid);
            let holder = Holder { pid: raw.tgid, comm: raw.comm, cgroup: raw.cgroup };
            processes.entry(raw.tgid).or_insert(holder);
        })
    }
}
