//! Shrinkers.

use super::{plain, reclaim::BUCKETS};

/// A call that has begun, by thread id.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// Begin in nanoseconds of `CLOCK_MONOTONIC`.
    pub begin_ns: u64,
    /// Address of the shrinker's function.
    pub function: u64,
}

/// Ended calls of one function.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// Calls.
    pub count: u64,
    /// Nanoseconds, summed.
    pub total_ns: u64,
    /// Nanoseconds of the longest.
    pub max_ns: u64,
    /// Objects that were freed.
    pub freed: u64,
    /// Histogram of nanoseconds.
    pub latency: [u64; BUCKETS],
}

plain!(Begun = 16, Value = 544);
