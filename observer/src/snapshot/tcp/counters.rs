//! Counters of a network namespace: the kernel's own, and the life cycle of its connections.

use serde::{Deserialize, Serialize};

use crate::snapshot::fields::kernel_fields;

kernel_fields! {
    /// Line `Tcp` of /proc/net/snmp (RFC 4022), since the namespace was made.
    pub struct Snmp {
        /// Connections begun from here.
        "ActiveOpens" => active_opens (one),
        /// Connections accepted.
        "PassiveOpens" => passive_opens (one),
        /// Connections that never came to be.
        "AttemptFails" => attempt_fails (one),
        /// Established connections that ended by a reset.
        "EstabResets" => estab_resets (one),
        /// Connections that are established now.
        "CurrEstab" => curr_estab (one),
        /// Segments received.
        "InSegs" => in_segs (one),
        /// Segments sent, without retransmits.
        "OutSegs" => out_segs (one),
        /// Segments sent again.
        "RetransSegs" => retrans_segs (one),
        /// Segments received that were bad.
        "InErrs" => in_errs (one),
        /// Resets sent.
        "OutRsts" => out_rsts (one),
    }
}

kernel_fields! {
    /// Line `TcpExt` of /proc/net/netstat, since the namespace was made.
    pub struct Netstat {
        /// Connections refused because the accept queue was full.
        "ListenOverflows" => listen_overflows (one),
        /// Connections refused by a listening socket for any reason.
        "ListenDrops" => listen_drops (one),
        /// Retransmission time-outs.
        "TCPTimeouts" => timeouts (one),
        /// SYN segments sent again.
        "TCPSynRetrans" => syn_retrans (one),
        /// Retransmits that turned out not to be needed, as the peer said (DSACK).
        "TCPDSACKRecv" => dsack_recv (one),
        /// Tail loss probes sent.
        "TCPLossProbes" => loss_probes (one),
        /// Retransmits that the kernel could not send.
        "TCPRetransFail" => retrans_fail (one),
        /// Times the receive window went to zero.
        "TCPToZeroWindowAdv" => to_zero_window_adv (one),
        /// Times the receive queue was pruned for want of memory.
        "PruneCalled" => prune_called (one),
        /// Segments dropped from the receive queue because no memory was left after pruning.
        "RcvPruned" => rcv_pruned (one),
        /// Segments dropped from the queue of those out of order for want of memory.
        "OfoPruned" => ofo_pruned (one),
        /// Segments of a receive queue that were merged to save memory.
        "TCPRcvCollapsed" => rcv_collapsed (one),
        /// Segments dropped because the queue of a socket that is in use was full.
        "TCPBacklogDrop" => backlog_drop (one),
        /// Segments dropped because the receive queue was full.
        "TCPRcvQDrop" => rcv_q_drop (one),
        /// Times TCP as a whole entered memory pressure.
        "TCPMemoryPressures" => memory_pressures (one),
        /// Connections that ended because no memory was to be had.
        "TCPAbortOnMemory" => abort_on_memory (one),
    }
}

/// Life cycle of one network namespace's connections. Source: tracepoints `sock:inet_sock_set_state`,
/// `tcp:tcp_retransmit_skb`, `tcp:tcp_retransmit_synack`, `tcp:tcp_send_reset`, `tcp:tcp_receive_reset`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceCounts {
    /// Inode of the network namespace, as `readlink /proc/PID/ns/net` shows it.
    pub netns: u64,
    /// Connections begun from here; equals `ActiveOpens` of snmp.
    pub active_opens: u64,
    /// Connections accepted; equals `PassiveOpens` of snmp.
    pub passive_opens: u64,
    /// Connections that never came to be; equals `AttemptFails` of snmp. `None` if it cannot be derived on this kernel.
    pub attempt_fails: Option<u64>,
    /// Established connections that ended by a reset; equals `EstabResets` of snmp. `None` as above.
    pub estab_resets: Option<u64>,
    /// Connections that became established.
    pub established: u64,
    /// Connections that were established and have closed.
    pub closed: u64,
    /// Segments sent again; equals `RetransSegs` of snmp. `None` if segments could not be counted.
    pub retrans_segs: Option<u64>,
    /// Resets sent.
    pub resets_sent: Option<u64>,
    /// Resets received.
    pub resets_received: Option<u64>,
}

impl NamespaceCounts {
    /// Everything that was seen in it.
    pub fn events(&self) -> u64 {
        let optional = [self.retrans_segs, self.resets_sent, self.resets_received];
        let counted = [self.active_opens, self.passive_opens, self.established, self.closed];
        counted.iter().chain(optional.iter().flatten()).fold(0, |sum, n| sum.saturating_add(*n))
    }
}
