//! Network namespaces of the host, and what each of them has of its own.

use serde::{Deserialize, Serialize};

use super::{
    Name,
    ip::{Ip, Ip6, Udp},
    link::Links,
    tcp::{Netstat, Owner, Snmp},
    tunnel::{Tunnel, Xfrm},
};

/// Network namespaces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Every namespace that was read, observer's own one first. Where there are very many, those without tunnels are not
    /// all read in each snapshot.
    pub namespaces: Vec<Namespace>,
    /// Namespaces that were found and could not be read in this snapshot.
    pub not_read: u64,
    /// Names and processes of those of them; nothing else is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Namespace>,
}

/// One network namespace. A part is `None` if it could not be read there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Its inode, as `readlink /proc/PID/ns/net` shows it.
    pub netns: u64,
    /// True for the one that observer is in.
    pub own: bool,
    /// Names that `ip netns` or a container runtime gave it. Source: /proc/PID/mountinfo of each mount namespace.
    pub names: Vec<Name>,
    /// A process that is in it, the one with the smallest number.
    pub process: Option<Owner>,
    /// Interfaces. `None` for observer's own namespace, whose interfaces are in [`super::Snapshot::links`].
    pub links: Option<Links>,
    /// Line `Tcp` of its /proc/net/snmp.
    pub snmp: Option<Snmp>,
    /// Line `TcpExt` of its /proc/net/netstat.
    pub netstat: Option<Netstat>,
    /// Line `Ip` of its /proc/net/snmp.
    pub ip: Option<Ip>,
    /// Its /proc/net/snmp6. `None` also where the kernel has no IPv6.
    pub ip6: Option<Ip6>,
    /// Datagrams of UDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp: Option<Udp>,
    /// Tunnels, by interface index; those without an interface last. Source: rtnetlink, and what the kind has besides.
    pub tunnels: Option<Vec<Tunnel>>,
    /// IPsec. Source: `XFRM_MSG_GETSA`, `XFRM_MSG_GETPOLICY`, /proc/net/xfrm_stat.
    pub xfrm: Option<Xfrm>,
}
