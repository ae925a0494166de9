//! What each network namespace of the host has of its own, read inside of it.

use std::io;

use super::{
    Malformed, Root, SourceError,
    file::Buffer,
    ip,
    netns::{self, Known, Visit},
    tcp,
};
use crate::snapshot::{
    Name,
    network::{Namespace, Network},
    tcp::Owner,
};

/// Reader of the namespaces.
#[derive(Debug)]
pub struct Reader {
    known: Known,
    buffer: Buffer,
}

impl Reader {
    /// Knows the namespace of the calling thread so far.
    pub fn open() -> Result<Self, SourceError> {
        let known = Known::new().map_err(|e| SourceError::io("read", "/proc/thread-self/ns/net", e))?;
        Ok(Self { known, buffer: Buffer::default() })
    }

    /// Reads every namespace; `active` are inodes of those in which connections were seen. With it comes why a part of it
    /// is missing, where one is.
    pub fn read(&mut self, active: impl Iterator<Item = u64>) -> Result<(Network, Option<Name>), SourceError> {
        self.known.look(active);
        let (buffer, mut problem) = (&mut self.buffer, None);
        let visits = self.known.visit(|namespace| Ok(read_here(namespace, buffer, &mut problem)));
        let visits = visits.map_err(|e| SourceError::io("visit", "network namespaces", e))?;
        let found = visits.len() as u64 + self.known.not_visited();
        let mut network = Network { not_read: self.known.not_visited(), ..Network::default() };
        let mut refused = None;
        for (place, (_, visit)) in visits.into_iter().enumerate() {
            match visit {
                Visit::Read(namespace) => network.namespaces.push(Namespace { own: place == 0, ..namespace }),
                Visit::Gone => {}
                Visit::Failed(e) => {
                    network.not_read += 1;
                    refused.get_or_insert(e);
                }
            }
        }
        let missing = refused.map(|e| not_entered(network.not_read, found, &e)).or(problem.map(|e| e.reason()));
        Ok((network, missing))
    }
}

fn not_entered(not_read: u64, found: u64, why: &io::Error) -> Name {
    let remedy = match why.kind() {
        io::ErrorKind::PermissionDenied => " (needs CAP_SYS_ADMIN)",
        _ => "",
    };
    Name::from(format!("{not_read} of {found} cannot be entered: {why}{remedy}"))
}

/// Reads the namespace that the thread is in. /proc/net would show the one of the process.
fn read_here(found: &netns::Namespace, buffer: &mut Buffer, problem: &mut Option<SourceError>) -> Namespace {
    fn part<T>(
        buffer: &mut Buffer,
        problem: &mut Option<SourceError>,
        path: &str,
        parse: fn(&[u8]) -> Result<T, Malformed>,
    ) -> Option<T> {
        buffer.parse(&Root::default(), path, parse).map_err(|e| problem.get_or_insert(e)).ok()
    }
    const SNMP: &str = "/proc/thread-self/net/snmp";
    Namespace {
        netns: found.inode,
        names: found.names.clone(),
        process: found.pid.and_then(|pid| owner(pid, buffer)),
        snmp: part(buffer, problem, SNMP, tcp::snmp),
        netstat: part(buffer, problem, "/proc/thread-self/net/netstat", tcp::netstat),
        ip: part(buffer, problem, SNMP, ip::v4),
        // A kernel may have been started without IPv6.
        ip6: buffer.parse(&Root::default(), "/proc/thread-self/net/snmp6", ip::v6).ok(),
        ..Namespace::default()
    }
}

fn owner(pid: u32, buffer: &mut Buffer) -> Option<Owner> {
    let comm = |bytes: &[u8]| Ok(Name::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
    Some(Owner { pid, comm: buffer.parse(&Root::default(), &format!("/proc/{pid}/comm"), comm).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_is_first_and_has_its_counters() {
        let mut reader = Reader::open().unwrap();
        let (network, _) = reader.read(std::iter::empty()).unwrap();
        let first = network.namespaces.first().unwrap();
        assert!(first.own && network.namespaces.iter().filter(|n| n.own).count() == 1);
        assert_eq!(first.process.as_ref().map(|p| p.pid), Some(std::process::id()));
        assert!(first.snmp.is_some() && first.netstat.is_some() && first.ip.is_some());
    }

    #[test]
    fn what_was_not_entered_says_why_and_what_is_needed() {
        let text = not_entered(2, 5, &io::Error::from_raw_os_error(libc::EPERM));
        let expected = "2 of 5 cannot be entered: Operation not permitted (os error 1) (needs CAP_SYS_ADMIN)";
        assert_eq!(text.as_str(), expected);
    }
}
