//! IP counters of a network namespace.

use super::fields::kernel_fields;

kernel_fields! {
    /// Line `Ip` of /proc/net/snmp (RFC 4293), since the namespace was made.
    pub struct Ip {
        /// Packets received.
        "InReceives" => in_receives (one),
        /// Packets received and dropped for want of memory.
        "InDiscards" => in_discards (one),
        /// Packets that were to be sent.
        "OutRequests" => out_requests (one),
        /// Packets that were to be sent and were dropped.
        "OutDiscards" => out_discards (one),
        /// Packets that no route led out.
        "OutNoRoutes" => out_no_routes (one),
        /// Packets forwarded.
        "ForwDatagrams" => forw_datagrams (one),
        /// Fragments received.
        "ReasmReqds" => reasm_reqds (one),
        /// Packets put together from fragments.
        "ReasmOKs" => reasm_oks (one),
        /// Packets that could not be put together: a fragment is missing.
        "ReasmFails" => reasm_fails (one),
        /// Packets cut into fragments.
        "FragOKs" => frag_oks (one),
        /// Packets too large that might not be cut.
        "FragFails" => frag_fails (one),
        /// Fragments made.
        "FragCreates" => frag_creates (one),
    }
}

kernel_fields! {
    /// /proc/net/snmp6, since the namespace was made.
    pub struct Ip6 {
        /// Packets received.
        "Ip6InReceives" => in_receives (one),
        /// Packets to be forwarded that were larger than the MTU of their way.
        "Ip6InTooBigErrors" => in_too_big_errors (one),
        /// Packets received and dropped for want of memory.
        "Ip6InDiscards" => in_discards (one),
        /// Packets forwarded.
        "Ip6OutForwDatagrams" => forw_datagrams (one),
        /// Packets that were to be sent.
        "Ip6OutRequests" => out_requests (one),
        /// Packets that were to be sent and were dropped.
        "Ip6OutDiscards" => out_discards (one),
        /// Packets that no route led out.
        "Ip6OutNoRoutes" => out_no_routes (one),
        /// Fragments received.
        "Ip6ReasmReqds" => reasm_reqds (one),
        /// Packets put together from fragments.
        "Ip6ReasmOKs" => reasm_oks (one),
        /// Packets that could not be put together: a fragment is missing.
        "Ip6ReasmFails" => reasm_fails (one),
        /// Packets cut into fragments.
        "Ip6FragOKs" => frag_oks (one),
        /// Packets too large that might not be cut.
        "Ip6FragFails" => frag_fails (one),
        /// Fragments made.
        "Ip6FragCreates" => frag_creates (one),
    }
}

/// Datagrams of UDP in one network namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Udp {
    /// Datagrams that a process read, or that a tunnel in the kernel was given, whatever became of them there: of IPv4 and
    /// IPv6. Source: `InDatagrams` of line `Udp` of /proc/net/snmp, `Udp6InDatagrams` of /proc/net/snmp6.
    pub in_datagrams: u64,
    /// Sockets that have a port, those of tunnels included. `None` if the files could not be read. Source:
    /// /proc/net/sockstat, sockstat6.
    pub sockets: Option<u64>,
}
