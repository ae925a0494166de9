//! Waiting that SIGINT, SIGTERM and SIGHUP end, so that a command can finish what it has begun.

use std::time::Duration;

use anyhow::Context;
use tokio::{
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
}

/// The signals that end a command. While it lives they do not end the process; one that came during work is seen by the
/// next wait.
#[derive(Debug)]
pub(super) struct Interrupt {
    runtime: Runtime,
    signals: [(i32, Signal); 3],
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
        Ok(Self { runtime, signals })
    }

    /// Waits until `deadline` or a signal.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> Wait {
        let [(n1, s1), (n2, s2), (n3, s3)] = &mut self.signals;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = s1.recv() => Wait::Interrupted(*n1),
                _ = s2.recv() => Wait::Interrupted(*n2),
                _ = s3.recv() => Wait::Interrupted(*n3),
                () = tokio::time::sleep_until(deadline) => Wait::Elapsed,
            }
        })
    }

    /// Waits for a time or a signal.
    pub(super) fn wait(&mut self, time: Duration) -> Wait {
        self.wait_until(Instant::now() + time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal as Number, raise};

    #[test]
    fn a_signal_ends_the_wait_and_a_time_does_too() {
        let mut interrupt = Interrupt::new().unwrap();
        raise(Number::SIGHUP).unwrap();
        assert_eq!(interrupt.wait(Duration::from_secs(60)), Wait::Interrupted(1));
        assert_eq!(interrupt.wait(Duration::from_millis(1)), Wait::Elapsed);
    }
}
