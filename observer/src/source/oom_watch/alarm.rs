//! One descriptor that becomes readable when there is something to do about OOM kills: an event has come, the log that is
//! awaited has more, or time is up.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

/// What is waited on.
#[derive(Debug)]
pub(super) struct Alarm {
    all: Epoll,
    timer: TimerFd,
    ticks: bool,
    log: bool,
}

impl Alarm {
    /// Waits on the ring buffer, if there is one.
    pub(super) fn new(events: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        let all = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let readable = || EpollEvent::new(EpollFlags::EPOLLIN, 0);
        all.add(&timer, readable())?;
        if let Some(events) = events {
            all.add(events, readable())?;
        }
        Ok(Self { all, timer, ticks: false, log: false })
    }

    /// Ticks at this pace, or not at all.
    pub(super) fn tick(&mut self, every: Option<Duration>) -> io::Result<()> {
        // Takes what has expired, so that the descriptor is not readable any more. It may not have.
        let _ = nix::unistd::read(&self.timer, &mut [0; 8]);
        if self.ticks != every.is_some() {
            match every {
                Some(every) => {
                    self.timer.set(Expiration::Interval(TimeSpec::from_duration(every)), TimerSetTimeFlags::empty())?;
                }
                None => self.timer.unset()?,
            }
            self.ticks = every.is_some();
        }
        Ok(())
    }

    /// Waits on the log as well, or not. It is not waited on without need: a log that something writes to all the time
    /// would wake observer all the time.
    pub(super) fn log(&mut self, log: BorrowedFd<'_>, wanted: bool) -> io::Result<()> {
        if self.log != wanted {
            let outcome =
                if wanted { self.all.add(log, EpollEvent::new(EpollFlags::EPOLLIN, 0)) } else { self.all.delete(log) };
            match outcome {
                Ok(()) | Err(Errno::EEXIST | Errno::ENOENT) => self.log = wanted,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.all.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use nix::sys::epoll::EpollTimeout;

    fn is_readable(alarm: &Alarm, within: u16) -> bool {
        alarm.all.wait(&mut [EpollEvent::empty()], EpollTimeout::from(within)).unwrap() > 0
    }

    #[test]
    fn an_alarm_is_quiet_until_there_is_something() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut alarm = Alarm::new(None).unwrap();
        assert!(!is_readable(&alarm, 0));
        (&theirs).write_all(b"x").unwrap();
        assert!(!is_readable(&alarm, 0), "the log is not waited on yet");
        alarm.log(ours.as_fd(), true).unwrap();
        assert!(is_readable(&alarm, 10_000));
        alarm.log(ours.as_fd(), false).unwrap();
        assert!(!is_readable(&alarm, 0));
        alarm.tick(Some(Duration::from_millis(5))).unwrap();
        assert!(is_readable(&alarm, 10_000));
        alarm.tick(None).unwrap();
        assert!(!is_readable(&alarm, 20));
    }
}
