//! Packets on their way through tunnels: sampled where they enter, and known again where the outer packet leaves.
//!
//! Read only while there is a tunnel, from when observer has seen the first one. Sizes are bytes from the network header on:
//! what the link below adds is not in them.
//!
//! What comes in, and polls, are counted in one interval of ten only while the host sends more than 30,000 packets a second:
//! two snapshots may show none.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Log2Histogram, Name};

/// What was seen of packets in tunnels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Encapsulation {
    /// One packet in so many is sampled now. Counts are of samples: shares and means are taken from them, no totals.
    pub every: u32,
    /// Interfaces of tunnels, and those that their outer packets go through, by namespace and index.
    pub interfaces: Vec<Interface>,
    /// Inner flows, those seen last first.
    pub flows: Vec<Flow>,
    /// Inner flows that were seen in the last minute and are not listed.
    pub flows_not_listed: u64,
    /// Inner flows that had to be forgotten for others.
    pub flows_forgotten: u64,
    /// Polls of network devices by device and CPU. Source: `napi:napi_poll`.
    pub polls: Option<Vec<Polls>>,
    /// Work that encrypts and decrypts, by function and CPU; `None` where no WireGuard is loaded. Source:
    /// `workqueue:workqueue_execute_start`, `_end`.
    pub crypto: Option<Vec<CryptoWork>>,
}

/// A network interface: inode of its namespace, and index there.
pub type Device = (u64, u32);

/// Samples of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Which one.
    pub device: Device,
    /// True for a tunnel; only those have what enters and leaves.
    pub tunnel: bool,
    /// Packets that entered it. Source: `net:net_dev_start_xmit` of the tunnel.
    pub entered: Packets,
    /// Packets of these as they left by the interface below. Source: `net:net_dev_start_xmit` of that one.
    pub left: Packets,
    /// Packets received, before they were put together (GRO). Source: `net:napi_gro_receive_entry`.
    pub arrived: Packets,
    /// Packets received, as the protocols get them. Source: `net:netif_receive_skb`.
    pub received: Packets,
    /// Packets that entered and were not known again.
    pub unmatched: u64,
    /// Packets that a flow was known by and whose outer header was not the tunnel's.
    pub mismatched: u64,
    /// Packets on the wire whose sizes inside and outside are both known.
    pub sized: u64,
    /// Bytes of their inner packets.
    pub inner_bytes: u64,
    /// Bytes of their outer packets.
    pub outer_bytes: u64,
    /// Sum of the latencies, in nanoseconds.
    pub latency_ns_sum: u64,
    /// From the entry into the tunnel to the entry into the interface below, in nanoseconds. Of packets that are not cut in
    /// between: of others it is not known which of the pieces is theirs.
    pub latency: Log2Histogram,
}

/// Sampled packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Packets {
    /// Packets as the stack hands them on: a large one is one.
    pub packets: u64,
    /// Of these, the large ones, which are to be cut (GSO) or were put together (GRO).
    pub large: u64,
    /// Packets that they are on the wire.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A flow inside of a tunnel, as long as its packets have the same hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The tunnel.
    pub tunnel: Device,
    /// `SO_COOKIE` of its socket; `None` if it is forwarded, or if no one has asked for the cookie.
    #[serde(default)]
    pub cookie: Option<u64>,
    /// Hash of its packets; `None` if they have none that is kept.
    #[serde(default)]
    pub hash: Option<u32>,
    /// Addresses inside.
    pub inner: Header,
    /// Addresses outside; `None` if no packet was known again.
    #[serde(default)]
    pub outer: Option<Header>,
    /// Interface that the outer packets leave by.
    #[serde(default)]
    pub leaves_by: Option<Device>,
    /// When a packet was sampled last, in nanoseconds of `CLOCK_MONOTONIC`.
    pub seen_ns: u64,
    /// When one was known again last.
    #[serde(default)]
    pub joined_ns: Option<u64>,
    /// Packets sampled.
    pub sampled: u64,
    /// Packets known again.
    pub joined: u64,
}

/// What tells flows apart in a packet's header, and how it is to be treated on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Header {
    /// IP protocol.
    pub protocol: u8,
    /// Source address and port; port 0 if the protocol has none.
    pub source: (IpAddr, u16),
    /// Destination address and port.
    pub destination: (IpAddr, u16),
    /// Type of service or traffic class: DSCP and ECN.
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// True if it must not be fragmented on the way; always so in IPv6.
    pub dont_fragment: bool,
}

/// Polls of one device on one CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Polls {
    /// The device; `None` for polls without one.
    pub device: Option<Device>,
    /// The CPU.
    pub cpu: u32,
    /// Polls.
    pub polls: u64,
    /// Of these, the ones that used their whole budget: more was waiting.
    pub full: u64,
    /// Packets.
    pub packets: u64,
}

/// What a function did on a CPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CryptoWork {
    /// The function, such as `wg_packet_encrypt_worker`.
    pub function: Name,
    /// The CPU.
    pub cpu: u32,
    /// Calls.
    pub calls: u64,
    /// Time from begin to end in nanoseconds, interrupts and softirqs in between included.
    pub ns: u64,
}

impl Interface {
    /// Bytes that the tunnel adds to each packet on the wire, the mean of those sampled; `None` if none was.
    pub fn overhead_bytes(&self) -> Option<f64> {
        (self.sized > 0).then(|| self.outer_bytes.saturating_sub(self.inner_bytes) as f64 / self.sized as f64)
    }

    /// Outer bytes for each inner one, the mean of those sampled: 1 would be a tunnel that adds nothing.
    pub fn overhead_ratio(&self) -> Option<f64> {
        (self.inner_bytes > 0).then(|| self.outer_bytes as f64 / self.inner_bytes as f64)
    }

    /// What was counted since `before`, which is of the same interface; `None` if a count shrank.
    pub fn since(&self, before: &Self) -> Option<Self> {
        Some(Self {
            device: self.device,
            tunnel: self.tunnel,
            entered: self.entered.since(before.entered)?,
            left: self.left.since(before.left)?,
            arrived: self.arrived.since(before.arrived)?,
            received: self.received.since(before.received)?,
            unmatched: self.unmatched.checked_sub(before.unmatched)?,
            mismatched: self.mismatched.checked_sub(before.mismatched)?,
            sized: self.sized.checked_sub(before.sized)?,
            inner_bytes: self.inner_bytes.checked_sub(before.inner_bytes)?,
            outer_bytes: self.outer_bytes.checked_sub(before.outer_bytes)?,
            latency_ns_sum: self.latency_ns_sum.checked_sub(before.latency_ns_sum)?,
            latency: self.latency.since(&before.latency)?,
        })
    }
}

impl Packets {
    /// What was counted since `before`; `None` if a count shrank.
    pub fn since(self, before: Self) -> Option<Self> {
        Some(Self {
            packets: self.packets.checked_sub(before.packets)?,
            large: self.large.checked_sub(before.large)?,
            segments: self.segments.checked_sub(before.segments)?,
            bytes: self.bytes.checked_sub(before.bytes)?,
        })
    }

    /// Mean length in bytes of a packet as the stack hands it on.
    pub fn mean_bytes(self) -> Option<f64> {
        (self.packets > 0).then(|| self.bytes as f64 / self.packets as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_of_what_was_sampled() {
        let interface = Interface { sized: 4, inner_bytes: 4 * 1450, outer_bytes: 4 * 1500, ..Interface::default() };
        assert_eq!(interface.overhead_bytes(), Some(50.0));
        assert!(interface.overhead_ratio().is_some_and(|ratio| (ratio - 1500.0 / 1450.0).abs() < 1e-12));
        assert_eq!(Interface::default().overhead_bytes().or(Interface::default().overhead_ratio()), None);
        assert_eq!(Packets { packets: 2, bytes: 3000, ..Packets::default() }.mean_bytes(), Some(1500.0));
    }

    #[test]
    fn a_count_that_shrank_is_of_another_series() {
        let old = Interface { sized: 4, ..Interface::default() };
        let new = Interface { sized: 6, unmatched: 1, ..Interface::default() };
        assert_eq!(new.since(&old), Some(Interface { sized: 2, unmatched: 1, ..Interface::default() }));
        assert_eq!(old.since(&new), None);
    }
}
