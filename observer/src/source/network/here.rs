//! Files of the namespace that a thread is in.

use super::problems::Problems;
use crate::{
    snapshot::{Name, coverage::Source, network::Namespace, tcp::Owner},
    source::{Malformed, Root, file::Buffer, ip, netns, tcp},
};

/// Reads the namespace that the thread is in. /proc/net would show the one of the process.
pub(super) fn read(found: &netns::Namespace, buffer: &mut Buffer, problems: &mut Problems) -> Namespace {
    fn part<T>(
        buffer: &mut Buffer,
        problems: &mut Problems,
        path: &str,
        parse: fn(&[u8]) -> Result<T, Malformed>,
    ) -> Option<T> {
        problems.value(Source::NETWORK_FILES, buffer.parse(&Root::default(), path, parse))
    }
    const SNMP: &str = "/proc/thread-self/net/snmp";
    Namespace {
        netns: found.inode,
        names: found.names.clone(),
        process: found.pid.and_then(|pid| owner(pid, buffer)),
        snmp: part(buffer, problems, SNMP, tcp::snmp),
        netstat: part(buffer, problems, "/proc/thread-self/net/netstat", tcp::netstat),
        ip: part(buffer, problems, SNMP, ip::v4),
        // A kernel may have been started without IPv6.
        ip6: buffer.parse(&Root::default(), "/proc/thread-self/net/snmp6", ip::v6).ok(),
        ..Namespace::default()
    }
}

fn owner(pid: u32, buffer: &mut Buffer) -> Option<Owner> {
    let comm = |bytes: &[u8]| Ok(Name::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
    Some(Owner { pid, comm: buffer.parse(&Root::default(), &format!("/proc/{pid}/comm"), comm).ok()?, cgroup: None })
}
