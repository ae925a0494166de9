//! Queues of packets before interfaces (`RTM_GETQDISC`), as `tc -s qdisc` tells them.

use std::ops::ControlFlow;

use crate::{
    snapshot::tunnel::Qdisc,
    source::netlink::{
        Netlink, NetlinkError, Problem, Request,
        attribute::{find, name_of, nested, u32_of, u64_of},
    },
};

/// Bytes of `struct tcmsg`.
const TCMSG: usize = 20;

/// All queues in the socket's namespace, whose inode is given. `noqueue` is none: it counts nothing.
pub fn list(netlink: &mut Netlink, netns: u64) -> Result<Vec<Qdisc>, NetlinkError> {
    let mut request = Request::new("RTM_GETQDISC", libc::RTM_GETQDISC, &[0; TCMSG]);
    netlink.list(&mut request, Vec::new, |list, message| {
        if message.kind == libc::RTM_NEWQDISC {
            list.push(qdisc(message.payload, netns)?);
            list.pop_if(|qdisc| qdisc.kind.as_str() == "noqueue");
        }
        Ok(ControlFlow::Continue(()))
    })
}

fn qdisc(payload: &[u8], netns: u64) -> Result<Qdisc, Problem> {
    let number = |at: usize| payload.get(at..at + 4).and_then(u32_of);
    let (Some(ifindex), Some(handle), Some(parent)) = (number(4), number(8), number(12)) else {
        return Err(Problem::Garbled("a qdisc message is too short".into()));
    };
    let attributes = payload.get(TCMSG..).unwrap_or_default();
    let mut qdisc = Qdisc { ifindex, netns, handle, parent, ..Qdisc::default() };
    qdisc.kind = find(attributes, libc::TCA_KIND).map(name_of).unwrap_or_default();
    statistics(&mut qdisc, find(attributes, libc::TCA_STATS2).unwrap_or_default());
    Ok(qdisc)
}

/// `TCA_STATS2` (linux/gen_stats.h).
fn statistics(qdisc: &mut Qdisc, bytes: &[u8]) {
    const BASIC: u16 = 1;
    const QUEUE: u16 = 3;
    const PKT64: u16 = 8;
    for (kind, value) in nested(bytes) {
        match kind {
            // `struct gnet_stats_basic`: packets have 32 bits, and 64 in an attribute of their own on newer kernels.
            BASIC => {
                qdisc.bytes = value.get(..8).and_then(u64_of).unwrap_or_default();
                qdisc.packets = qdisc.packets.max(value.get(8..12).and_then(u32_of).unwrap_or_default().into());
            }
            PKT64 => qdisc.packets = u64_of(value).unwrap_or(qdisc.packets),
            QUEUE => {
                let mut numbers = value.chunks_exact(4).map(|c| u32_of(c).map_or(0, u64::from));
                let mut next = || numbers.next().unwrap_or_default();
                // In the order of `struct gnet_stats_queue`.
                qdisc.backlog_packets = next();
                qdisc.backlog_bytes = next();
                qdisc.drops = next();
                qdisc.requeues = next();
                qdisc.overlimits = next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::netlink::testing::attribute;

    #[test]
    fn numbers_are_where_the_kernel_writes_them() {
        let head: Vec<u8> = [0, 4, 0x8001_0000, u32::MAX, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        let basic = [&1000u64.to_ne_bytes()[..], &7u32.to_ne_bytes(), &[0; 4]].concat();
        let queue: Vec<u8> = (1..=5u32).flat_map(u32::to_ne_bytes).collect();
        let stats = [attribute(1, &basic), attribute(8, &(1u64 << 33).to_ne_bytes()), attribute(3, &queue)].concat();
        let read = qdisc(&[head, attribute(1, b"tbf\0"), attribute(7, &stats)].concat(), 9).unwrap();
        let expected = Qdisc {
            ifindex: 4,
            netns: 9,
            kind: "tbf".into(),
            handle: 0x8001_0000,
            parent: u32::MAX,
            bytes: 1000,
            packets: 1 << 33,
            backlog_packets: 1,
            backlog_bytes: 2,
            drops: 3,
            requeues: 4,
            overlimits: 5,
        };
        assert_eq!(read, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_queue_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..150)) {
            let _ = qdisc(&bytes, 1);
        }
    }
}
