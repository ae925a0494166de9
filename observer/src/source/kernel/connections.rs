//! Sockets of every network namespace: those that listen, those that are open, those without room, who holds them and what
//! they carry. All read the same list of namespaces: looking for them goes through all of /proc.

use super::{buffers, keep, listeners, owners, sockets, traffic, unread};
use crate::{
    snapshot::{
        Coverage, Snapshot,
        tcp::{Owner, Tcp},
    },
    source::netns::Known,
};

/// Readers of sockets; one is `None` if its program is not loaded.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) known: Option<Known>,
    pub(super) listeners: Option<listeners::Reader>,
    pub(super) sockets: Option<sockets::Reader>,
    pub(super) owners: Option<owners::Reader>,
    pub(super) traffic: Option<traffic::Reader>,
    pub(super) buffers: Option<buffers::Reader>,
}

impl Connections {
    /// Fills in all that is known of sockets; the namespaces in which connections were seen are there already.
    pub(super) fn read(&mut self, snapshot: &mut Snapshot) {
        let Snapshot { tcp, coverage, buffers, .. } = snapshot;
        let is_read =
            keep(coverage, "buffers", self.buffers.as_mut(), |reader| reader.read(self.owners.as_mut())).is_some();
        self.look(tcp);
        self.listeners(tcp, coverage);
        self.sockets(tcp, coverage);
        for listener in tcp.listeners.iter_mut().flatten() {
            listener.owner = self.holder(listener.inode);
        }
        let reader = self.buffers.as_mut().filter(|_| is_read);
        *buffers = keep(coverage, "buffers", reader, |reader| reader.told(self.owners.as_ref()));
    }

    /// Reads those that are open alone; the namespaces are there already as well.
    pub(super) fn open(&mut self, tcp: &mut Tcp, coverage: &mut Coverage) {
        self.look(tcp);
        self.sockets(tcp, coverage);
    }

    fn look(&mut self, tcp: &Tcp) {
        self.known.iter_mut().for_each(|known| known.look(tcp.namespaces.iter().flatten().map(|n| n.netns)));
    }

    /// Reads those that are open, with what they carry: their sums must not miss a reading.
    fn sockets(&mut self, tcp: &mut Tcp, coverage: &mut Coverage) {
        let Some(known) = &mut self.known else { return };
        let (owners, traffic) = (&mut self.owners, &mut self.traffic);
        if self.sockets.is_some()
            && let Some(Err(error)) = traffic.as_mut().map(traffic::Reader::begin)
        {
            coverage.sources.push(unread("tcp.traffic", &error));
            *traffic = None;
        }
        tcp.sockets = keep(coverage, "tcp.sockets", self.sockets.as_mut(), |reader| {
            reader.read(known, |netns, raw, read_before| {
                if let Some(owners) = owners.as_mut().filter(|_| raw.opener == 0) {
                    owners.want(raw.inode);
                }
                traffic.as_mut().map_or(0, |traffic| traffic.look(netns, raw, read_before))
            })
        });
        if keep(coverage, "tcp.owners", self.owners.as_mut(), owners::Reader::look).is_some() {
            for socket in tcp.sockets.iter_mut().flat_map(|sockets| &mut sockets.list) {
                socket.owner = self.holder(socket.inode).or_else(|| socket.owner.take());
            }
        }
        let sockets = self.sockets.as_ref().filter(|_| tcp.sockets.is_some());
        if let Some((traffic, sockets)) = self.traffic.as_mut().zip(sockets) {
            tcp.traffic = keep(coverage, "tcp.traffic", Some(traffic), |traffic| {
                Ok(traffic.credit(self.owners.as_ref(), |netns| sockets.has_read(netns)))
            });
        }
    }

    /// Reads those that listen, and asks for the processes that are not known yet.
    fn listeners(&mut self, tcp: &mut Tcp, coverage: &mut Coverage) {
        let Some(known) = &mut self.known else { return };
        tcp.listeners = keep(coverage, "tcp.listeners", self.listeners.as_ref(), |reader| reader.read(known));
        for listener in tcp.listeners.iter().flatten() {
            self.owners.iter_mut().for_each(|owners| owners.want(listener.inode));
        }
    }

    fn holder(&self, inode: u64) -> Option<Owner> {
        Some(self.owners.as_ref()?.holder(inode)?.owner())
    }
}
