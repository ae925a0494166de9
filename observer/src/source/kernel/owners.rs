//! Which process holds each socket.
//!
//! Going through all open files of a host costs more than its sockets do: it is done only when there is a socket that was
//! not there before.

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use observer_ebpf::abi::socket_owner::Owner as Raw;

use super::{bpf_sys, iterator};
use crate::snapshot::{
    Name,
    tcp::{Owner, Socket},
};

/// Reader of the owners of sockets.
#[derive(Debug)]
pub(super) struct Reader {
    link: OwnedFd,
    bytes: Vec<u8>,
    /// By inode in sockfs; `None` if nobody held it when it was looked for.
    known: HashMap<u64, Option<Owner>>,
}

impl Reader {
    /// Links the iterator; it runs only while it is read.
    pub(super) fn open(program: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { link: bpf_sys::link_iterator(program)?, bytes: Vec::new(), known: HashMap::new() })
    }

    /// Fills in who holds each socket.
    pub(super) fn fill(&mut self, sockets: &mut [Socket]) -> io::Result<()> {
        let open: HashSet<u64> = sockets.iter().map(|s| s.inode).filter(|inode| *inode != 0).collect();
        self.known.retain(|inode, _| open.contains(inode));
        if open.iter().any(|inode| !self.known.contains_key(inode)) {
            self.look(&open)?;
        }
        for socket in sockets {
            socket.owner = self.known.get(&socket.inode).cloned().flatten();
        }
        Ok(())
    }

    /// Goes through the open files of all processes. Where several hold a socket the first one is named: the parent, as a
    /// rule, which has the smaller number.
    fn look(&mut self, open: &HashSet<u64>) -> io::Result<()> {
        let mut held: HashMap<u64, Owner> = HashMap::with_capacity(open.len());
        iterator::read(self.link.as_fd(), &mut self.bytes, |raw: Raw| {
            if open.contains(&raw.inode) {
                held.entry(raw.inode).or_insert_with(|| Owner { pid: raw.tgid, comm: Name::from_c_bytes(&raw.comm) });
            }
        })?;
        self.known = open.iter().map(|inode| (*inode, held.remove(inode))).collect();
        Ok(())
    }
}
