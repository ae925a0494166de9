//! observer: memory pressure and network throughput, seen from inside the kernel and explained.
//!
//! Data takes one path: sources fill a [`snapshot::Snapshot`], which is all that is ever recorded; [`model`] turns two
//! snapshots into rates and rankings; [`diagnose`] says what is wrong; outputs show both. `snapshot`, `model` and
//! `diagnose` do no I/O and read no clock.

pub mod cli;
pub mod config;
pub mod diagnose;
pub mod elf;
pub mod model;
pub mod object;
pub mod output;
pub mod profile;
pub mod recording;
pub mod snapshot;
pub mod source;
pub mod units;

// Under this name the synthetic hosts of tests/synthetic know the crate, which the integration tests include as well.
#[cfg(test)]
extern crate self as observer;
