//! Turns what the maps hold into what a snapshot does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use observer_ebpf::abi::tunnel as raw;

use crate::snapshot::encapsulation::{Device, Flow, Header, Interface, Packets, Polls};
use crate::source::kernel::histogram;

pub(super) fn device(raw: raw::Device) -> Device {
    (u64::from(raw.netns), raw.ifindex)
}

/// The same the other way; `None` for an inode that no kernel gives.
pub(super) fn raw_device((netns, ifindex): Device) -> Option<raw::Device> {
    Some(raw::Device { netns: u32::try_from(netns).ok()?, ifindex })
}

pub(super) fn interface(key: raw::Device, tunnel: bool, counted: &raw::Counted) -> Interface {
    Interface {
        device: device(key),
        tunnel,
        entered: packets(counted.entered),
        left: packets(counted.left),
        arrived: packets(counted.arrived),
        received: packets(counted.received),
        unmatched: counted.unmatched,
        mismatched: counted.mismatched,
        sized: counted.sized,
        inner_bytes: counted.inner_bytes,
        outer_bytes: counted.outer_bytes,
        latency_ns_sum: counted.latency_ns,
        latency: histogram(&counted.latency),
    }
}

fn packets(raw: raw::Packets) -> Packets {
    Packets { packets: raw.packets, large: raw.large, segments: raw.segments, bytes: raw.bytes }
}

/// `None` for a flow of no IP packets.
pub(super) fn flow(key: &raw::FlowKey, flow: &raw::Flow) -> Option<Flow> {
    let outer = header(&flow.outer);
    Some(Flow {
        tunnel: device(key.device),
        cookie: (flow.cookie != 0).then_some(flow.cookie),
        hash: (key.carried != 0).then_some(key.hash),
        inner: header(&flow.inner)?,
        leaves_by: outer.map(|_| device(flow.leaves_by)),
        outer,
        seen_ns: flow.seen_ns,
        joined_ns: (flow.joined_ns != 0).then_some(flow.joined_ns),
        sampled: flow.sampled,
        joined: flow.joined,
    })
}

fn header(raw: &raw::Header) -> Option<Header> {
    let address = |bytes: [u8; 16]| match raw.version {
        4 => {
            let [a, b, c, d, ..] = bytes;
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        6 => Some(IpAddr::V6(Ipv6Addr::from(bytes))),
        _ => None,
    };
    Some(Header {
        protocol: raw.protocol,
        source: (address(raw.source)?, u16::from_be(raw.source_port)),
        destination: (address(raw.destination)?, u16::from_be(raw.destination_port)),
        tos: raw.tos,
        ttl: raw.ttl,
        dont_fragment: raw.dont_fragment != 0,
    })
}

pub(super) fn polls(key: &raw::PollKey, polls: &raw::Polls) -> Polls {
    Polls {
        device: (key.device.ifindex != 0).then(|| device(key.device)),
        cpu: key.cpu,
        polls: polls.polls,
        full: polls.full,
        packets: polls.work,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kernel::maps::zeroed;

    #[test]
    fn a_flow_that_was_not_known_again_has_no_outer_packet() {
        let key = raw::FlowKey { device: raw::Device { netns: 7, ifindex: 3 }, hash: 5, carried: 0 };
        let mut raw: raw::Flow = zeroed();
        assert_eq!(flow(&key, &raw), None, "nothing is known of it");
        raw.inner.version = 4;
        raw.inner.source = [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        raw.inner.source_port = 443_u16.to_be();
        let found = flow(&key, &raw).unwrap();
        assert_eq!(found.inner.source, (Ipv4Addr::new(10, 0, 0, 1).into(), 443));
        assert_eq!((found.tunnel, found.cookie, found.hash), ((7, 3), None, None));
        assert_eq!((found.outer, found.leaves_by, found.joined_ns), (None, None, None));
    }
}
