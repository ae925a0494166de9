//! Recordings: snapshots in a folder, to be replayed by anything that takes a live one.
//!
//! A recording is a folder of segments. A segment is a header and frames, each compressed and checksummed by itself, so
//! that a file that was cut off reads up to the cut, and damage costs the frames it hit and no others. [`mod@format`] is the
//! layout, [`Writer`] and [`Reader`] are the two ends, [`Masker`] takes out what must not leave the host.

pub mod error;
pub mod format;
pub mod mask;
mod mask_names;
mod mask_network;

pub use error::RecordingError;
pub use format::{Meta, VERSION};
pub use mask::Masker;

pub use crate::output::record::{Limits, Progress, Summary, Writer};
pub use crate::source::recording::Reader;

#[cfg(test)]
mod tests;
