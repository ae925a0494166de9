//! One message of an answer: `struct inet_diag_msg` of linux/inet_diag.h, then attributes.

use std::net::{IpAddr, Ipv6Addr};

use super::info;
use crate::{
    snapshot::{
        CgroupId,
        tcp::{Socket, State},
    },
    source::netlink::{
        Problem,
        attribute::{all, be16_of, name_of, u32_of, u64_of},
    },
};

/// Bytes of `struct inet_diag_msg`.
const HEAD: usize = 72;
// Kinds of attributes.
pub(super) const INFO: u16 = 2;
pub(super) const CONG: u16 = 4;
pub(super) const SKMEMINFO: u16 = 7;
const CGROUP_ID: u16 = 21;

/// A socket that the kernel told of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// A connection that has a `tcp_sock`.
    Connection(Box<Socket>),
    /// It listens.
    Listening,
    /// A request of a listening socket.
    HalfOpen,
    /// What is left of a connection: TIME_WAIT, also where it goes by the name of its substate.
    TimeWait,
}

/// Decodes a message that was read in a namespace. `unified` says that cgroup version 2 has the memory controller.
pub(super) fn decode(netns: u64, unified: bool, payload: &[u8]) -> Result<Found, Problem> {
    let short = || Problem::Garbled(format!("a message about a socket has {} bytes", payload.len()));
    let (head, attributes) = payload.split_at_checked(HEAD).ok_or_else(short)?;
    let word = |at: usize| head.get(at..at + 4).and_then(u32_of).ok_or_else(short);
    let (family, state) = head.first().copied().zip(head.get(1).copied()).ok_or_else(short)?;
    let end = |port: usize, ip: usize| {
        let address = head.get(ip..ip + 16).and_then(|bytes| address(family, bytes));
        Some((address?, head.get(port..port + 2).and_then(be16_of)?))
    };
    let (local, remote) =
        end(4, 8).zip(end(6, 24)).ok_or_else(|| Problem::Garbled(format!("family {family} is no IP")))?;
    let cookie = u64::from(word(44)?) | u64::from(word(48)?) << 32;
    let mut socket = Socket { state: State::of(state), ..Socket::new(cookie, netns, local, remote) };
    (socket.uid, socket.inode) = (word(64)?, word(68)?.into());
    if socket.state == State::Listen {
        return Ok(Found::Listening);
    }
    let mut has_info = false;
    let mut memory: &[u8] = &[];
    for attribute in all(attributes) {
        let (kind, value) = attribute?;
        match kind {
            INFO => (socket.info, has_info) = (info::decode(value), true),
            CONG => socket.congestion = Some(name_of(value)).filter(|name| !name.is_empty()),
            SKMEMINFO => memory = value,
            CGROUP_ID if unified => socket.cgroup = u64_of(value).filter(|id| *id != 0).map(CgroupId),
            _ => {}
        }
    }
    if !has_info {
        let of_a_request = matches!(socket.state, State::SynRecv | State::NewSynRecv);
        return Ok(if of_a_request { Found::HalfOpen } else { Found::TimeWait });
    }
    // `SK_MEMINFO_VARS` of linux/sock_diag.h.
    let of_memory = |place: usize| memory.get(place * 4..place * 4 + 4).and_then(u32_of).map(u64::from);
    (socket.info.rcvbuf, socket.info.sndbuf) = (of_memory(1), of_memory(3));
    socket.info.wmem_queued = of_memory(5);
    // The write queue is counted from the first byte that is not acknowledged.
    let queued = u64::from(word(60)?);
    socket.info.unacked_bytes = socket.info.notsent_bytes.and_then(|unsent| queued.checked_sub(unsent));
    Ok(Found::Connection(Box::new(socket)))
}

fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?)),
        libc::AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::netlink::testing::attribute;

    fn head(family: i32, state: u8) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        (head[0], head[1]) = (family as u8, state);
        head[4..8].copy_from_slice(&[0x1f, 0x90, 0, 80]);
        head[8..12].copy_from_slice(&[127, 0, 0, 1]);
        head[24..28].copy_from_slice(&[10, 0, 0, 9]);
        (head[44], head[48]) = (7, 1);
        head[60..64].copy_from_slice(&900u32.to_ne_bytes());
        (head[64], head[68]) = (5, 6);
        head
    }

    fn with_info(head: &[u8]) -> Vec<u8> {
        let mut info = [0; 232];
        info[144..148].copy_from_slice(&400u32.to_ne_bytes());
        let memory: Vec<u8> = (10..19u32).flat_map(u32::to_ne_bytes).collect();
        let attributes =
            [(INFO, &info[..]), (CONG, b"cubic\0"), (SKMEMINFO, &memory), (CGROUP_ID, &77u64.to_ne_bytes())];
        [head.to_vec(), attributes.map(|(kind, value)| attribute(kind, value)).concat()].concat()
    }

    #[test]
    fn a_connection_has_its_name_its_numbers_and_its_queue() {
        let Found::Connection(socket) = decode(3, true, &with_info(&head(libc::AF_INET, 1))).unwrap() else { panic!() };
        assert_eq!((socket.cookie, socket.netns, socket.state), (1 << 32 | 7, 3, State::Established));
        assert_eq!(socket.local, ("127.0.0.1".parse().unwrap(), 8080));
        assert_eq!(socket.remote, ("10.0.0.9".parse().unwrap(), 80));
        assert_eq!((socket.uid, socket.inode, socket.cgroup), (5, 6, Some(CgroupId(77))));
        assert_eq!(socket.congestion.as_ref().map(|n| n.as_str()), Some("cubic"));
        let info = socket.info;
        assert_eq!((info.rcvbuf, info.sndbuf, info.wmem_queued), (Some(11), Some(13), Some(15)));
        assert_eq!((info.notsent_bytes, info.unacked_bytes, info.cwnd_limited), (Some(400), Some(500), None));
        let other = decode(3, false, &with_info(&head(libc::AF_INET, 1))).unwrap();
        assert!(matches!(other, Found::Connection(s) if s.cgroup.is_none()), "an id of another hierarchy says nothing");
    }

    #[test]
    fn a_mapped_address_is_ipv4() {
        let mut head = head(libc::AF_INET6, 1);
        head[8..24].copy_from_slice(&"::ffff:192.0.2.1".parse::<Ipv6Addr>().unwrap().octets());
        let Found::Connection(socket) = decode(3, true, &with_info(&head)).unwrap() else { panic!() };
        assert_eq!(socket.local.0, "192.0.2.1".parse::<IpAddr>().unwrap());
        assert!(socket.remote.0.is_ipv6());
    }

    #[test]
    fn what_has_no_tcp_sock_is_counted() {
        let found = |state| decode(3, true, &head(libc::AF_INET, state)).unwrap();
        assert_eq!((found(10), found(3), found(12)), (Found::Listening, Found::HalfOpen, Found::HalfOpen));
        assert_eq!((found(6), found(5)), (Found::TimeWait, Found::TimeWait));
    }

    #[test]
    fn what_is_cut_or_of_another_family_is_an_error() {
        let whole = with_info(&head(libc::AF_INET, 1));
        assert!(decode(3, true, &whole[..HEAD - 1]).is_err());
        assert!(decode(3, true, &whole[..HEAD + 9]).is_err());
        assert!(decode(3, true, &head(libc::AF_UNIX, 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(
            family in prop_oneof![Just(2u8), Just(10), any::<u8>()],
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = decode(1, true, &[&[family], bytes.as_slice()].concat());
        }
    }
}
