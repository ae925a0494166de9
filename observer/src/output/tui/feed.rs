//! Where snapshots come from, away from the drawing: a thread that reads on request and holds one answer at most.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    thread,
    time::Instant,
};

use anyhow::Context as _;
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::Builder,
    sync::mpsc,
};

use super::{header::Position, timeline::WINDOW_MODELS};
use crate::snapshot::Snapshot;

/// What the screen asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// This host, now.
    Now,
    /// The snapshot of a recording at that place.
    At(usize),
}

/// What the screen gets.
#[derive(Debug)]
pub(super) struct Reply {
    /// Snapshots, oldest first.
    pub(super) snapshots: Vec<Snapshot>,
    /// True if they do not follow those that came before.
    pub(super) replace: bool,
    /// Place of the last of them in the recording.
    pub(super) position: Option<Position>,
    /// What could not be read.
    pub(super) damage: Option<String>,
}

/// A recording that can be read at any place, most easily forward.
pub trait Recording {
    /// Snapshots in it, as far as that is known.
    fn count(&self) -> Option<usize>;
    /// The snapshot at a place; `None` behind the last one, whose place [`Self::count`] then tells.
    fn read(&mut self, place: usize) -> anyhow::Result<Option<Snapshot>>;
    /// What could not be read so far, if there is such.
    fn damage(&self) -> Option<String>;
}

/// A host that can be read.
pub trait Host {
    /// Everything, now.
    fn snapshot(&mut self) -> Snapshot;
    /// A descriptor that becomes readable when there are events to take between two snapshots.
    fn events_fd(&self) -> Option<BorrowedFd<'_>>;
    /// Takes them, and keeps them for the next snapshot.
    fn take_events(&mut self);
}

/// What the thread of a feed has: a host or a recording.
trait Source {
    fn answer(&mut self, request: Request) -> anyhow::Result<Reply>;
    fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn take_events(&mut self) {}
}

struct Live<H>(H);

impl<H: Host> Source for Live<H> {
    fn answer(&mut self, _request: Request) -> anyhow::Result<Reply> {
        Ok(Reply { snapshots: vec![self.0.snapshot()], replace: false, position: None, damage: None })
    }

    fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.events_fd()
    }

    fn take_events(&mut self) {
        self.0.take_events();
    }
}

struct Replay<R> {
    recording: R,
    /// Place of the last snapshot that was given.
    last: Option<usize>,
}

impl<R: Recording> Source for Replay<R> {
    fn answer(&mut self, request: Request) -> anyhow::Result<Reply> {
        replay(&mut self.recording, request, &mut self.last)
    }
}

/// A thread that reads snapshots.
#[derive(Debug)]
pub struct Feed {
    requests: mpsc::Sender<Request>,
    replies: mpsc::Receiver<anyhow::Result<Reply>>,
    replays: bool,
    asked: Option<Instant>,
}

impl Feed {
    /// Reads this host. `open` runs on the thread of the feed: it may take its time to load probes.
    pub fn live<H: Host>(open: impl FnOnce() -> anyhow::Result<H> + Send + 'static) -> anyhow::Result<Self> {
        Self::start(false, || open().map(Live))
    }

    /// Reads a recording.
    pub fn replay<R: Recording>(open: impl FnOnce() -> anyhow::Result<R> + Send + 'static) -> anyhow::Result<Self> {
        Self::start(true, || Ok(Replay { recording: open()?, last: None }))
    }

    fn start<S: Source>(
        replays: bool,
        open: impl FnOnce() -> anyhow::Result<S> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (requests, asked) = mpsc::channel(1);
        let (answers, replies) = mpsc::channel(1);
        let runtime = Builder::new_current_thread().enable_io().build().context("cannot start the event loop")?;
        thread::Builder::new()
            .name("observer-feed".to_owned())
            .spawn(move || runtime.block_on(serve(open, asked, answers)))
            .context("cannot start the thread that reads snapshots")?;
        Ok(Self { requests, replies, replays, asked: None })
    }

    /// True if this is a recording.
    pub(super) fn replays(&self) -> bool {
        self.replays
    }

    /// For how long an answer has been awaited, in seconds; `None` if none is.
    pub(super) fn awaited_seconds(&self) -> Option<f64> {
        self.asked.map(|asked| asked.elapsed().as_secs_f64())
    }

    /// Asks for this host now, unless an answer is awaited already.
    pub(super) fn ask_now(&mut self) {
        self.ask(Request::Now);
    }

    /// Asks for a place of the recording, unless an answer is awaited already.
    pub(super) fn ask_at(&mut self, place: usize) {
        self.ask(Request::At(place));
    }

    fn ask(&mut self, request: Request) {
        if self.asked.is_none() && self.requests.try_send(request).is_ok() {
            self.asked = Some(Instant::now());
        }
    }

    /// The answer, when it is there. `None` if the thread has ended, which it does only by a panic.
    pub(super) async fn reply(&mut self) -> Option<anyhow::Result<Reply>> {
        let reply = self.replies.recv().await;
        self.asked = None;
        reply
    }
}

/// Answers requests until nobody is left who asks, and takes events as they come.
async fn serve<S: Source>(
    open: impl FnOnce() -> anyhow::Result<S>,
    mut asked: mpsc::Receiver<Request>,
    answers: mpsc::Sender<anyhow::Result<Reply>>,
) {
    let mut source = match open() {
        Ok(source) => source,
        // Who asked has gone if this is not taken.
        Err(e) => return drop(answers.send(Err(e)).await),
    };
    let watched: Option<AsyncFd<OwnedFd>> = source
        .events_fd()
        .and_then(|fd| fd.try_clone_to_owned().ok())
        // SAFETY: an `OwnedFd` stays open, and stays the same descriptor, for as long as it lives.
        .and_then(|fd| unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.ok());
    loop {
        tokio::select! {
            request = asked.recv() => {
                let Some(request) = request else { return };
                if answers.send(source.answer(request)).await.is_err() {
                    return;
                }
            }
            () = readable(watched.as_ref()) => source.take_events(),
        }
    }
}

/// Waits until there is something to read; for ever if nothing is watched.
async fn readable(watched: Option<&AsyncFd<OwnedFd>>) {
    if let Some(fd) = watched
        && let Ok(mut guard) = fd.readable().await
    {
        guard.clear_ready();
        return;
    }
    std::future::pending::<()>().await;
}

/// The next snapshot alone, or those of a window that ends at a place elsewhere.
fn replay(recording: &mut impl Recording, request: Request, last: &mut Option<usize>) -> anyhow::Result<Reply> {
    let wanted = match request {
        Request::Now => last.map_or(0, |l| l + 1),
        Request::At(place) => place,
    };
    let within = |place: usize, count: Option<usize>| count.map_or(place, |c| place.min(c.saturating_sub(1)));
    let mut place = within(wanted, recording.count());
    let (snapshots, follows) = loop {
        let follows = last.is_some_and(|l| l + 1 == place);
        let first = if follows { place } else { place.saturating_sub(WINDOW_MODELS) };
        let read: Option<Vec<Snapshot>> = (first..=place).map(|i| recording.read(i)).collect::<anyhow::Result<_>>()?;
        if let Some(snapshots) = read {
            break (snapshots, follows);
        }
        // Behind the end: now it is known where that is.
        let end = recording.count().and_then(|c| c.checked_sub(1)).context("the recording holds no snapshot")?;
        anyhow::ensure!(end < place, "the recording has changed while it was read");
        place = end;
    };
    *last = Some(place);
    let position = Position { index: place, count: recording.count() };
    Ok(Reply { snapshots, replace: !follows, position: Some(position), damage: recording.damage() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        os::fd::AsFd,
    };

    /// A recording that learns its length at its end.
    struct Numbered {
        length: usize,
        count: Option<usize>,
    }

    impl Recording for Numbered {
        fn count(&self) -> Option<usize> {
            self.count
        }

        fn read(&mut self, place: usize) -> anyhow::Result<Option<Snapshot>> {
            if place >= self.length {
                self.count = Some(self.length);
                return Ok(None);
            }
            let mut snapshot = Snapshot::default();
            snapshot.stamp.monotonic_ns = place as u64;
            Ok(Some(snapshot))
        }

        fn damage(&self) -> Option<String> {
            None
        }
    }

    fn places(reply: &Reply) -> Vec<u64> {
        reply.snapshots.iter().map(|s| s.stamp.monotonic_ns).collect()
    }

    #[test]
    fn a_recording_is_read_one_by_one_or_from_anywhere() {
        let (mut recording, mut last) = (Numbered { length: 1000, count: None }, None);
        let mut at = |place| replay(&mut recording, Request::At(place), &mut last).unwrap();
        assert_eq!(places(&at(0)), [0]);
        let next = at(1);
        assert_eq!((places(&next), next.replace), (vec![1], false));
        let far = at(500);
        assert_eq!((far.snapshots.len(), far.replace), (WINDOW_MODELS + 1, true));
        assert_eq!(far.position, Some(Position { index: 500, count: None }));
        let beyond = at(5000);
        assert_eq!(beyond.position, Some(Position { index: 999, count: Some(1000) }));
        assert_eq!(beyond.snapshots.last().map(|s| s.stamp.monotonic_ns), Some(999));
        assert_eq!(places(&at(2)), [0, 1, 2]);
    }

    #[test]
    fn an_empty_recording_is_an_error() {
        let error = replay(&mut Numbered { length: 0, count: None }, Request::At(0), &mut None).unwrap_err();
        assert_eq!(error.to_string(), "the recording holds no snapshot");
    }

    /// A host whose event is a byte in a pipe.
    struct Piped {
        events: std::io::PipeReader,
        taken: mpsc::UnboundedSender<u8>,
    }

    impl Host for Piped {
        fn snapshot(&mut self) -> Snapshot {
            Snapshot::default()
        }

        fn events_fd(&self) -> Option<BorrowedFd<'_>> {
            Some(self.events.as_fd())
        }

        fn take_events(&mut self) {
            let mut byte = [0];
            self.events.read_exact(&mut byte).unwrap();
            self.taken.send(byte[0]).unwrap();
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_fails_to_open_is_told() {
        let mut feed = Feed::live(|| -> anyhow::Result<Piped> { anyhow::bail!("no such host") }).unwrap();
        feed.ask_now();
        let error = feed.reply().await.expect("an answer").expect_err("an error");
        assert_eq!(error.to_string(), "no such host");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_answer_is_awaited_at_a_time_and_events_are_taken_between() {
        let (events, mut happens) = std::io::pipe().unwrap();
        let (taken, mut seen) = mpsc::unbounded_channel();
        let mut feed = Feed::live(|| Ok(Piped { events, taken })).unwrap();
        happens.write_all(b"7").unwrap();
        assert_eq!(seen.recv().await, Some(b'7'), "nobody had to ask");
        feed.ask_now();
        feed.ask_now();
        assert!(feed.awaited_seconds().is_some());
        assert_eq!(feed.reply().await.unwrap().unwrap().snapshots.len(), 1);
        assert_eq!(feed.awaited_seconds(), None);
    }
}
