//! Sockets of every network namespace: those that listen, those that are open, who holds them and what they carry. All read
//! the same list of namespaces: looking for them goes through all of /proc.

use super::{keep, listeners, owners, sockets, traffic, unread};
use crate::{
    snapshot::{Coverage, tcp::Tcp},
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
}

impl Connections {
    /// Fills in all that is known of sockets; the namespaces in which connections were seen are there already.
    pub(super) fn read(&mut self, tcp: &mut Tcp, coverage: &mut Coverage) {
        let Some(known) = &mut self.known else { return };
        known.look(tcp.namespaces.iter().flatten().map(|n| n.netns));
        tcp.listeners = keep(coverage, "tcp.listeners", self.listeners.as_ref(), |reader| reader.read(known));
        let Some(reader) = self.sockets.as_mut() else { return };
        let (owners, traffic) = (&mut self.owners, &mut self.traffic);
        if let Some(Err(error)) = traffic.as_mut().map(traffic::Reader::begin) {
            coverage.sources.push(unread("tcp.traffic", &error));
            *traffic = None;
        }
        tcp.sockets = keep(coverage, "tcp.sockets", Some(&mut *reader), |reader| {
            reader.read(known, |netns, raw, read_before| {
                if let Some(owners) = owners.as_mut().filter(|_| raw.opener == 0) {
                    owners.want(raw.inode);
                }
                traffic.as_mut().map_or(0, |traffic| traffic.look(netns, raw, read_before))
            })
        });
        let Some(sockets) = &mut tcp.sockets else { return };
        if keep(coverage, "tcp.owners", owners.as_mut(), owners::Reader::look).is_some() {
            let holder = |inode| owners.as_ref().and_then(|owners| owners.holder(inode));
            for socket in &mut sockets.list {
                socket.owner = holder(socket.inode).map(|holder| holder.owner()).or_else(|| socket.owner.take());
            }
        }
        tcp.traffic = keep(coverage, "tcp.traffic", traffic.as_mut(), |traffic| {
            Ok(traffic.credit(owners.as_ref(), |netns| reader.has_read(netns)))
        });
    }
}
