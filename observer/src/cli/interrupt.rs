//! Waiting that SIGINT, SIGTERM and SIGHUP end, so that a command can finish what it has begun.

use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::Context;
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The time has come.
    Elapsed,
    /// Somebody asked us to stop: the signal's number.
    Interrupted(i32),
    /// The watched descriptor can be read.
    Readable,
}

/// The signals that end a command. While it lives they do not end the process; one that came during work is seen by the
/// next wait.
#[derive(Debug)]
pub(super) struct Interrupt {
    runtime: Runtime,
    signals: [(i32, Signal); 3],
    watched: Option<AsyncFd<OwnedFd>>,
}

impl Interrupt {
    /// Takes over the signals.
    pub(super) fn new() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
        let entered = runtime.enter();
        let listen = |kind: SignalKind| -> anyhow::Result<(i32, Signal)> {
            let number = kind.as_raw_value();
            Ok((number, signal(kind).with_context(|| format!("cannot listen for signal {number}"))?))
        };
        let signals =
            [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?];
        drop(entered);
        Ok(Self { runtime, signals, watched: None })
    }

    /// Lets waits end also when a descriptor can be read. Whoever waits then reads all there is before the next wait.
    pub(super) fn watch(&mut self, fd: BorrowedFd<'_>) -> anyhow::Result<()> {
        let _entered = self.runtime.enter();
        let own = fd.try_clone_to_owned().context("cannot duplicate the descriptor of the ring buffer")?;
        // SAFETY: an `OwnedFd` stays open, and stays the same descriptor, for as long as it lives.
        let watched = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
        let watched = watched.context("cannot wait for the ring buffer")?;
        self.watched = Some(watched);
        Ok(())
    }

    /// Waits until `deadline` or a signal.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> Wait {
        let [(n1, s1), (n2, s2), (n3, s3)] = &mut self.signals;
        let watched = self.watched.as_ref();
        let readable = async {
            match watched {
                // An error of the wait is the end of what can be watched, not of the wait for the time.
                Some(fd) => match fd.readable().await {
                    Ok(mut guard) => guard.clear_ready(),
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = s1.recv() => Wait::Interrupted(*n1),
                _ = s2.recv() => Wait::Interrupted(*n2),
                _ = s3.recv() => Wait::Interrupted(*n3),
                () = tokio::time::sleep_until(deadline) => Wait::Elapsed,
                () = readable => Wait::Readable,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        os::fd::AsFd,
        time::Duration,
    };

    use nix::sys::signal::{Signal as Number, raise};

    #[test]
    fn a_signal_ends_the_wait_and_a_time_does_too() {
        let mut interrupt = Interrupt::new().unwrap();
        raise(Number::SIGHUP).unwrap();
        assert_eq!(interrupt.wait_until(Instant::now() + Duration::from_secs(60)), Wait::Interrupted(1));
        assert_eq!(interrupt.wait_until(Instant::now() + Duration::from_millis(1)), Wait::Elapsed);
    }

    #[test]
    fn what_can_be_read_ends_the_wait_once() {
        let mut interrupt = Interrupt::new().unwrap();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        interrupt.watch(ours.as_fd()).unwrap();
        theirs.write_all(b"x").unwrap();
        assert_eq!(interrupt.wait_until(Instant::now() + Duration::from_secs(60)), Wait::Readable);
        (&ours).read_exact(&mut [0]).unwrap();
        assert_eq!(interrupt.wait_until(Instant::now() + Duration::from_millis(1)), Wait::Elapsed);
    }
}
