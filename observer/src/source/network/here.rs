//! Files of the namespace that a thread is in.

use super::problems::Problems;
use crate::{
    snapshot::{Name, coverage::Source, ip::Udp, network::Namespace, tcp::Owner},
    source::{Malformed, Root, SourceError, file::Buffer, ip, netns, tcp},
};

const SNMP: &str = "/proc/thread-self/net/snmp";
const SNMP6: &str = "/proc/thread-self/net/snmp6";
const NETSTAT: &str = "/proc/thread-self/net/netstat";

/// Reads the namespace that the thread is in. /proc/net would show the one of the process.
pub(super) fn read(found: &netns::Namespace, buffer: &mut Buffer, problems: &mut Problems) -> Namespace {
    let root = Root::default();
    let four = buffer.parse(&root, SNMP, |text| Ok((tcp::snmp(text), ip::v4(text), ip::udp(text).ok())));
    let four = problems.value(Source::NETWORK_FILES, four);
    let (snmp, ip, datagrams) =
        four.map_or((None, None, None), |(tcp, ip, datagrams)| (line(tcp, problems), line(ip, problems), datagrams));
    // A kernel may have been started without IPv6.
    let six = buffer.parse(&root, SNMP6, |text| Ok((ip::v6(text).ok(), ip::udp6(text).ok())));
    let (ip6, datagrams6) = six.unwrap_or_default();
    Namespace {
        netns: found.inode,
        names: found.names.clone(),
        process: found.pid.and_then(|pid| owner(pid, buffer)),
        snmp,
        netstat: problems.value(Source::NETWORK_FILES, buffer.parse(&root, NETSTAT, tcp::netstat)),
        ip,
        ip6,
        udp: datagrams.map(|datagrams| udp(datagrams, datagrams6, buffer)),
        ..Namespace::default()
    }
}

/// A line of the file that other lines were read from as well.
fn line<T>(read: Result<T, Malformed>, problems: &mut Problems) -> Option<T> {
    problems.value(Source::NETWORK_FILES, read.map_err(|e| SourceError::malformed(SNMP, e)))
}

/// Datagrams that came so far, of IPv4 and of IPv6. Where there were none, the sockets are not counted.
fn udp(four: u64, six: Option<u64>, buffer: &mut Buffer) -> Udp {
    let in_datagrams = four + six.unwrap_or(0);
    let mut in_use = |path: &str, protocol: &'static [u8]| {
        buffer.parse(&Root::default(), path, |text| ip::in_use(text, protocol)).ok()
    };
    let sockets = (in_datagrams > 0).then(|| {
        let four = in_use("/proc/thread-self/net/sockstat", b"UDP")?;
        let six = if six.is_some() { in_use("/proc/thread-self/net/sockstat6", b"UDP6")? } else { 0 };
        Some(four + six)
    });
    Udp { in_datagrams, sockets: sockets.flatten() }
}

/// A process with its name.
pub(super) fn owner(pid: u32, buffer: &mut Buffer) -> Option<Owner> {
    let comm = |bytes: &[u8]| Ok(Name::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
    Some(Owner { pid, comm: buffer.parse(&Root::default(), &format!("/proc/{pid}/comm"), comm).ok()?, cgroup: None })
}
