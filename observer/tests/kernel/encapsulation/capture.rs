//! What goes out by a cable, as a packet socket sees it.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// A packet socket on an interface of the namespace that it was made in.
#[derive(Debug)]
pub(super) struct Capture {
    socket: OwnedFd,
}

/// A packet outside and the one inside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Source and destination of the outer packet, with UDP ports.
    pub(super) outer: ((IpAddr, u16), (IpAddr, u16)),
    /// Its time to live.
    pub(super) ttl: u8,
    /// Its bytes, from the network header on.
    pub(super) bytes: usize,
}

impl Capture {
    pub(super) fn new(device: &str) -> Self {
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: socket has no preconditions; the descriptor is nobody else's.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK, i32::from(protocol)) };
        assert!(fd >= 0, "packet socket: {}", io::Error::last_os_error());
        // SAFETY: it was just made.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: zeros are a valid address.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = super::bed::index(device).cast_signed();
        let len = size_of_val(&address) as u32;
        // SAFETY: the address is as long as it says.
        let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
        assert_eq!(done, 0, "bind: {}", io::Error::last_os_error());
        Self { socket }
    }

    /// VXLAN packets that went out since the last call, the last one of each by the source port of the TCP inside.
    pub(super) fn vxlan(&self, into: &mut HashMap<u16, Seen>) {
        let mut buffer = vec![0; 1 << 17];
        loop {
            let (fd, to) = (self.socket.as_raw_fd(), buffer.as_mut_ptr());
            // SAFETY: the buffer is as long as it says.
            let len = unsafe { libc::recv(fd, to.cast(), buffer.len(), 0) };
            // Nothing more is there.
            let Some(frame) = usize::try_from(len).ok().filter(|len| *len > 0).and_then(|len| buffer.get(..len)) else {
                return;
            };
            if let Some((port, seen)) = vxlan(frame) {
                into.insert(port, seen);
            }
        }
    }
}

/// Source port of the TCP inside of a VXLAN frame, and the packet outside.
fn vxlan(frame: &[u8]) -> Option<(u16, Seen)> {
    let (source, destination, ttl, udp) = network(frame, 14)?;
    let port = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let (from, to) = (port(udp)?, port(udp + 2)?);
    if to != super::bed::PORT {
        return None;
    }
    // UDP, VXLAN, Ethernet.
    let (.., tcp) = network(frame, udp + 8 + 8 + 14)?;
    let seen = Seen { outer: ((source, from), (destination, to)), ttl, bytes: frame.len() - 14 };
    Some((port(tcp)?, seen))
}

/// Addresses and time to live of the IP packet at `at`, and where its payload begins.
fn network(frame: &[u8], at: usize) -> Option<(IpAddr, IpAddr, u8, usize)> {
    let four = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?));
    let sixteen = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(frame.get(at..at + 16)?).ok()?));
    match frame.get(at)? >> 4 {
        4 => Some((four(at + 12)?, four(at + 16)?, *frame.get(at + 8)?, at + 20)),
        6 => Some((sixteen(at + 8)?, sixteen(at + 24)?, *frame.get(at + 7)?, at + 40)),
        _ => None,
    }
}
