//! Tunnels: interfaces, or IPsec policies, that carry packets inside others.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Name, tcp::Owner};

/// One tunnel. Its traffic is that of its interface, see [`super::link::Link`]; without an interface, of its peers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tunnel {
    /// Index of its interface in its namespace; `None` for IPsec policies without one.
    pub ifindex: Option<u32>,
    /// Name of its interface, or the policy's ends.
    pub name: Name,
    /// What it is.
    pub kind: Kind,
    /// What an outer packet looks like, as far as the tunnel itself fixes it.
    pub outer: Outer,
    /// Inode of the namespace that the outer packets go through; its own one as a rule. Source: `IFLA_LINK_NETNSID`.
    pub underlay_netns: Option<u64>,
    /// Index, in that namespace, of the interface that it is bound to. Source: `IFLA_LINK`, `IFLA_VXLAN_LINK` and such.
    pub underlay_ifindex: Option<u32>,
    /// The other ends: one for a tunnel from point to point, more for VXLAN, WireGuard and IPsec, none where only the
    /// packets tell (`external`, learning). A VXLAN may have a multicast group here.
    pub peers: Vec<Peer>,
    /// Further peers, beyond the limit of one snapshot.
    pub peers_not_listed: u64,
    /// For a tun or tap device: who made it, and holds its descriptor. Source: `iff:` in /proc/PID/fdinfo.
    pub holder: Option<Owner>,
    /// For a tun or tap device: the user who may attach to it, if it was given to one. Source: `IFLA_TUN_OWNER`.
    pub owner_uid: Option<u32>,
    /// Queues of packets before the tunnel and before its underlay.
    pub qdiscs: Vec<Qdisc>,
}

/// Kinds of tunnels. The label is the kernel's `IFLA_INFO_KIND`, where there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// RFC 7348.
    Vxlan,
    /// RFC 8926.
    Geneve,
    /// RFC 2784, layer 3 over IPv4.
    Gre,
    /// RFC 2784, layer 2 over IPv4.
    Gretap,
    /// Layer 3 over IPv6.
    Ip6gre,
    /// Layer 2 over IPv6.
    Ip6gretap,
    /// Mirrored traffic over IPv4.
    Erspan,
    /// Mirrored traffic over IPv6.
    Ip6erspan,
    /// RFC 2003, IPv4 in IPv4.
    Ipip,
    /// RFC 4213, IPv6 in IPv4.
    Sit,
    /// RFC 2473, over IPv6.
    Ip6tnl,
    /// WireGuard.
    Wireguard,
    /// An XFRM interface: IPsec bound to an interface by `if_id`.
    Xfrm,
    /// IPsec bound to an interface by a mark, over IPv4.
    Vti,
    /// The same over IPv6.
    Vti6,
    /// IPsec policies without an interface.
    Ipsec,
    /// Layer 3, made by a process.
    Tun,
    /// Layer 2, made by a process.
    Tap,
    /// Any layer 3 protocol in UDP.
    Bareudp,
    /// Another kind of interface that carries packets inside others.
    #[default]
    Other,
}

impl Kind {
    /// Its name, as in a document.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::Gretap => "gretap",
            Self::Ip6gre => "ip6gre",
            Self::Ip6gretap => "ip6gretap",
            Self::Erspan => "erspan",
            Self::Ip6erspan => "ip6erspan",
            Self::Ipip => "ipip",
            Self::Sit => "sit",
            Self::Ip6tnl => "ip6tnl",
            Self::Wireguard => "wireguard",
            Self::Xfrm => "xfrm",
            Self::Vti => "vti",
            Self::Vti6 => "vti6",
            Self::Ipsec => "ipsec",
            Self::Tun => "tun",
            Self::Tap => "tap",
            Self::Bareudp => "bareudp",
            Self::Other => "other",
        }
    }
}

/// Outer packets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outer {
    /// Local address; `None` if the route chooses it.
    pub local: Option<IpAddr>,
    /// Local UDP port that it listens on, or the destination port that it sends to.
    pub port: Option<u16>,
    /// Network identifier, tunnel id or `if_id`.
    pub id: Option<u64>,
    /// Time to live; `None` if inherited or unknown.
    pub ttl: Option<u8>,
    /// True if outer packets must not be fragmented; `None` if the kind does not say.
    pub dont_fragment: Option<bool>,
    /// True if addresses come with each packet (`external`, collect_md).
    pub external: bool,
    /// True if a GRE header has a checksum.
    pub checksum: bool,
    /// True if a GRE header has a key.
    pub key: bool,
    /// True if a GRE header has a sequence number.
    pub sequence: bool,
    /// Limit of encapsulations that an IPv6 tunnel writes into each packet, in an option of 8 bytes.
    pub encap_limit: bool,
    /// UDP wrapped around it (FOU, GUE, NAT-T).
    pub udp: bool,
    /// True if between that UDP and the tunnel there is a GUE header of 4 bytes.
    pub gue: bool,
    /// True if what it carries has no Ethernet header although its kind has one by default (VXLAN-GPE, GENEVE with
    /// `innerprotoinherit`).
    pub layer3: bool,
    /// Version of ERSPAN, which decides about its header: 0 none, 1 of 8 bytes, 2 of 12.
    pub erspan_version: Option<u8>,
    /// Mark of outer packets, which rules of routing may look at.
    pub mark: Option<u32>,
}

/// The other end of a tunnel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// What names it: a public key, an SPI; empty where the address does.
    pub id: Name,
    /// Its outer address; `None` if not known yet.
    pub address: Option<IpAddr>,
    /// Its outer port.
    pub port: Option<u16>,
    /// Bytes received from it, as the tunnel counts them.
    pub rx_bytes: Option<u64>,
    /// Bytes sent to it, as the tunnel counts them.
    pub tx_bytes: Option<u64>,
    /// Wall-clock time of WireGuard's last handshake, in nanoseconds since the epoch; `None` if there was none.
    pub last_handshake_ns: Option<u64>,
    /// Seconds between keepalive packets; `None` if there are none.
    pub keepalive_seconds: Option<u32>,
    /// Networks behind it.
    pub networks: Vec<Prefix>,
    /// Further networks, beyond the limit of one snapshot.
    pub networks_not_listed: u64,
    /// How outer packets to it leave. Source: `RTM_GETROUTE`.
    pub route: Option<Route>,
    /// Why there is no route, in the words of the kernel, such as `Network is unreachable`.
    pub no_route: Option<Name>,
}

/// A network: its address, and the bits of it that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prefix {
    /// Address, the bits that do not count included.
    pub address: IpAddr,
    /// Bits that count.
    pub length: u8,
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A route to an outer address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// Index of the interface that it leaves by, in the underlay's namespace.
    pub ifindex: u32,
    /// Its name.
    pub device: Name,
    /// Source address that it gives.
    pub source: Option<IpAddr>,
    /// Next hop.
    pub gateway: Option<IpAddr>,
    /// Largest packet in bytes: what the route or path discovery says, else the interface.
    pub mtu: Option<u32>,
    /// Largest packet in bytes of the interface.
    pub device_mtu: Option<u32>,
}

/// A queue of packets. Source: `RTM_GETQDISC`, `TCA_STATS2`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Qdisc {
    /// Index of the interface, in the namespace below.
    pub ifindex: u32,
    /// Inode of the namespace.
    pub netns: u64,
    /// Its kind, such as `fq_codel`.
    pub kind: Name,
    /// Handle, `major << 16 | minor`.
    pub handle: u32,
    /// Handle of its parent; `0xffff_ffff` is the root.
    pub parent: u32,
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent.
    pub packets: u64,
    /// Packets dropped.
    pub drops: u64,
    /// Times that more was to be sent than allowed.
    pub overlimits: u64,
    /// Times that a packet went back to the queue.
    pub requeues: u64,
    /// Bytes that wait now.
    pub backlog_bytes: u64,
    /// Packets that wait now.
    pub backlog_packets: u64,
}

/// IPsec of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Xfrm {
    /// Security associations.
    pub states: Vec<State>,
    /// Policies.
    pub policies: Vec<Policy>,
    /// Lines of /proc/net/xfrm_stat; empty where the kernel does not count them, and where there is none of the above.
    pub counters: Vec<(Name, u64)>,
}

/// A security association. Source: `XFRM_MSG_GETSA`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Outer source address.
    pub source: Option<IpAddr>,
    /// Outer destination address.
    pub destination: Option<IpAddr>,
    /// Security parameter index.
    pub spi: u32,
    /// IP protocol: 50 ESP, 51 AH.
    pub protocol: u8,
    /// True in tunnel mode.
    pub tunnel_mode: bool,
    /// What ties it to policies.
    pub reqid: u32,
    /// What ties it to an XFRM interface.
    pub if_id: Option<u32>,
    /// What ties it to an interface of VTI.
    pub mark: Option<u32>,
    /// Name of the cipher with authentication, or of the cipher.
    pub cipher: Option<Name>,
    /// Name of the authentication, where it is apart.
    pub authentication: Option<Name>,
    /// Bits of the authentication's result that are sent.
    pub icv_bits: Option<u32>,
    /// UDP port of NAT traversal.
    pub nat_port: Option<u16>,
    /// Bytes that it has carried.
    pub bytes: u64,
    /// Packets that it has carried.
    pub packets: u64,
    /// Packets outside of the replay window (`stats.replay_window`).
    pub replay_window: u32,
    /// Packets replayed.
    pub replay: u32,
    /// Packets whose authentication failed.
    pub integrity_failed: u32,
    /// Wall-clock second of its begin.
    pub added_seconds: u64,
}

/// A policy. Source: `XFRM_MSG_GETPOLICY`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Direction: 0 in, 1 out, 2 forward.
    pub direction: u8,
    /// Inner source network.
    pub source: Option<Prefix>,
    /// Inner destination network.
    pub destination: Option<Prefix>,
    /// Outer source of its template.
    pub tunnel_source: Option<IpAddr>,
    /// Outer destination of its template.
    pub tunnel_destination: Option<IpAddr>,
    /// What ties it to security associations.
    pub reqid: u32,
    /// What ties it to an XFRM interface.
    pub if_id: Option<u32>,
    /// What ties it to an interface of VTI.
    pub mark: Option<u32>,
}
