//! What keeps a TCP connection from being faster. Pure.
//!
//! The sender's kernel knows: it counts the time with data to send, and how much of that the peer's window or its own send
//! buffer was the limit (`tcp_sock.chrono_stat`). The rest is told apart by what is sent again, by how the congestion window
//! is used, and by how long packets wait. The first limit that matches, in the order of [`Limit`], is the verdict; all shares
//! are shown.

mod judge;
mod observed;
mod thresholds;

use serde::Serialize;

pub use observed::{Key, Observed, observed};
pub use thresholds::Thresholds;

use super::{Evidence, Window};

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
    /// The path takes no more: packets wait in a queue of it.
    Path,
    /// The congestion window is small without a loss: it still grows, or grows slowly.
    CongestionWindow,
    /// Packets wait in this host: its queue, its driver or its processors.
    LocalStack,
}

impl Limit {
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

/// What limits a connection, and why that is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The limit.
    pub limit: Limit,
    /// Seconds that were looked at.
    pub seconds: f64,
    /// Where the time went; `None` if the kernel does not tell.
    pub shares: Option<Shares>,
    /// The rate that the limit allows, where it can be computed.
    pub ceiling: Option<Ceiling>,
    /// The numbers that it rests on.
    pub evidence: Vec<Evidence>,
    /// What lifts the limit.
    pub advice: Option<&'static str>,
}

/// Judges every connection of the newest model, in its order.
pub fn verdicts<'a>(window: &Window<'a>, thresholds: &Thresholds) -> Vec<(Observed<'a>, Verdict)> {
    let rows = observed(window, thresholds.look_back_seconds);
    rows.into_iter().map(|row| (row.clone(), judge::judge(&row, thresholds))).collect()
}
