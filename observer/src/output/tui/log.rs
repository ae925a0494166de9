//! Log lines while the screen is up: kept, and printed when the terminal has been given back.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use super::term;

/// Bytes that are kept at most; the oldest go first.
const KEPT: usize = 64 << 10;

static HELD: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Where log lines go: to stderr, or for as long as the screen is up into a buffer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stderr;

/// A writer of log lines, for `tracing_subscriber`.
pub fn stderr() -> Stderr {
    Stderr
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !term::is_taken() {
            return io::stderr().write(bytes);
        }
        hold(&mut HELD.lock().unwrap_or_else(PoisonError::into_inner), bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if term::is_taken() { Ok(()) } else { io::stderr().flush() }
    }
}

fn hold(held: &mut Vec<u8>, bytes: &[u8]) {
    held.extend_from_slice(bytes);
    let Some(more) = held.len().checked_sub(KEPT).filter(|more| *more > 0) else { return };
    // What is left begins with a whole line.
    let cut = held.iter().skip(more).position(|b| *b == b'\n').map_or(held.len(), |at| more + at + 1);
    held.drain(..cut);
}

/// Prints what was kept.
pub(super) fn release() {
    let held = std::mem::take(&mut *HELD.lock().unwrap_or_else(PoisonError::into_inner));
    // Nobody is left to tell if stderr cannot be written.
    let _ = io::stderr().write_all(&held);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_whole() {
        let mut held = Vec::new();
        for i in 0..10_000 {
            hold(&mut held, format!("line number {i}\n").as_bytes());
        }
        assert!(held.len() <= KEPT && held.len() > KEPT / 2);
        assert!(held.starts_with(b"line number ") && held.ends_with(b"line number 9999\n"));
    }
}
