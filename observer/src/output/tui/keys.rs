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

/// What comes from the terminal.
pub(super) struct Events {
    receiver: mpsc::Receiver<io::Result<Event>>,
    /// One that was looked at and not taken yet.
    waiting: Option<io::Result<Event>>,
}

impl Events {
    /// Begins to read. The thread ends with the process, or when it cannot read.
    pub(super) fn listen() -> anyhow::Result<Self> {
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
        Ok(Self { receiver, waiting: None })
    }

    /// The next event; `None` if there will be none. Nothing is lost if it is given up while it waits.
    pub(super) async fn next(&mut self) -> Option<io::Result<Event>> {
        match self.waiting.take() {
            Some(event) => Some(event),
            None => self.receiver.recv().await,
        }
    }

    /// Takes the next event if it is there already and is the same key, wheel or change of size; any other stays.
    pub(super) fn next_is_like(&mut self, event: &Event) -> bool {
        if self.waiting.is_none() {
            self.waiting = self.receiver.try_recv().ok();
        }
        let is_like = match (&self.waiting, event) {
            (Some(Ok(Event::Resize(..))), Event::Resize(..)) => true,
            (Some(Ok(next)), event) => next == event,
            _ => false,
        };
        if is_like {
            self.waiting = None;
        }
        is_like
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyCode, KeyEvent};

    #[test]
    fn repetitions_are_taken_and_others_stay_in_their_order() {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut events = Events { receiver, waiting: None };
        let key = |c| Event::Key(KeyEvent::from(KeyCode::Char(c)));
        for event in [key('j'), key('j'), key('k'), Event::Resize(80, 24), Event::Resize(90, 30), key('j')] {
            sender.try_send(Ok(event)).unwrap();
        }
        drop(sender);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut frames = Vec::new();
        runtime.block_on(async {
            while let Some(Ok(event)) = events.next().await {
                let mut count = 1;
                while events.next_is_like(&event) {
                    count += 1;
                }
                frames.push((event, count));
            }
        });
        let expected = [(key('j'), 2), (key('k'), 1), (Event::Resize(80, 24), 2), (key('j'), 1)];
        assert_eq!(frames, expected);
    }
}
