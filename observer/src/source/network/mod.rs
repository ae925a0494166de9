//! What each network namespace of the host has of its own, read inside of it.

mod aged;
mod details;
mod features;
mod here;
mod holders;
mod interfaces;
mod ipsec;
mod lost_routes;
mod nsid;
mod problems;
mod routes;
mod sockets;
mod turns;
mod underlay;
mod waiting;

use std::{
    collections::{HashMap, HashSet},
    io,
};

use super::{SourceError, file::Buffer, netns::Known, xfrm};
use crate::snapshot::{
    Name,
    coverage::Source,
    network::{Namespace, Network},
    tcp::Socket,
};
use interfaces::Around;
use problems::Problems;

/// Reader of the namespaces.
#[derive(Debug)]
pub struct Reader {
    known: Known,
    buffer: Buffer,
    interfaces: interfaces::Reader,
    ipsec: ipsec::Reader,
    underlay: underlay::Reader,
    routes: routes::Routes,
    holders: holders::Reader,
    /// Events by namespace at the last reading.
    active: HashMap<u64, u64>,
    sockets: sockets::Reader,
    turns: turns::Turns,
    waiting: waiting::Waiting,
}

impl Reader {
    /// Knows the namespace of the calling thread so far.
    pub fn open() -> Result<Self, SourceError> {
        let known = Known::new().map_err(|e| SourceError::io("read", "/proc/thread-self/ns/net", e))?;
        Ok(Self {
            known,
            buffer: Buffer::default(),
            interfaces: interfaces::Reader::default(),
            ipsec: ipsec::Reader::default(),
            underlay: underlay::Reader::default(),
            routes: routes::Routes::default(),
            holders: holders::Reader::default(),
            active: HashMap::new(),
            sockets: sockets::Reader::default(),
            turns: turns::Turns::default(),
            waiting: waiting::Waiting::default(),
        })
    }

    /// Reads the namespaces whose turn it is, all of them unless they are many; `active` are inodes of those in which
    /// connections were seen, and how many events of them. With it comes what is missing, and why.
    pub fn read(&mut self, active: &[(u64, u64)]) -> Result<(Network, Vec<Source>), SourceError> {
        self.known.look(active.iter().map(|(inode, _)| *inode));
        let out_of_reach = self.out_of_reach(active);
        let own = self.known.own();
        let file = own.open().map_err(|e| SourceError::io("open", "/proc/thread-self/ns/net", e))?;
        let around = Around { own: (own.inode, file), others: self.known.others() };
        self.interfaces.begin(self.known.looked());
        self.ipsec.begin(&mut self.buffer);
        let (buffer, interfaces, ipsec) = (&mut self.buffer, &mut self.interfaces, &self.ipsec);
        let mut problems = Problems::default();
        let others: Vec<u64> = self.known.others().iter().map(|other| other.inode).collect();
        let mut chosen = self.turns.choose(&others);
        chosen.insert(own.inode);
        let visits = self.known.visit_some(&chosen, |namespace| {
            let mut here = here::read(namespace, buffer, &mut problems);
            interfaces.read_here(&mut here, &around, &mut problems);
            here.xfrm = ipsec.read(buffer, &mut problems);
            if let (Some(tunnels), Some(xfrm)) = (&mut here.tunnels, &here.xfrm) {
                xfrm::add_to(tunnels, here.netns, xfrm);
            }
            here
        });
        let visits = visits.map_err(|e| SourceError::io("visit", "network namespaces", e))?;
        let found = others.len() as u64 + 1;
        let mut network = Network { not_read: found - chosen.len() as u64, ..Network::default() };
        let (mut refused, mut count) = (None, 0);
        for (inode, visit) in visits {
            match visit {
                Ok(namespace) => network.namespaces.push(Namespace { own: inode == own.inode, ..namespace }),
                Err(e) => {
                    count += 1;
                    refused.get_or_insert(e);
                }
            }
        }
        network.not_read += count;
        let read: HashSet<u64> = network.namespaces.iter().map(|namespace| namespace.netns).collect();
        network.waiting = self.waiting.list(&self.known, |inode| read.contains(&inode), &mut self.buffer);
        self.turns.note(network.namespaces.iter());
        self.sockets.fill(&mut network, &self.known, &mut problems);
        self.underlay.fill(&mut network, &self.known, &mut self.routes, &mut problems);
        problems.value(Source::TUN, self.holders.fill(&mut network));
        let refused = refused.map(|e| Source::missing(Source::NETWORK_PARTS, not_entered(count, found, &e)));
        Ok((network, refused.into_iter().chain(out_of_reach).chain(problems.into_sources()).collect()))
    }

    /// Finds the way of connections that have lost their route, in the namespaces that were just read and have a tunnel; what is
    /// missing, and why.
    pub fn find_lost_routes(&mut self, sockets: &mut [Socket], network: &Network) -> Vec<Source> {
        let mut problems = Problems::default();
        lost_routes::find(sockets, network, &self.known, &mut self.routes, &mut problems);
        problems.into_sources()
    }

    /// Namespaces that were searched for everywhere in vain, and in which connections have come or gone since.
    fn out_of_reach(&mut self, active: &[(u64, u64)]) -> Option<Source> {
        let before = std::mem::replace(&mut self.active, active.iter().copied().collect());
        let lives = |(inode, events): &&(u64, u64)| before.get(inode).is_some_and(|before| before < events);
        let count = active.iter().filter(|(inode, _)| self.known.is_nowhere(*inode)).filter(lives).count();
        let text = format!("connections come and go in {count} more, to which no process, mount or open file leads");
        (count > 0).then(|| Source::missing(Source::NETWORK_PARTS, text.into()))
    }
}

fn not_entered(not_read: u64, found: u64, why: &io::Error) -> Name {
    let remedy = match why.kind() {
        io::ErrorKind::PermissionDenied => " (needs CAP_SYS_ADMIN)",
        _ => "",
    };
    Name::from(format!("{not_read} of {found} cannot be entered: {why}{remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_is_first_and_has_its_counters() {
        let mut reader = Reader::open().unwrap();
        let (network, _) = reader.read(&[]).unwrap();
        let first = network.namespaces.first().unwrap();
        assert!(first.own && network.namespaces.iter().filter(|n| n.own).count() == 1);
        assert_eq!(first.process.as_ref().map(|p| p.pid), Some(std::process::id()));
        assert!(first.snmp.is_some() && first.netstat.is_some() && first.ip.is_some());
        assert!(first.links.as_ref().is_some_and(|links| links.list.iter().any(|l| l.name.as_str() == "lo")));
        assert!(first.tunnels.is_some());
    }

    #[test]
    fn what_was_not_entered_says_why_and_what_is_needed() {
        let text = not_entered(2, 5, &io::Error::from_raw_os_error(libc::EPERM));
        let expected = "2 of 5 cannot be entered: Operation not permitted (os error 1) (needs CAP_SYS_ADMIN)";
        assert_eq!(text.as_str(), expected);
    }
}
