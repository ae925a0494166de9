//! Reads every listening TCP socket of every network namespace through an iterator of its own: that of all sockets would
//! have to keep them apart from a great many.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use observer_ebpf::abi::listener::Listener as Raw;

use super::{bpf_sys, cgroup, maps::record, socket::address};
use crate::{
    snapshot::tcp::Listener,
    source::netns::{Known, Visit},
};

/// Listening sockets that a snapshot keeps, those with the longest queues and the most drops.
const MOST: usize = 1000;
/// Bytes that one read asks for.
const BUFFER: usize = 32 * 1024;

/// Reader of listening sockets.
#[derive(Debug)]
pub(super) struct Reader {
    link: OwnedFd,
    /// Read-only globals of fields that the kernel does not have.
    missing: Vec<&'static str>,
}

impl Reader {
    /// Links the iterator; it runs only while it is read.
    pub(super) fn open(program: BorrowedFd<'_>, missing: Vec<&'static str>) -> io::Result<Self> {
        Ok(Self { link: bpf_sys::link_iterator(program)?, missing })
    }

    /// Reads the listening sockets of the namespaces that are known.
    pub(super) fn read(&self, known: &Known) -> io::Result<Vec<Listener>> {
        let mut records = Vec::new();
        let visits = known.visit(|namespace| {
            let bytes = self.read_here()?;
            let raws = bytes.chunks_exact(size_of::<Raw>()).filter_map(record::<Raw>);
            records.extend(raws.map(|raw| (namespace.inode, raw)));
            Ok(())
        })?;
        for (place, (_, visit)) in visits.into_iter().enumerate() {
            match visit {
                Visit::Failed(e) if place == 0 => return Err(e),
                Visit::Read(()) | Visit::Gone | Visit::Failed(_) => {}
            }
        }
        records.sort_by_key(|(_, raw)| std::cmp::Reverse((raw.drops, raw.queue)));
        records.truncate(MOST);
        Ok(records.iter().map(|(netns, raw)| self.listener(*netns, raw)).collect())
    }

    /// Reads the namespace that the thread is in.
    fn read_here(&self) -> io::Result<Vec<u8>> {
        let mut file = File::from(bpf_sys::open_iterator(self.link.as_fd())?);
        let (mut bytes, mut filled) = (Vec::new(), 0);
        loop {
            bytes.resize(filled + BUFFER, 0);
            match file.read(bytes.get_mut(filled..).unwrap_or_default()) {
                Ok(n) if n > 0 => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // With the first socket that does not listen the program gives up.
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn listener(&self, netns: u64, raw: &Raw) -> Listener {
        let known = |symbol: &str, value| (!self.missing.contains(&symbol)).then_some(value);
        Listener {
            cookie: raw.cookie,
            netns,
            local: (address(raw.family, raw.local), raw.port),
            uid: raw.uid,
            inode: raw.inode,
            owner: None,
            cgroup: cgroup(raw.cgroup),
            queue: known("SK_ACK_BACKLOG", raw.queue),
            limit: known("SK_MAX_ACK_BACKLOG", raw.limit),
            drops: known("SK_DROPS", raw.drops),
        }
    }
}
