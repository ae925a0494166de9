//! Network interfaces over a blocking rtnetlink socket: `RTM_GETLINK` with `IFLA_STATS64` and `IFLA_LINKINFO`.
//!
//! Attributes are read as bytes: an interface name may hold any byte but `/`, `:` and white space, so one hostile name
//! must not cost the whole answer.

use netlink_packet_core::{
    ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN, NetlinkBuffer,
    NlasIterator,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::SourceError;
use crate::snapshot::Name;
use crate::snapshot::link::{Link, Links};

// Numbers of linux/rtnetlink.h and linux/if_link.h; they are the kernel's ABI.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_INFO_KIND: u16 = 1;
/// Bytes of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;
/// Bytes of `struct nlmsghdr`.
const NLMSGHDR: usize = 16;
/// How often a list is asked for again that changed while the kernel wrote it.
const ATTEMPTS: u32 = 3;

/// A socket that asks the kernel for its interfaces.
#[derive(Debug)]
pub struct LinkReader {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

impl LinkReader {
    /// Opens the socket, in the network namespace of the calling thread.
    pub fn open() -> Result<Self, SourceError> {
        let failed = |call: &str, e: std::io::Error| SourceError::Netlink(format!("cannot {call} a socket: {e}"));
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(|e| failed("open", e))?;
        socket.bind_auto().map_err(|e| failed("bind", e))?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(|e| failed("connect", e))?;
        Ok(Self { socket, buffer: Vec::with_capacity(64 << 10), sequence: 0 })
    }

    /// Every interface, by index.
    pub fn read(&mut self) -> Result<Links, SourceError> {
        for _ in 0..ATTEMPTS {
            let (mut list, interrupted) = self.dump()?;
            if !interrupted {
                list.sort_unstable_by_key(|l| l.index);
                return Ok(Links { list });
            }
        }
        Err(SourceError::Netlink(format!("the interfaces changed during each of {ATTEMPTS} readings")))
    }

    fn dump(&mut self) -> Result<(Vec<Link>, bool), SourceError> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = get_link_request(self.sequence);
        self.socket.send(&request, 0).map_err(|e| SourceError::Netlink(format!("cannot send RTM_GETLINK: {e}")))?;
        let mut answer = Answer::default();
        while !answer.done {
            self.buffer.clear();
            self.socket
                .recv(&mut self.buffer, 0)
                .map_err(|e| SourceError::Netlink(format!("cannot receive the interfaces: {e}")))?;
            answer.take(&self.buffer, self.sequence)?;
        }
        Ok((answer.links, answer.interrupted))
    }
}

fn get_link_request(sequence: u32) -> Vec<u8> {
    let mut request = vec![0; NLMSGHDR + IFINFOMSG];
    let mut message = NetlinkBuffer::new(&mut request);
    message.set_length((NLMSGHDR + IFINFOMSG) as u32);
    message.set_message_type(RTM_GETLINK);
    message.set_flags(NLM_F_REQUEST | NLM_F_DUMP);
    message.set_sequence_number(sequence);
    request
}

/// What has come of an answer so far.
#[derive(Debug, Default)]
struct Answer {
    links: Vec<Link>,
    interrupted: bool,
    done: bool,
}

impl Answer {
    /// Takes one datagram: messages one after the other, each aligned to 4 bytes.
    fn take(&mut self, mut bytes: &[u8], sequence: u32) -> Result<(), SourceError> {
        while !bytes.is_empty() && !self.done {
            let message = NetlinkBuffer::new_checked(bytes).map_err(|e| SourceError::Netlink(e.to_string()))?;
            if message.sequence_number() == sequence {
                self.interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
                match message.message_type() {
                    RTM_NEWLINK => self.links.push(link(message.payload())?),
                    NLMSG_DONE => self.done = true,
                    NLMSG_ERROR => return Err(refusal(message.payload())),
                    NLMSG_OVERRUN => return Err(SourceError::Netlink("the kernel lost part of the answer".into())),
                    _ => {}
                }
            }
            let length = usize::try_from(message.length()).unwrap_or(usize::MAX).next_multiple_of(4);
            bytes = bytes.get(length..).unwrap_or_default();
        }
        Ok(())
    }
}

fn refusal(payload: &[u8]) -> SourceError {
    let code = ErrorBuffer::new_checked(payload).ok().and_then(|e| e.code());
    let text = code.map_or("an error without a number".to_owned(), |c| {
        std::io::Error::from_raw_os_error(c.get().saturating_neg()).to_string()
    });
    SourceError::Netlink(format!("the kernel refused RTM_GETLINK: {text}"))
}

/// Parses the payload of `RTM_NEWLINK`: `struct ifinfomsg`, then attributes.
fn link(payload: &[u8]) -> Result<Link, SourceError> {
    let short = || SourceError::Netlink("a link message is too short".into());
    let index = payload.get(4..8).and_then(u32_of).ok_or_else(short)?;
    let flags = payload.get(8..12).and_then(u32_of).ok_or_else(short)?;
    let mut link = Link { index, up: flags & libc::IFF_UP.cast_unsigned() != 0, ..Link::default() };
    let mut has_stats = false;
    for attribute in NlasIterator::new(payload.get(IFINFOMSG..).ok_or_else(short)?) {
        let attribute = attribute.map_err(|e| SourceError::Netlink(format!("interface {index}: {e}")))?;
        match attribute.kind() {
            IFLA_IFNAME => link.name = Name::from_c_bytes(attribute.value()),
            IFLA_MTU => link.mtu = u32_of(attribute.value()),
            IFLA_LINKINFO => link.kind = kind(attribute.value()),
            IFLA_STATS64 => has_stats = stats(&mut link, attribute.value()).is_some(),
            _ => {}
        }
    }
    if !has_stats {
        return Err(SourceError::Netlink(format!("interface {index} ({}) has no IFLA_STATS64", link.name)));
    }
    Ok(link)
}

fn kind(link_info: &[u8]) -> Option<Name> {
    let kind = NlasIterator::new(link_info).flatten().find(|a| a.kind() == IFLA_INFO_KIND)?;
    Some(Name::from_c_bytes(kind.value()))
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

fn u32_of(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; NLMSGHDR];
        out.extend(payload);
        let length = out.len() as u32;
        let mut header = NetlinkBuffer::new(&mut out);
        header.set_length(length);
        header.set_message_type(kind);
        header.set_sequence_number(1);
        out
    }

    fn new_link(name: &[u8], attributes: &[Vec<u8>]) -> Vec<u8> {
        let head = [&[0; 4][..], &7u32.to_ne_bytes(), &1u32.to_ne_bytes(), &[0; 4]].concat();
        message(RTM_NEWLINK, &[head, attribute(IFLA_IFNAME, name), attributes.concat()].concat())
    }

    fn counters() -> Vec<u8> {
        attribute(IFLA_STATS64, &(1..=24u64).flat_map(u64::to_ne_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn a_hostile_name_costs_nothing() {
        let info = attribute(IFLA_LINKINFO, &attribute(IFLA_INFO_KIND, b"veth\0"));
        let mtu = attribute(IFLA_MTU, &1500u32.to_ne_bytes());
        let bytes = [new_link(b"\xff\x1b[0m\0", &[mtu, info, counters()]), message(NLMSG_DONE, &[0; 4])].concat();
        let mut answer = Answer::default();
        answer.take(&bytes, 1).unwrap();
        assert!(answer.done && !answer.interrupted);
        let expected = Link {
            index: 7,
            name: Name::from_bytes(b"\xff\x1b[0m"),
            kind: Some("veth".into()),
            up: true,
            mtu: Some(1500),
            parent: None,
            parent_netns: None,
            master: None,
            rx_packets: 1,
            tx_packets: 2,
            rx_bytes: 3,
            tx_bytes: 4,
            rx_errors: 5,
            tx_errors: 6,
            rx_dropped: 7,
            tx_dropped: 8,
        };
        assert_eq!(answer.links, [expected]);
    }

    #[test]
    fn what_is_missing_or_refused_is_said() {
        let take = |bytes: &[u8]| Answer::default().take(bytes, 1).unwrap_err().to_string();
        assert_eq!(take(&new_link(b"eth0\0", &[])), "rtnetlink: interface 7 (eth0) has no IFLA_STATS64");
        let refused = message(NLMSG_ERROR, &[&(-libc::EPERM).to_ne_bytes()[..], &[0; 16]].concat());
        let text = "rtnetlink: the kernel refused RTM_GETLINK: Operation not permitted (os error 1)";
        assert_eq!(take(&refused), text);
        let whole = new_link(b"eth0\0", &[counters()]);
        assert!(take(&whole[..whole.len() - 1]).starts_with("rtnetlink: "));
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
            let _ = Answer::default().take(&bytes, 0);
            let _ = link(&bytes);
        }
    }
}
