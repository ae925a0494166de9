//! Network interfaces over rtnetlink: `RTM_GETLINK` with `IFLA_STATS64` and `IFLA_LINKINFO`.

use std::ops::ControlFlow;

use super::SourceError;
use super::netlink::{
    Family, Message, Netlink, NetlinkError, Problem, Request,
    attribute::{all, find, name_of, u32_of},
};
use super::tunnel;
use crate::snapshot::link::{Link, Links};
use crate::snapshot::tunnel::Tunnel;

/// Bytes of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;

/// A socket that asks the kernel for its interfaces.
#[derive(Debug)]
pub struct LinkReader {
    netlink: Netlink,
}

/// An interface, and what its namespace alone can make of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The interface; `parent_netns` is not known yet.
    pub link: Link,
    /// Number, in its own namespace, of the namespace that the interface below is in (`IFLA_LINK_NETNSID`).
    pub parent_nsid: Option<u32>,
    /// The tunnel that it is, with what its own attributes say.
    pub tunnel: Option<Tunnel>,
}

impl LinkReader {
    /// Opens the socket, in the network namespace of the calling thread.
    pub fn open() -> Result<Self, SourceError> {
        Ok(Self { netlink: Netlink::open(Family::Route)? })
    }

    /// Every interface, by index.
    pub fn read(&mut self) -> Result<Links, SourceError> {
        Ok(Links { list: list(&mut self.netlink)?.into_iter().map(|seen| seen.link).collect() })
    }
}

/// Every interface of the socket's namespace, by index, and the tunnels among them.
pub fn list(netlink: &mut Netlink) -> Result<Vec<Seen>, NetlinkError> {
    let mut request = Request::new("RTM_GETLINK", libc::RTM_GETLINK, &[0; IFINFOMSG]);
    let mut list = netlink.list(&mut request, Vec::new, take)?;
    list.sort_unstable_by_key(|seen| seen.link.index);
    Ok(list)
}

fn take(list: &mut Vec<Seen>, message: Message<'_>) -> Result<ControlFlow<()>, Problem> {
    if message.kind == libc::RTM_NEWLINK {
        list.push(link(message.payload)?);
    }
    Ok(ControlFlow::Continue(()))
}

/// Parses the payload of `RTM_NEWLINK`: `struct ifinfomsg`, then attributes.
fn link(payload: &[u8]) -> Result<Seen, Problem> {
    let short = || Problem::Garbled("a link message is too short".into());
    let index = payload.get(4..8).and_then(u32_of).ok_or_else(short)?;
    let flags = payload.get(8..12).and_then(u32_of).ok_or_else(short)?;
    let mut link = Link { index, up: flags & libc::IFF_UP.cast_unsigned() != 0, ..Link::default() };
    let (mut has_stats, mut parent_nsid, mut info) = (false, None, &[][..]);
    for attribute in all(payload.get(IFINFOMSG..).ok_or_else(short)?) {
        let (kind, value) = attribute.map_err(|e| Problem::Garbled(format!("interface {index}: {e}")))?;
        match kind {
            libc::IFLA_IFNAME => link.name = name_of(value),
            libc::IFLA_MTU => link.mtu = u32_of(value),
            libc::IFLA_LINK => link.parent = u32_of(value).filter(|parent| *parent != 0),
            libc::IFLA_LINK_NETNSID => parent_nsid = u32_of(value).filter(|id| id.cast_signed() >= 0),
            libc::IFLA_MASTER => link.master = u32_of(value),
            libc::IFLA_GSO_MAX_SIZE => link.gso_max_size = u32_of(value),
            libc::IFLA_GRO_MAX_SIZE => link.gro_max_size = u32_of(value),
            libc::IFLA_LINKINFO => info = value,
            libc::IFLA_STATS64 => has_stats = stats(&mut link, value).is_some(),
            _ => {}
        }
    }
    if !has_stats {
        return Err(Problem::Garbled(format!("interface {index} ({}) has no IFLA_STATS64", link.name)));
    }
    link.kind = find(info, libc::IFLA_INFO_KIND).map(name_of);
    // An interface without one below it names itself. The two ends of a veth may have the same index, each in its namespace.
    if parent_nsid.is_none() || link.kind.as_ref().is_none_or(|kind| kind.as_str() != "veth") {
        link.parent = link.parent.filter(|parent| *parent != index);
    }
    let tunnel = tunnel::of_link(&link, find(info, libc::IFLA_INFO_DATA).unwrap_or_default());
    Ok(Seen { link, parent_nsid, tunnel })
}

/// The first eight numbers of `struct rtnl_link_stats64`.
fn stats(link: &mut Link, value: &[u8]) -> Option<()> {
    let mut numbers = value.chunks_exact(8).map(|c| c.try_into().map(u64::from_ne_bytes).unwrap_or_default());
    link.rx_packets = numbers.next()?;
    link.tx_packets = numbers.next()?;
    link.rx_bytes = numbers.next()?;
    link.tx_bytes = numbers.next()?;
    link.rx_errors = numbers.next()?;
    link.tx_errors = numbers.next()?;
    link.rx_dropped = numbers.next()?;
    link.tx_dropped = numbers.next()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::Name;
    use crate::source::netlink::testing::attribute;

    fn new_link(name: &[u8], attributes: &[Vec<u8>]) -> Vec<u8> {
        let head = [&[0; 4][..], &7u32.to_ne_bytes(), &1u32.to_ne_bytes(), &[0; 4]].concat();
        [head, attribute(libc::IFLA_IFNAME, name), attributes.concat()].concat()
    }

    fn counters() -> Vec<u8> {
        attribute(libc::IFLA_STATS64, &(1..=24u64).flat_map(u64::to_ne_bytes).collect::<Vec<_>>())
    }

    fn number(kind: u16, value: u32) -> Vec<u8> {
        attribute(kind, &value.to_ne_bytes())
    }

    #[test]
    fn a_hostile_name_costs_nothing() {
        let info = attribute(libc::IFLA_LINKINFO, &attribute(libc::IFLA_INFO_KIND, b"veth\0"));
        let below = [number(libc::IFLA_LINK, 7), number(libc::IFLA_LINK_NETNSID, 3), number(libc::IFLA_MASTER, 9)];
        let sizes = [number(libc::IFLA_MTU, 1500), number(libc::IFLA_GSO_MAX_SIZE, 65536)];
        let seen = link(&new_link(b"\xff\x1b[0m\0", &[below.concat(), sizes.concat(), info, counters()])).unwrap();
        let expected = Link {
            index: 7,
            name: Name::from_bytes(b"\xff\x1b[0m"),
            kind: Some("veth".into()),
            up: true,
            mtu: Some(1500),
            // It has the same index as the one below it, which is in another namespace.
            parent: Some(7),
            parent_netns: None,
            master: Some(9),
            gso_max_size: Some(65536),
            gro_max_size: None,
            features: None,
            rx_packets: 1,
            tx_packets: 2,
            rx_bytes: 3,
            tx_bytes: 4,
            rx_errors: 5,
            tx_errors: 6,
            rx_dropped: 7,
            tx_dropped: 8,
        };
        assert_eq!(seen, Seen { link: expected, parent_nsid: Some(3), tunnel: None });
    }

    #[test]
    fn an_interface_without_one_below_it_has_no_parent() {
        let of = |attributes: &[Vec<u8>]| link(&new_link(b"a\0", &[attributes.concat(), counters()])).unwrap();
        assert_eq!(of(&[number(libc::IFLA_LINK, 7)]).link.parent, None);
        assert_eq!(of(&[number(libc::IFLA_LINK, 0)]).link.parent, None);
        assert_eq!(of(&[number(libc::IFLA_LINK, 8)]).link.parent, Some(8));
        assert_eq!(of(&[number(libc::IFLA_LINK_NETNSID, u32::MAX)]).parent_nsid, None);
    }

    #[test]
    fn what_is_missing_is_said() {
        let problem = |bytes: &[u8]| link(bytes).unwrap_err().to_string();
        assert_eq!(problem(&new_link(b"eth0\0", &[])), "interface 7 (eth0) has no IFLA_STATS64");
        let whole = new_link(b"eth0\0", &[counters()]);
        assert!(problem(&whole[..whole.len() - 1]).starts_with("interface 7: "));
        assert_eq!(problem(&[0; 5]), "a link message is too short");
    }

    #[test]
    fn this_host_has_a_loopback_as_sysfs_shows_it() {
        let mut reader = LinkReader::open().unwrap();
        let mut seen = reader.read().unwrap();
        for _ in 0..2 {
            let again = reader.read().unwrap();
            assert_eq!(again.list.len(), seen.list.len());
            seen = again;
        }
        let lo = seen.list.iter().find(|l| l.name.as_str() == "lo").unwrap();
        let mtu = std::fs::read_to_string("/sys/class/net/lo/mtu").unwrap();
        assert_eq!(lo.mtu, mtu.trim().parse().ok());
        let later = std::fs::read_to_string("/sys/class/net/lo/statistics/rx_bytes").unwrap();
        assert!(lo.rx_bytes <= later.trim().parse().unwrap());
        assert!(lo.kind.is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = link(&bytes);
        }
    }
}
