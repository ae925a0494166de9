//! Packets on their way through tunnels, sampled.

use super::plain;

/// A network interface.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    /// Inode of its network namespace.
    pub netns: u32,
    /// Its index there.
    pub ifindex: u32,
}

/// What the user side tells of an interface that is to be watched.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// IP protocols of outer packets; 0 if none is expected.
    pub protocols: [u8; 2],
    /// 1 if outer packets may be UDP.
    pub udp: u8,
    /// 1 for a tunnel, 0 for an interface that outer packets go through.
    pub tunnel: u8,
    /// UDP port that one of the two ends of an outer packet has; 0 for any.
    pub port: u16,
    /// Padding.
    pub zero: u16,
}

/// Packets, sampled.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packets {
    /// Packets as the stack hands them on: a large one that is cut later is one.
    pub packets: u64,
    /// Of these, the ones that will be cut, or were put together.
    pub large: u64,
    /// Packets that they are, or were, on the wire.
    pub segments: u64,
    /// Their bytes, from the network header on.
    pub bytes: u64,
}

/// Buckets of a histogram of nanoseconds: the last one begins at half a second.
pub const BUCKETS: usize = 31;

/// What was counted for an interface.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Packets that entered the tunnel.
    pub entered: Packets,
    /// Packets that left it, of those that entered and were known again.
    pub left: Packets,
    /// Packets before they were put together on receive.
    pub arrived: Packets,
    /// Packets after that.
    pub received: Packets,
    /// Packets that entered and were not known again before the next one of the same flow.
    pub unmatched: u64,
    /// Packets that a flow was known by, whose outer header did not fit the tunnel.
    pub mismatched: u64,
    /// Packets on the wire whose sizes inside and outside are both known.
    pub sized: u64,
    /// Bytes of their inner packets, from the network header on.
    pub inner_bytes: u64,
    /// Bytes of their outer packets.
    pub outer_bytes: u64,
    /// Sum of the latencies in nanoseconds.
    pub latency_ns: u64,
    /// From the entry into the tunnel to the entry into the interface below, log2 of nanoseconds.
    pub latency: [u64; BUCKETS],
}

/// How far the next sample is.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Next {
    /// Packets until then.
    pub packets: u32,
    /// Padding.
    pub zero: u32,
    /// Samples until now, of every interface.
    pub samples: u64,
}

/// Places at which packets are sampled: as they are sent, as they come, as the protocols get them.
pub const PLACES: u32 = 3;

/// What names an inner flow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The tunnel.
    pub device: Device,
    /// Hash of the packet; of its addresses where the packet has none that is kept.
    pub hash: u32,
    /// 1 if the packet itself has the hash.
    pub carried: u32,
}

/// Addresses and ports of a packet, in network order.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Source address, an IPv4 one in the first four bytes.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Source port; 0 if the protocol has none.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// 4 or 6; 0 if nothing is known.
    pub version: u8,
    /// IP protocol.
    pub protocol: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// 1 if it must not be fragmented; always so in IPv6.
    pub dont_fragment: u8,
    /// Padding.
    pub zero: [u8; 7],
}

/// An inner flow.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// `SO_COOKIE` of its socket; 0 if it is forwarded, or nobody has asked for the cookie yet.
    pub cookie: u64,
    /// When it was seen last, in nanoseconds of `CLOCK_MONOTONIC`.
    pub seen_ns: u64,
    /// When it was known again outside; 0 if never.
    pub joined_ns: u64,
    /// Packets sampled.
    pub sampled: u64,
    /// Packets known again outside.
    pub joined: u64,
    /// Interface that the outer packets leave by.
    pub leaves_by: Device,
    /// The inner packet.
    pub inner: Header,
    /// The outer packet; zeros if not known.
    pub outer: Header,
}

/// A packet that has entered a tunnel and has not left it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Entered {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub entered_ns: u64,
    /// Address of the packet.
    pub skb: u64,
    /// Its flow.
    pub flow: FlowKey,
    /// Bytes from the network header on.
    pub bytes: u32,
    /// Bytes of its headers, which each segment has.
    pub header_bytes: u32,
    /// Payload of a segment; 0 for a packet that will not be cut.
    pub gso_size: u32,
    /// 1 if another packet of its flow was known again since.
    pub joined: u32,
}

/// Who polled: a device on a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PollKey {
    /// The interface; zeros for a poll without one.
    pub device: Device,
    /// The CPU.
    pub cpu: u32,
    /// Padding.
    pub zero: u32,
}

/// Polls of one device on one CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Polls {
    /// Polls.
    pub polls: u64,
    /// Of these, the ones that used their whole budget: more was waiting.
    pub full: u64,
    /// Packets.
    pub work: u64,
}

/// A call of a function that has not ended.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub begun_ns: u64,
    /// Address of the function.
    pub function: u64,
}

/// A function of a work queue on a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkKey {
    /// Address of the function.
    pub function: u64,
    /// The CPU that it ended on.
    pub cpu: u32,
    /// Padding.
    pub zero: u32,
}

/// What a function did on a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Calls that ended.
    pub calls: u64,
    /// Nanoseconds from begin to end.
    pub ns: u64,
}

/// Losses, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Loss {
    /// Flows that were put into the map, of which the least recently seen are forgotten: no loss yet.
    FlowsAdded,
    /// Polls of a device that found no place.
    PollsFull,
    /// Calls of functions that found no place.
    WorkFull,
}

/// Length of the map of [`Loss`].
pub const LOSSES: u32 = 3;

plain!(
    Device = 8,
    Watch = 8,
    Packets = 32,
    Counted = 424,
    Next = 16,
    FlowKey = 16,
    Header = 48,
    Flow = 144,
    Entered = 48,
    PollKey = 16,
    Polls = 24,
    Begun = 16,
    WorkKey = 16,
    Work = 16,
);
