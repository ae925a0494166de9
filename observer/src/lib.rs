//! observer: memory pressure and network throughput, seen from inside the kernel and explained.
//!
//! Data takes one path: sources fill a [`snapshot::Snapshot`], which is all that is ever recorded; [`model`] turns two
//! snapshots into rates and rankings; outputs show the model. `snapshot` and `model` do no I/O and read no clock.

pub mod snapshot;
