//! Questions to the kernel over a blocking netlink socket, and the bytes of its answers.
//!
//! Attributes are read as bytes: an interface name may hold any byte but `/`, `:` and white space, so one hostile name
//! must not cost the whole answer.

pub mod attribute;
mod error;
pub mod generic;
mod request;

use std::ops::ControlFlow;

use netlink_packet_core::{NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN, NetlinkBuffer};
use netlink_sys::{Socket, SocketAddr};

pub use error::{NetlinkError, Problem};
pub use request::Request;

/// Bytes that one datagram of the kernel has at most, and more: 32 KiB for a list, one page for an answer.
const ROOM: usize = 64 << 10;
/// How often a list is asked for again that changed while the kernel wrote it.
const ATTEMPTS: u32 = 3;

/// Which part of the kernel is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Interfaces, neighbours, routes, queues.
    Route,
    /// Families that have a name instead of a number.
    Generic,
    /// Sockets.
    SockDiag,
    /// IPsec.
    Xfrm,
}

impl Family {
    fn protocol(self) -> isize {
        use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_XFRM};
        match self {
            Self::Route => NETLINK_ROUTE,
            Self::Generic => NETLINK_GENERIC,
            Self::SockDiag => NETLINK_SOCK_DIAG,
            Self::Xfrm => NETLINK_XFRM,
        }
    }

    /// Its name, as it stands before a problem.
    fn name(self) -> &'static str {
        match self {
            Self::Route => "rtnetlink",
            Self::Generic => "generic netlink",
            Self::SockDiag => "sock_diag",
            Self::Xfrm => "XFRM netlink",
        }
    }
}

/// One message of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its type, such as `RTM_NEWLINK`.
    pub kind: u16,
    /// What follows the netlink header.
    pub payload: &'a [u8],
}

/// A socket to the kernel, of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Netlink {
    family: Family,
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
    /// True while an answer may still be waiting in the socket.
    unread: bool,
}

impl Netlink {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open(family: Family) -> Result<Self, NetlinkError> {
        Ok(Self { family, socket: socket(family)?, buffer: Vec::with_capacity(ROOM), sequence: 0, unread: false })
    }

    /// Asks for a list, and gives every message of it to `take` until that breaks. A list that changed meanwhile is asked
    /// for again: `begin` is called before each attempt.
    pub fn list<S>(
        &mut self,
        request: &mut Request,
        mut begin: impl FnMut() -> S,
        mut take: impl FnMut(&mut S, Message<'_>) -> Result<ControlFlow<()>, Problem>,
    ) -> Result<S, NetlinkError> {
        for _ in 0..ATTEMPTS {
            let mut state = begin();
            if !self.exchange(request.list(), |message| take(&mut state, message))? {
                return Ok(state);
            }
        }
        Err(self.problem(Problem::Changed { request: request.name(), attempts: ATTEMPTS }))
    }

    /// Asks for one thing.
    pub fn ask<T>(
        &mut self,
        request: &mut Request,
        mut take: impl FnMut(Message<'_>) -> Result<T, Problem>,
    ) -> Result<Option<T>, NetlinkError> {
        let mut answer = None;
        self.exchange(request.single(), |message| {
            answer = Some(take(message)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(answer)
    }

    /// Sends a request and takes its answer. True if it changed while the kernel wrote it.
    fn exchange(
        &mut self,
        request: &mut Request,
        mut take: impl FnMut(Message<'_>) -> Result<ControlFlow<()>, Problem>,
    ) -> Result<bool, NetlinkError> {
        let family = self.family;
        let fail = |problem| NetlinkError { family: family.name(), problem };
        if std::mem::replace(&mut self.unread, true) {
            self.socket = socket(family)?;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.bytes(self.sequence);
        self.socket.send(bytes, 0).map_err(|e| fail(Problem::Call { call: "send", what: request.name(), cause: e }))?;
        let mut answer = Answer { request: request.name(), sequence: self.sequence, lasts: true, interrupted: false };
        while answer.lasts {
            self.buffer.clear();
            let call = |e| fail(Problem::Call { call: "receive", what: request.name(), cause: e });
            let length = self.socket.recv(&mut self.buffer, libc::MSG_TRUNC).map_err(call)?;
            let taken = if length > self.buffer.len() {
                Err(Problem::Garbled(format!("an answer of {length} bytes is longer than any should be")))
            } else {
                answer.take(&self.buffer, request.is_list(), &mut take)
            };
            if request.is_secret() {
                wipe(&mut self.buffer);
            }
            if taken.map_err(fail)?.is_break() {
                self.unread = request.is_list();
                return Ok(false);
            }
        }
        self.unread = false;
        Ok(answer.interrupted)
    }

    fn problem(&self, problem: Problem) -> NetlinkError {
        NetlinkError { family: self.family.name(), problem }
    }
}

fn socket(family: Family) -> Result<Socket, NetlinkError> {
    let failed = |call| {
        move |cause| NetlinkError { family: family.name(), problem: Problem::Call { call, what: "a socket", cause } }
    };
    let mut socket = Socket::new(family.protocol()).map_err(failed("open"))?;
    socket.bind_auto().map_err(failed("bind"))?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(failed("connect"))?;
    if family == Family::Route {
        // Without it the kernel takes the filters of a request for a list for mistakes, and lists everything.
        socket.set_netlink_get_strict_chk(true).map_err(failed("set NETLINK_GET_STRICT_CHK of"))?;
    }
    Ok(socket)
}

/// Overwrites an answer that held keys.
fn wipe(buffer: &mut [u8]) {
    buffer.fill(0);
    // Otherwise the compiler may see that nobody reads the zeros, and leave them out.
    std::hint::black_box(buffer);
}

/// Where the reading of an answer stands.
struct Answer {
    request: &'static str,
    sequence: u32,
    lasts: bool,
    interrupted: bool,
}

impl Answer {
    /// Takes one datagram: messages one after the other, each aligned to 4 bytes.
    fn take(
        &mut self,
        mut bytes: &[u8],
        is_list: bool,
        take: &mut impl FnMut(Message<'_>) -> Result<ControlFlow<()>, Problem>,
    ) -> Result<ControlFlow<()>, Problem> {
        while !bytes.is_empty() && self.lasts {
            let message = NetlinkBuffer::new_checked(bytes).map_err(|e| Problem::Garbled(e.to_string()))?;
            if message.sequence_number() == self.sequence {
                self.interrupted |= is_list && message.flags() & NLM_F_DUMP_INTR != 0;
                match message.message_type() {
                    NLMSG_DONE => self.lasts = false,
                    NLMSG_ERROR => return Err(error::refusal(self.request, message.payload())),
                    NLMSG_OVERRUN => return Err(Problem::Garbled("the kernel lost part of the answer".into())),
                    kind => {
                        if take(Message { kind, payload: message.payload() })?.is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
            }
            let length = usize::try_from(message.length()).unwrap_or(usize::MAX).next_multiple_of(4);
            bytes = bytes.get(length..).unwrap_or_default();
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Messages made by hand.

    use netlink_packet_core::NetlinkBuffer;

    /// One attribute, aligned.
    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    /// One message of the first answer of a socket.
    pub(crate) fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 16];
        out.extend(payload);
        let length = out.len() as u32;
        let mut header = NetlinkBuffer::new(&mut out);
        header.set_length(length);
        header.set_message_type(kind);
        header.set_sequence_number(1);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{testing::message, *};

    fn read(bytes: &[u8]) -> Result<(Vec<u16>, bool), Problem> {
        let mut answer = Answer { request: "RTM_GETLINK", sequence: 1, lasts: true, interrupted: false };
        let mut kinds = Vec::new();
        let _ = answer.take(bytes, true, &mut |message| {
            kinds.push(message.kind);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((kinds, answer.lasts))
    }

    #[test]
    fn an_answer_ends_where_the_kernel_says_so() {
        let whole = [message(16, b"abc"), vec![0], message(16, b""), message(NLMSG_DONE, &[0; 4]), message(17, b"")];
        assert_eq!(read(&whole.concat()).unwrap(), (vec![16, 16], false));
        assert_eq!(read(&message(16, b"abcd")).unwrap(), (vec![16], true));
    }

    #[test]
    fn what_is_refused_or_garbled_is_said() {
        let refused = message(NLMSG_ERROR, &[&(-libc::EPERM).to_ne_bytes()[..], &[0; 16]].concat());
        let text = "the kernel refused RTM_GETLINK: Operation not permitted (os error 1)";
        assert_eq!(read(&refused).unwrap_err().to_string(), text);
        let cut = message(16, b"abcd");
        assert!(matches!(read(&cut[..cut.len() - 1]), Err(Problem::Garbled(_))));
    }

    #[test]
    fn a_list_that_is_broken_off_does_not_end_up_in_the_next_answer() {
        let mut netlink = Netlink::open(Family::Route).unwrap();
        let mut links = Request::new("RTM_GETLINK", libc::RTM_GETLINK, &[0; 16]);
        let mut count = |stop: bool| {
            let flow = if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            netlink.list(
                &mut links,
                || 0,
                |n, _| {
                    *n += 1;
                    Ok(flow)
                },
            )
        };
        let all = count(false).unwrap();
        assert_eq!((count(true).unwrap(), count(true).unwrap()), (1, 1));
        assert_eq!(count(false).unwrap(), all);
    }

    #[test]
    fn keys_are_overwritten() {
        let mut bytes = b"key".to_vec();
        wipe(&mut bytes);
        assert_eq!(bytes, [0; 3]);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
