//! Any bytes as a log, and as a stored report.

#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::log(bytes));
