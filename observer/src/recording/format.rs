//! Layout of a segment, all numbers little endian.
//!
//! ```text
//! header  magic[8] version[2] zero[2] crc32[4]            crc32 of the 12 bytes before it
//! frame   marker[4] index[4] length[4] kind[1] zero[3] crc32 of the payload[4] crc32 of the 20 bytes before it[4] payload
//! ```
//! `index` counts the frames of a segment from 0. A payload is CBOR under zstd. The marker lets a reader find the next frame
//! behind a damage. Frames of an unknown kind are skipped: a kind may be added without a new version. A field may be added
//! to a snapshot without one, too, if it is an `Option` or its struct has a default; anything else is a new version.

use std::io::Read as _;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::RecordingError;

/// Version of the format that is written, and the last that is read.
pub const VERSION: u16 = 1;
/// End of the name of a segment.
pub const EXTENSION: &str = "obsrec";
/// Bytes of the header of a segment.
pub const HEADER: usize = 16;
/// Bytes of a frame before its payload.
pub const FRAME_HEAD: usize = 24;
/// Most bytes that a payload may have after decompression: what is more was not written by observer.
const MAX_DECODED: u64 = 256 << 20;

/// As PNG's: a byte above 127, a line end and an end-of-file mark show a file that a text transfer has mangled.
const MAGIC: [u8; 8] = *b"\x89OBS\r\n\x1a\n";
const MARKER: [u8; 4] = *b"\xabOF\n";

/// Name of segment `number`, from 1.
pub fn segment_name(number: u32) -> String {
    format!("segment-{number:06}.{EXTENSION}")
}

/// Number of the segment of that file name.
pub fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    digits.parse().ok().filter(|n| segment_name(*n) == name)
}

/// What the first frame of each segment says about the recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Version of observer that wrote it.
    pub observer: String,
    /// Interval that was asked for, in nanoseconds. The real ones are in the stamps.
    pub interval_ns: Option<u64>,
    /// True if names and addresses are pseudonyms.
    pub masked: bool,
}

/// What the last frame of a recording that was ended in order says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct End {
    /// Snapshots in all segments.
    pub snapshots: u64,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Meta`].
    Meta,
    /// A snapshot.
    Snapshot,
    /// [`End`].
    End,
    /// [`OomRecord`](crate::snapshot::oom_record::OomRecord): the last one of a file holds.
    OomRecord,
    /// Something that this version does not know.
    Unknown(u8),
}

impl From<u8> for Kind {
    fn from(byte: u8) -> Self {
        match byte {
            1 => Self::Meta,
            2 => Self::Snapshot,
            3 => Self::End,
            4 => Self::OomRecord,
            other => Self::Unknown(other),
        }
    }
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Meta => 1,
            Kind::Snapshot => 2,
            Kind::End => 3,
            Kind::OomRecord => 4,
            Kind::Unknown(byte) => byte,
        }
    }
}

/// The first bytes of a segment.
pub fn header() -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend([0; 2]);
    out.extend(crc32fast::hash(&out).to_le_bytes());
    out
}

/// What is wrong with the first bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderProblem {
    /// It is not a segment.
    Not(String),
    /// It is one of a later version.
    Newer(u16),
}

/// Checks the first bytes of a segment.
pub fn check_header(bytes: &[u8]) -> Result<(), HeaderProblem> {
    let not = |what: &str| Err(HeaderProblem::Not(what.to_owned()));
    let Some(head) = bytes.get(..HEADER) else {
        return not("it is shorter than a header");
    };
    if head.get(..8) != Some(&MAGIC) {
        return not("it does not begin with the mark of one");
    }
    let (Some(version), Some(crc)) = (u16_at(head, 8), u32_at(head, 12)) else {
        return not("it is shorter than a header");
    };
    if crc != crc32fast::hash(head.get(..12).unwrap_or_default()) {
        return not("the checksum of its header is wrong");
    }
    if version > VERSION { Err(HeaderProblem::Newer(version)) } else { Ok(()) }
}

/// Encodes one frame whole.
pub fn encode_frame<T: Serialize>(index: u32, kind: Kind, content: &T) -> Result<Vec<u8>, RecordingError> {
    let mut encoder = Encoder::new()?;
    let payload = encoder.encode(content)?;
    let mut out = Vec::with_capacity(FRAME_HEAD + payload.len());
    out.extend(frame_head(index, kind, payload)?);
    out.extend(payload);
    Ok(out)
}

/// What stands before a payload.
pub fn frame_head(index: u32, kind: Kind, payload: &[u8]) -> Result<[u8; FRAME_HEAD], RecordingError> {
    let length = u32::try_from(payload.len()).map_err(|e| RecordingError::Encode(e.to_string()))?;
    let mut head = [0; FRAME_HEAD];
    let (checked, crc) = head.split_at_mut(FRAME_HEAD - 4);
    let numbers = [
        MARKER,
        index.to_le_bytes(),
        length.to_le_bytes(),
        [u8::from(kind), 0, 0, 0],
        crc32fast::hash(payload).to_le_bytes(),
    ];
    for (to, from) in checked.chunks_exact_mut(4).zip(numbers) {
        to.copy_from_slice(&from);
    }
    crc.copy_from_slice(&crc32fast::hash(checked).to_le_bytes());
    Ok(head)
}

/// Encodes payloads, in memory that it keeps.
pub struct Encoder {
    cbor: Vec<u8>,
    payload: Vec<u8>,
    compressor: zstd::bulk::Compressor<'static>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("capacity", &self.payload.capacity()).finish_non_exhaustive()
    }
}

impl Encoder {
    /// Makes one.
    pub fn new() -> Result<Self, RecordingError> {
        let compressor = zstd::bulk::Compressor::new(0).map_err(|e| RecordingError::Encode(e.to_string()))?;
        Ok(Self { cbor: Vec::new(), payload: Vec::new(), compressor })
    }

    /// The payload of a frame.
    pub fn encode<T: Serialize>(&mut self, content: &T) -> Result<&[u8], RecordingError> {
        self.cbor.clear();
        ciborium::into_writer(content, &mut self.cbor).map_err(|e| RecordingError::Encode(e.to_string()))?;
        self.payload.clear();
        self.payload.reserve(zstd::zstd_safe::compress_bound(self.cbor.len()));
        let compressed = self.compressor.compress_to_buffer(&self.cbor, &mut self.payload);
        compressed.map_err(|e| RecordingError::Encode(e.to_string()))?;
        Ok(&self.payload)
    }
}

/// A frame that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number in the segment.
    pub index: u32,
    /// What it holds.
    pub kind: Kind,
    /// The payload, compressed.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes from the begin of this frame to the begin of the next.
    pub fn size(&self) -> usize {
        FRAME_HEAD + self.payload.len()
    }

    /// Decompresses and decodes the payload.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, String> {
        let decoder = zstd::stream::Decoder::with_buffer(self.payload).map_err(|e| e.to_string())?;
        let mut cbor = Vec::new();
        let read = decoder.take(MAX_DECODED + 1).read_to_end(&mut cbor).map_err(|e| format!("zstd: {e}"))?;
        if read as u64 > MAX_DECODED {
            return Err(format!("it decompresses to more than {MAX_DECODED} bytes"));
        }
        ciborium::from_reader(cbor.as_slice()).map_err(|e| format!("CBOR: {e}"))
    }
}

/// Reads the frame that `bytes` begin with, or says what is wrong with it.
pub fn frame_at(bytes: &[u8]) -> Result<Frame<'_>, &'static str> {
    const SHORT: &str = "the file ends within a frame";
    let head = bytes.get(..FRAME_HEAD).ok_or(SHORT)?;
    if head.get(..4) != Some(&MARKER) {
        return Err("no frame begins here");
    }
    let number = |at| u32_at(head, at).ok_or(SHORT);
    if number(20)? != crc32fast::hash(head.get(..20).unwrap_or_default()) {
        return Err("the checksum of the frame's head is wrong");
    }
    let end = usize::try_from(number(8)?).ok().and_then(|n| n.checked_add(FRAME_HEAD)).ok_or(SHORT)?;
    let payload = bytes.get(FRAME_HEAD..end).ok_or(SHORT)?;
    if number(16)? != crc32fast::hash(payload) {
        return Err("the checksum of the frame is wrong");
    }
    let kind = Kind::from(head.get(12).copied().unwrap_or_default());
    Ok(Frame { index: number(4)?, kind, payload })
}

/// Distance to the next whole frame in `bytes`, of which the first byte begins none.
pub fn next_frame(bytes: &[u8]) -> Option<usize> {
    let mut from = 1;
    loop {
        let rest = bytes.get(from..)?;
        let at = from + rest.windows(MARKER.len()).position(|w| w == MARKER)?;
        if frame_at(bytes.get(at..)?).is_ok() {
            return Some(at);
        }
        from = at + 1;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes)
}
