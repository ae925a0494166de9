//! TCP sockets of a test: pairs, options, and what `TCP_INFO` says of them.

use std::{
    ffi::c_int,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use super::wait::LIMIT;

/// Loopback, of both versions.
pub(crate) const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Both ends of one connection.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The end that connected.
    pub(crate) client: TcpStream,
    /// The end that accepted.
    pub(crate) server: TcpStream,
}

/// A listening socket on a port that the kernel chooses.
pub(crate) fn listen(ip: IpAddr) -> TcpListener {
    TcpListener::bind((ip, 0)).expect("a listening socket")
}

/// Connects to a listening socket and accepts.
pub(crate) fn pair(listener: &TcpListener) -> Pair {
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    Pair { client, server }
}

impl Pair {
    /// Sends `bytes` from one end to the other, and waits until they have come.
    pub(crate) fn send(&mut self, bytes: usize) {
        move_bytes(&mut self.client, &mut self.server, bytes);
    }

    /// The same the other way.
    pub(crate) fn answer(&mut self, bytes: usize) {
        move_bytes(&mut self.server, &mut self.client, bytes);
    }
}

/// Sends `bytes` from one end of a connection to the other, whatever its buffers hold: they are read while they are written.
pub(crate) fn move_bytes(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) {
    // Should one end fail, the other one does not wait for it for ever.
    from.set_write_timeout(Some(LIMIT)).expect("a limit");
    to.set_read_timeout(Some(LIMIT)).expect("a limit");
    std::thread::scope(|scope| {
        scope.spawn(move || from.write_all(&vec![7; bytes]).expect("write"));
        to.read_exact(&mut vec![0; bytes]).expect("read");
    });
}

/// A port on which nobody listens.
pub(crate) fn closed_port(ip: IpAddr) -> SocketAddr {
    listen(ip).local_addr().expect("an address")
}

/// A listening socket whose queue is full: the kernel drops every further SYN. The connection that fills it comes along.
pub(crate) fn full(ip: IpAddr) -> (TcpListener, TcpStream) {
    let listener = listen(ip);
    // SAFETY: the descriptor is a listening socket.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0, "listen: {}", io::Error::last_os_error());
    let filler = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    (listener, filler)
}

/// Begins to connect and does not wait.
pub(crate) fn begin_connect(to: SocketAddr) -> OwnedFd {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: socket has no preconditions; the descriptor is nobody else's.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "socket: {}", io::Error::last_os_error());
    // SAFETY: it was just made.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let done = match to {
        SocketAddr::V4(to) => {
            // SAFETY: zeros are a valid address.
            let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_port = to.port().to_be();
            address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
            // SAFETY: the address is as long as it says.
            unsafe { libc::connect(fd, (&raw const address).cast(), size_of_val(&address) as libc::socklen_t) }
        }
        SocketAddr::V6(to) => {
            // SAFETY: zeros are a valid address.
            let mut address: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            address.sin6_port = to.port().to_be();
            address.sin6_addr.s6_addr = to.ip().octets();
            // SAFETY: the address is as long as it says.
            unsafe { libc::connect(fd, (&raw const address).cast(), size_of_val(&address) as libc::socklen_t) }
        }
    };
    let error = io::Error::last_os_error();
    assert!(done == 0 || error.raw_os_error() == Some(libc::EINPROGRESS), "connect: {error}");
    socket
}

/// Sets an option whose value is a plain structure.
pub(crate) fn set<T>(socket: &impl AsRawFd, level: c_int, option: c_int, value: &T) {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value is as long as it says.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), len) };
    assert_eq!(done, 0, "setsockopt({level}, {option}): {}", io::Error::last_os_error());
}

/// The end of this socket will be a reset.
pub(crate) fn end_by_reset(socket: &TcpStream) {
    set(socket, libc::SOL_SOCKET, libc::SO_LINGER, &libc::linger { l_onoff: 1, l_linger: 0 });
}

/// Largest segment, for connections that begin after this call.
pub(crate) fn max_segment(socket: &impl AsRawFd, bytes: c_int) {
    set(socket, libc::IPPROTO_TCP, libc::TCP_MAXSEG, &bytes);
}

/// What a socket may hold that was not read, in bytes, whatever the limit of the host; the kernel doubles it and has a least.
pub(crate) fn receive_buffer(socket: &impl AsRawFd, bytes: c_int) {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes);
}

/// Connections are accepted with their first data only: until then the kernel sends its SYN-ACK again.
pub(crate) fn defer_accept(socket: &impl AsRawFd, seconds: c_int) {
    set(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &seconds);
}

/// Loses this share of what comes in, before TCP sees it: a classic BPF filter that asks the kernel's random numbers.
pub(crate) fn lose(socket: &impl AsRawFd, share: f64) {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const RANDOM: u32 = (-0x1000_i32 + 56).cast_unsigned();
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let threshold = (f64::from(u32::MAX) * share) as u32;
    let mut steps = [
        step(LOAD_WORD, 0, 0, RANDOM),
        step(JUMP_IF_AT_LEAST, 0, 1, threshold),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program);
}

/// Loses nothing any more.
pub(crate) fn lose_nothing(socket: &impl AsRawFd) {
    set(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0);
}

/// `SO_COOKIE`.
pub(crate) fn cookie(socket: &impl AsRawFd) -> u64 {
    let mut bytes = [0; 8];
    get(socket, libc::SOL_SOCKET, libc::SO_COOKIE, &mut bytes);
    u64::from_ne_bytes(bytes)
}

fn get(socket: &impl AsRawFd, level: c_int, option: c_int, value: &mut [u8]) -> usize {
    let mut len = value.len() as libc::socklen_t;
    // SAFETY: the buffer is as long as it says.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, value.as_mut_ptr().cast(), &raw mut len) };
    assert_eq!(done, 0, "getsockopt({level}, {option}): {}", io::Error::last_os_error());
    len as usize
}

/// What the kernel says of a connection: `struct tcp_info` of linux/tcp.h, of which fields are only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Info(Vec<u8>);

impl Info {
    /// Asks the kernel.
    pub(crate) fn of(socket: &impl AsRawFd) -> Self {
        let mut bytes = vec![0; 512];
        let len = get(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut bytes);
        bytes.truncate(len);
        Self(bytes)
    }

    /// The 32-bit field at an offset; `None` if this kernel does not have it.
    pub(crate) fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.0.get(at..at + 4)?.try_into().ok()?))
    }

    /// The 64-bit field at an offset; `None` if this kernel does not have it.
    pub(crate) fn u64(&self, at: usize) -> Option<u64> {
        Some(u64::from_ne_bytes(self.0.get(at..at + 8)?.try_into().ok()?))
    }
}

/// An IPv6 socket that talks to an IPv4 address, at both ends.
pub(crate) fn mapped() -> Pair {
    let listener = listen(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let port = listener.local_addr().expect("an address").port();
    let client = begin_connect(SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port)));
    let (server, _) = listener.accept().expect("accept");
    let client = TcpStream::from(client);
    client.set_nonblocking(false).expect("a flag");
    Pair { client, server }
}

/// A connection over MPTCP, the server's end of which is plain TCP if so asked; `None` where the kernel has no MPTCP. The
/// cookies of its ends are not those of its subflows.
pub(crate) fn mptcp_to(server_is_plain: bool) -> Option<Pair> {
    let stream = |protocol| {
        // SAFETY: socket has no preconditions; the descriptor is nobody else's.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, protocol) };
        // SAFETY: it was just made.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    };
    let (listener, client) =
        (stream(if server_is_plain { 0 } else { libc::IPPROTO_MPTCP })?, stream(libc::IPPROTO_MPTCP)?);
    // SAFETY: the descriptor is a socket; a listening one without an address gets one.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0, "listen: {}", io::Error::last_os_error());
    let listener = TcpListener::from(listener);
    let port = listener.local_addr().expect("an address").port();
    // SAFETY: zeros are a valid address.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
    // SAFETY: the address is as long as it says.
    let done = unsafe { libc::connect(client.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as _) };
    assert_eq!(done, 0, "connect: {}", io::Error::last_os_error());
    let (server, _) = listener.accept().expect("accept");
    Some(Pair { client: TcpStream::from(client), server })
}

/// A connection over MPTCP at both ends, through which some data went.
pub(crate) fn mptcp() -> Option<Pair> {
    let mut ends = mptcp_to(false)?;
    ends.send(5000);
    Some(ends)
}
