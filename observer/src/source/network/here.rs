//! Files of the namespace that a thread is in.

use super::problems::Problems;
use crate::{
    snapshot::{Name, coverage::Source, ip::Udp, network::Namespace, tcp::Owner},
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
    const SNMP6: &str = "/proc/thread-self/net/snmp6";
    Namespace {
        netns: found.inode,
        names: found.names.clone(),
        process: found.pid.and_then(|pid| owner(pid, buffer)),
        snmp: part(buffer, problems, SNMP, tcp::snmp),
        netstat: part(buffer, problems, "/proc/thread-self/net/netstat", tcp::netstat),
        ip: part(buffer, problems, SNMP, ip::v4),
        // A kernel may have been started without IPv6.
        ip6: buffer.parse(&Root::default(), SNMP6, ip::v6).ok(),
        udp: udp(buffer, (SNMP, SNMP6)),
        ..Namespace::default()
    }
}

/// Datagrams that came so far. Where there were none, the sockets are not counted.
fn udp(buffer: &mut Buffer, (snmp, snmp6): (&str, &str)) -> Option<Udp> {
    let mut read = |path: &str, parse: &dyn Fn(&[u8]) -> Result<u64, Malformed>| {
        buffer.parse(&Root::default(), path, |bytes| parse(bytes)).ok()
    };
    let four = read(snmp, &|bytes| ip::udp(bytes))?;
    let six = read(snmp6, &|bytes| ip::udp6(bytes));
    let in_datagrams = four + six.unwrap_or(0);
    let mut in_use = |path: &str, protocol: &'static [u8]| read(path, &|bytes| ip::in_use(bytes, protocol));
    let sockets = (in_datagrams > 0).then(|| {
        let four = in_use("/proc/thread-self/net/sockstat", b"UDP")?;
        let six = if six.is_some() { in_use("/proc/thread-self/net/sockstat6", b"UDP6")? } else { 0 };
        Some(four + six)
    });
    Some(Udp { in_datagrams, sockets: sockets.flatten() })
}

fn owner(pid: u32, buffer: &mut Buffer) -> Option<Owner> {
    let comm = |bytes: &[u8]| Ok(Name::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
    Some(Owner { pid, comm: buffer.parse(&Root::default(), &format!("/proc/{pid}/comm"), comm).ok()?, cgroup: None })
}
