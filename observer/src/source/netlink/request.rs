//! Building a request.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer};

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// A request: a netlink header, the header of its kind, attributes.
#[derive(Debug, Clone)]
pub struct Request {
    name: &'static str,
    bytes: Vec<u8>,
    secret: bool,
}

impl Request {
    /// Begins one; `head` is the structure that its type prescribes.
    pub fn new(name: &'static str, kind: u16, head: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes.extend(head);
        let mut this = Self { name, bytes, secret: false };
        this.align();
        this.header().set_message_type(kind);
        this
    }

    /// Adds an attribute. A value that is too long for one is left out.
    #[must_use]
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        if let Ok(length) = u16::try_from(value.len() + 4) {
            self.bytes.extend(length.to_ne_bytes());
            self.bytes.extend(kind.to_ne_bytes());
            self.bytes.extend(value);
            self.align();
        }
        self
    }

    /// Says that the answer holds keys: it is overwritten as soon as it has been read.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// What is asked for.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn is_secret(&self) -> bool {
        self.secret
    }

    pub(super) fn is_list(&mut self) -> bool {
        self.header().flags() & NLM_F_DUMP == NLM_F_DUMP
    }

    pub(super) fn list(&mut self) -> &mut Self {
        self.header().set_flags(NLM_F_REQUEST | NLM_F_DUMP);
        self
    }

    pub(super) fn single(&mut self) -> &mut Self {
        self.header().set_flags(NLM_F_REQUEST);
        self
    }

    /// The bytes to send.
    pub(super) fn bytes(&mut self, sequence: u32) -> &[u8] {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let mut header = self.header();
        header.set_length(length);
        header.set_sequence_number(sequence);
        &self.bytes
    }

    fn header(&mut self) -> NetlinkBuffer<&mut Vec<u8>> {
        NetlinkBuffer::new(&mut self.bytes)
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
