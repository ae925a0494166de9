//! What keeps a TCP connection from being faster. Pure.
//!
//! The sender's kernel knows: it counts the time with data to send, and how much of that the peer's window or its own send
//! buffer was the limit (`tcp_sock.chrono_stat`). The rest is told apart by what is sent again, by how the congestion window
//! is used, and by how long packets wait. The first limit that matches, in the order of [`Limit`], is the verdict; all shares
//! are shown.

mod judge;
mod numbers;
mod observed;
mod thresholds;
mod words;

use serde::Serialize;

pub use thresholds::Thresholds;

use super::{Evidence, Window};
use crate::model::tcp::Connection;
use numbers::Numbers;
use observed::{Key, observed};

/// What limits a connection, in the order in which it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// It cannot be told; the evidence says what lacks.
    Unknown,
    /// Nothing was sent or received.
    Idle,
    /// What was sent is never acknowledged.
    BlackHole,
    /// It receives: the limit is at the other end, which sends.
    Sender,
    /// The application has nothing to send for part of the time.
    Application,
    /// The send buffer is too small for the path.
    SendBuffer,
    /// The peer's receive window is too small, or its application reads too slowly.
    ReceiveWindow,
    /// The sender keeps to a rate that it was given.
    Pacing,
    /// Segments are sent again although they had come.
    Reordering,
    /// The path loses segments.
    Loss,
    /// Acknowledgements come late and in bursts, often because the other end is kept from its work.
    LateAcks,
    /// The path takes no more: packets wait in a queue of it.
    Path,
    /// The congestion window is small without a loss: it still grows, or grows slowly.
    CongestionWindow,
    /// Packets wait in this host: its queue, its driver or its processors.
    LocalStack,
}

impl Limit {
    /// Every limit.
    pub const ALL: &[Self] = &[
        Self::Unknown,
        Self::Idle,
        Self::BlackHole,
        Self::Sender,
        Self::Application,
        Self::SendBuffer,
        Self::ReceiveWindow,
        Self::Pacing,
        Self::Reordering,
        Self::Loss,
        Self::LateAcks,
        Self::Path,
        Self::CongestionWindow,
        Self::LocalStack,
    ];

    /// As a value of a label, and in documents.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Idle => "idle",
            Self::BlackHole => "black_hole",
            Self::Sender => "sender",
            Self::Application => "application",
            Self::SendBuffer => "send_buffer",
            Self::ReceiveWindow => "receive_window",
            Self::Pacing => "pacing",
            Self::Reordering => "reordering",
            Self::Loss => "loss",
            Self::LateAcks => "late_acks",
            Self::Path => "path",
            Self::CongestionWindow => "congestion_window",
            Self::LocalStack => "local_stack",
        }
    }

    /// True if it names something that keeps the connection from being faster.
    pub const fn is_named(self) -> bool {
        !matches!(self, Self::Unknown | Self::Idle | Self::Sender)
    }

    /// In a few words, for a table.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Idle => "idle",
            Self::BlackHole => "black hole",
            Self::Sender => "other end",
            Self::Application => "application",
            Self::SendBuffer => "send buffer",
            Self::ReceiveWindow => "receive window",
            Self::Pacing => "pacing",
            Self::Reordering => "reordering",
            Self::Loss => "loss",
            Self::LateAcks => "late acks",
            Self::Path => "path",
            Self::CongestionWindow => "cwnd",
            Self::LocalStack => "local stack",
        }
    }
}

/// Shares of the time, 0 to 1, that add up to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shares {
    /// Nothing to send.
    pub idle: f64,
    /// Sending as the congestion window, the pacing and the path allow.
    pub network: f64,
    /// Waiting for room in the peer's window.
    pub receive_window: f64,
    /// Waiting for room in the send buffer.
    pub send_buffer: f64,
}

/// The rate that a limit allows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ceiling {
    /// In bytes a second.
    pub bytes_per_second: f64,
    /// How it comes about, with the numbers.
    pub formula: String,
}

/// What limits a connection. Why that is known is put into words only when it is asked for: hosts have thousands.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The limit.
    pub limit: Limit,
    /// The connection.
    key: Key,
    numbers: Numbers,
}

impl Verdict {
    /// Seconds that were looked at.
    pub fn seconds(&self) -> f64 {
        self.numbers.seconds
    }

    /// Where the time went; `None` if the kernel does not tell.
    pub fn shares(&self) -> Option<Shares> {
        self.numbers.shares
    }

    /// The rate that the limit allows, where it can be computed.
    pub fn ceiling(&self) -> Option<Ceiling> {
        words::ceiling(self.limit, &self.numbers)
    }

    /// The numbers that it rests on.
    pub fn evidence(&self) -> Vec<Evidence> {
        words::evidence(self.limit, &self.numbers)
    }

    /// What lifts the limit.
    pub fn advice(&self) -> Option<&'static str> {
        words::advice(self.limit)
    }

    /// Bytes a second that the peer acknowledged.
    pub fn rate(&self) -> Option<f64> {
        self.numbers.rate
    }

    /// True if it is of this connection.
    pub fn is_of(&self, connection: &Connection) -> bool {
        self.key == observed::key(connection)
    }
}

/// In a document: in whole sentences.
impl Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut out = serializer.serialize_struct("Verdict", 8)?;
        out.serialize_field("netns", &self.key.0)?;
        out.serialize_field("cookie", &self.key.1)?;
        out.serialize_field("limit", &self.limit)?;
        out.serialize_field("seconds", &self.seconds())?;
        out.serialize_field("shares", &self.shares())?;
        out.serialize_field("ceiling", &self.ceiling())?;
        out.serialize_field("evidence", &self.evidence())?;
        out.serialize_field("advice", &self.advice())?;
        out.end()
    }
}

/// Judges every connection of the newest model, in its order.
pub fn verdicts(window: &Window<'_>) -> Vec<Verdict> {
    let thresholds = &window.thresholds().flow;
    observed(window, thresholds.look_back_seconds).iter().map(|row| judge::judge(row, thresholds)).collect()
}
