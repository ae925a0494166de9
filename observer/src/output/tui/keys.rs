//! Keys, clicks and sizes, read on a thread of their own.
//!
//! crossterm's stream is not polled in the loop: once the terminal has hung up, its reader tries again for ever without
//! giving the thread back. On a thread of its own that harms nobody until the loop sees that the terminal has gone.

use std::{io, thread};

use anyhow::Context as _;
use crossterm::event::{self, Event};
use tokio::sync::mpsc;

/// Events that may wait for the loop: a wheel sends many.
const WAITING: usize = 64;

/// Begins to read. The thread ends with the process, or when it cannot read.
pub(super) fn listen() -> anyhow::Result<mpsc::Receiver<io::Result<Event>>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    thread::Builder::new()
        .name("observer-keys".to_owned())
        .spawn(move || {
            loop {
                let event = event::read();
                let failed = event.is_err();
                if sender.blocking_send(event).is_err() || failed {
                    return;
                }
            }
        })
        .context("cannot start the thread that reads keys")?;
    Ok(receiver)
}
