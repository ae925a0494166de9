//! Open TCP sockets without BPF: `NETLINK_SOCK_DIAG`, in every network namespace that can be entered, and /proc/PID/fd.

mod info;
mod message;
mod owners;

use std::{collections::HashMap, io, ops::ControlFlow};

use message::Found;
use owners::Owners;

use super::{
    Root, SourceError,
    file::Buffer,
    lines::{number, words},
    netlink::{Family, Message, Netlink, NetlinkError, Request},
    netns::{Known, Visit},
};
use crate::snapshot::{
    coverage::Source,
    tcp::{Socket, SocketTotals, Sockets},
};

/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// All states of net/tcp_states.h but TIME_WAIT, whose number the kernel keeps anyway: 1 to 12 without 6.
const STATES: u32 = 0b1_1111_1011_1110;

/// Reader of sockets.
#[derive(Debug)]
pub struct Reader {
    known: Known,
    owners: Owners,
    buffer: Buffer,
    max_sockets: usize,
    unified: bool,
    /// Bytes that each socket had carried at the last reading, by cookie.
    carried: HashMap<u64, u64>,
}

impl Reader {
    /// Knows the namespace of the calling thread so far. `unified` says that cgroup version 2 has the memory controller: the
    /// cgroup of a socket is told of that hierarchy alone.
    pub fn open(max_sockets: usize, unified: bool) -> Result<Self, SourceError> {
        let known = Known::thorough().map_err(|e| SourceError::io("read", "/proc/thread-self/ns/net", e))?;
        let (owners, buffer) = (Owners::default(), Buffer::default());
        Ok(Self { known, owners, buffer, max_sockets, unified, carried: HashMap::new() })
    }

    /// Reads all sockets, and says what of them it cannot tell.
    pub fn read(&mut self) -> Result<(Sockets, Vec<Source>), SourceError> {
        self.read_all().map_err(|e| SourceError::io("read", "the sockets", e))
    }

    fn read_all(&mut self) -> io::Result<(Sockets, Vec<Source>)> {
        self.known.look(std::iter::empty());
        let mut list = Vec::new();
        let mut sockets = Sockets::default();
        let (buffer, unified) = (&mut self.buffer, self.unified);
        let visits = self.known.visit(|namespace| {
            let mut here = Here::default();
            for family in [libc::AF_INET, libc::AF_INET6] {
                here.list(family, namespace.inode, unified)?;
            }
            here.time_wait = time_wait(buffer)?;
            Ok(here)
        })?;
        for (place, (_, visit)) in visits.into_iter().enumerate() {
            match visit {
                Visit::Read(here) => {
                    list.extend(here.list);
                    sockets.listening += here.listening;
                    sockets.syn_recv += here.half_open;
                    sockets.time_wait += here.time_wait;
                    sockets.namespaces += 1;
                }
                Visit::Gone => {}
                Visit::Failed(e) if place == 0 => return Err(e),
                Visit::Failed(_) => sockets.namespaces_not_read += 1,
            }
        }
        sockets.namespaces_not_read += self.known.not_visited();
        let carried = list.iter().map(|socket| (socket.cookie, bytes(socket))).collect();
        let before = std::mem::replace(&mut self.carried, carried);
        (sockets.list, sockets.other) = select(list, self.max_sockets, &before);
        self.owners.fill(&mut sockets.list)?;
        let young = sockets.list.first().map(|socket| info::too_young(&socket.info)).unwrap_or_default();
        let young = young.iter().map(|field| format!(", {field} (a later kernel does)")).collect::<String>();
        let not_told = format!("{}{young}", info::NOT_TOLD).into();
        let mut missing = vec![Source::missing(Source::SOCK_DIAG_FIELDS, not_told)];
        missing.extend(self.owners.missing().map(|why| Source::missing(Source::SOCKET_OWNERS, why)));
        Ok((sockets, missing))
    }
}

/// What was found in one namespace.
#[derive(Debug, Default)]
struct Here {
    list: Vec<Socket>,
    listening: u64,
    half_open: u64,
    time_wait: u64,
}

impl Here {
    /// Asks for the sockets of one family in the namespace that the thread is in.
    fn list(&mut self, family: i32, netns: u64, unified: bool) -> io::Result<()> {
        let told = |e: NetlinkError| {
            let hint = if e.refused() == Some(libc::ENOENT) { "; the module tcp_diag is not there" } else { "" };
            io::Error::other(format!("{e}{hint}"))
        };
        let mut netlink = Netlink::open(Family::SockDiag).map_err(told)?;
        let take = |here: &mut Self, message: Message<'_>| {
            if message.kind == SOCK_DIAG_BY_FAMILY {
                here.add(message::decode(netns, unified, message.payload)?);
            }
            Ok(ControlFlow::Continue(()))
        };
        let found = netlink.list(&mut request(family), Self::default, take).map_err(told)?;
        self.list.extend(found.list);
        self.listening += found.listening;
        self.half_open += found.half_open;
        Ok(())
    }

    fn add(&mut self, found: Found) {
        match found {
            Found::Connection(socket) => self.list.push(*socket),
            Found::Listening => self.listening += 1,
            Found::HalfOpen => self.half_open += 1,
            Found::TimeWait => {}
        }
    }
}

/// `struct inet_diag_req_v2`: family, protocol, attributes, padding, states, and no socket in particular.
fn request(family: i32) -> Request {
    let wanted = [message::INFO, message::CONG, message::SKMEMINFO].iter().fold(0, |bits, kind| bits | 1 << (kind - 1));
    let mut head = vec![family as u8, libc::IPPROTO_TCP as u8, wanted, 0];
    head.extend(STATES.to_ne_bytes());
    head.resize(56, 0);
    Request::new("SOCK_DIAG_BY_FAMILY", SOCK_DIAG_BY_FAMILY, &head)
}

/// Connections in TIME_WAIT, of both families. Source: `tw` in line `TCP` of /proc/net/sockstat.
fn time_wait(buffer: &mut Buffer) -> io::Result<u64> {
    let parse = |bytes: &[u8]| {
        let line = bytes.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"TCP: "));
        let mut words = words(line.unwrap_or_default()).skip_while(|word| *word != b"tw").skip(1);
        words.next().and_then(number).ok_or_else(|| super::Malformed::new(1, "there is no TCP: tw"))
    };
    buffer.parse(&Root::default(), "/proc/thread-self/net/sockstat", parse).map_err(|e| io::Error::other(e.to_string()))
}

/// Bytes that it carried both ways.
fn bytes(socket: &Socket) -> u64 {
    socket.info.bytes_acked.unwrap_or(0).saturating_add(socket.info.bytes_received.unwrap_or(0))
}

/// The sockets that carried the most since `before` or whose data waits, where nothing goes on those that carried the most
/// ever; and the sum of the rest.
fn select(mut list: Vec<Socket>, most: usize, before: &HashMap<u64, u64>) -> (Vec<Socket>, SocketTotals) {
    let mut other = SocketTotals::default();
    if list.len() > most {
        let weight = |socket: &Socket| {
            let waits = socket.info.unacked_bytes.unwrap_or(0).saturating_add(socket.info.notsent_bytes.unwrap_or(0));
            let (all, old) = (bytes(socket), before.get(&socket.cookie).copied().unwrap_or(0));
            (all.saturating_sub(old).saturating_add(waits), all)
        };
        list.select_nth_unstable_by_key(most, |socket| std::cmp::Reverse(weight(socket)));
        for socket in list.drain(most..) {
            other.sockets += 1;
            other.bytes_acked += socket.info.bytes_acked.unwrap_or(0);
            other.bytes_received += socket.info.bytes_received.unwrap_or(0);
            other.retrans_segs += socket.info.retrans_segs.unwrap_or(0);
        }
    }
    (list, other)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_of_this_process_is_found_with_its_owner() {
        let mut reader = Reader::open(1_000_000, false).unwrap();
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let Ok(listener) = TcpListener::bind((ip, 0)) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            // Owners are looked for at intervals.
            let owner = loop {
                let (sockets, missing) = reader.read().unwrap();
                assert!(sockets.listening >= 1 && sockets.namespaces >= 1);
                assert_eq!(missing.first().map(|s| s.name.as_str()), Some(Source::SOCK_DIAG_FIELDS));
                let found = sockets.list.iter().find(|s| s.local == (local.ip(), local.port())).unwrap();
                assert_eq!(found.remote, (remote.ip(), remote.port()));
                if let Some(owner) = &found.owner {
                    break owner.pid;
                }
                std::thread::yield_now();
            };
            assert_eq!(owner, std::process::id());
        }
    }

    #[test]
    fn those_beyond_the_limit_are_summed() {
        let end = (Ipv4Addr::LOCALHOST.into(), 1);
        let list = (1..=5).map(|n| {
            let mut socket = Socket::new(n, 1, end, end);
            (socket.info.bytes_acked, socket.info.retrans_segs) = (Some(n * 10), Some(1));
            socket
        });
        let list: Vec<_> = list.collect();
        let cookies = |before: &HashMap<u64, u64>| {
            let (mut kept, other) = select(list.clone(), 2, before);
            kept.sort_unstable_by_key(|s| s.cookie);
            (kept.iter().map(|s| s.cookie).collect::<Vec<_>>(), other)
        };
        let (kept, other) = cookies(&HashMap::new());
        assert_eq!(kept, [4, 5]);
        assert_eq!(cookies(&HashMap::from([(4, 40), (5, 49), (3, 29), (2, 0)])).0, [1, 2], "those that carry now");
        let rest = SocketTotals { sockets: 3, bytes_acked: 60, bytes_received: 0, retrans_segs: 3 };
        assert_eq!(other, rest);
    }
}
