//! The two ways in which observer finds open sockets.

use observer::{
    snapshot::tcp::{Socket, Sockets},
    source::{kernel::Kernel, sock_diag},
};

use super::observer::{load, read};

/// Both of them.
#[derive(Debug)]
pub(crate) struct Eyes {
    /// The BPF iterators.
    pub(crate) kernel: Kernel,
    /// `NETLINK_SOCK_DIAG` and /proc.
    pub(crate) diag: sock_diag::Reader,
}

impl Eyes {
    /// Loads the one and opens the other.
    pub(crate) fn open() -> Self {
        Self { kernel: load(), diag: sock_diag::Reader::open(1_000_000, false).expect("the own namespace") }
    }

    /// What the iterators see.
    pub(crate) fn iterator(&mut self) -> Sockets {
        read(&mut self.kernel).tcp.sockets.expect("the iterator is loaded")
    }

    /// What sock_diag sees.
    pub(crate) fn diag(&mut self) -> Sockets {
        self.diag.read().expect("the kernel has sock_diag").0
    }

    /// What each of them sees, and its name.
    pub(crate) fn look(&mut self) -> [(&'static str, Sockets); 2] {
        [("iterator", self.iterator()), ("sock_diag", self.diag())]
    }
}

/// The sockets of one namespace that have this port at either end.
pub(crate) fn with_port(sockets: &Sockets, netns: u64, port: u16) -> Vec<&Socket> {
    sockets.list.iter().filter(|s| s.netns == netns && (s.local.1 == port || s.remote.1 == port)).collect()
}
