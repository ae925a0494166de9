//! One thread that takes the snapshots: on request, so that a scrape is of now, and at an interval, so that the rules
//! have a history when nobody scrapes. Between them it takes events as they come.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{
        Interest,
        unix::{AsyncFd, AsyncFdReadyGuard},
    },
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{Exporter, Page};
use crate::snapshot::Snapshot;

/// When snapshots are taken.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time after which one is taken although nobody asks.
    pub interval: Duration,
    /// Age under which a page is given again, so that many scrapes cost no more than one.
    pub min_age: Duration,
}

/// What snapshots are taken from.
pub trait Source {
    /// Reads everything now.
    fn snapshot(&mut self) -> Snapshot;
    /// Becomes readable when there is an event that should not wait for the next snapshot; `None` if there is no such.
    fn events_fd(&self) -> Option<BorrowedFd<'_>>;
    /// Takes those events; they are in the next snapshot.
    fn take_events(&mut self);
}

/// The thread is gone: it has ended or panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the thread that takes snapshots has ended")]
pub struct Ended;

type Request = oneshot::Sender<Arc<Page>>;
type Latest = Arc<Mutex<Option<Arc<Page>>>>;

/// Asks the sampling thread. Cheap to clone; the thread ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Sampler {
    requests: mpsc::UnboundedSender<Request>,
    latest: Latest,
}

impl Sampler {
    /// Starts the thread. `open` runs on it and returns what takes a snapshot; that is dropped there when it ends.
    pub fn start<S: Source>(
        open: impl FnOnce() -> S + Send + 'static,
        exporter: Exporter,
        pace: Pace,
    ) -> io::Result<(Self, thread::JoinHandle<()>)> {
        let (requests, incoming) = mpsc::unbounded_channel();
        let latest = Latest::default();
        let shown = Arc::clone(&latest);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("sampler".into()).spawn(move || {
            let taker = Taker { source: open(), exporter, shown };
            runtime.block_on(run(incoming, pace, taker));
        })?;
        Ok((Self { requests, latest }, thread))
    }

    /// A page that is at most [`Pace::min_age`] old. Requests that come while one is made share it.
    pub async fn page(&self) -> Result<Arc<Page>, Ended> {
        let (reply, page) = oneshot::channel();
        self.requests.send(reply).map_err(|_| Ended)?;
        page.await.map_err(|_| Ended)
    }

    /// Waits until the thread has ended, which it does by itself only in a panic.
    pub async fn ended(&self) {
        self.requests.closed().await;
    }

    /// The last page, however old; `None` until the first snapshot was taken.
    pub fn latest(&self) -> Option<Arc<Page>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes a snapshot and shows what became of it.
struct Taker<S> {
    source: S,
    exporter: Exporter,
    shown: Latest,
}

impl<S: Source> Taker<S> {
    fn page(&mut self) -> Arc<Page> {
        let began = Instant::now();
        let snapshot = self.source.snapshot();
        let page = Arc::new(self.exporter.page(snapshot, began.elapsed()));
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&page));
        page
    }
}

async fn run<S: Source>(mut incoming: mpsc::UnboundedReceiver<Request>, pace: Pace, mut taker: Taker<S>) {
    let mut last = taker.page();
    // A second descriptor of the same buffer, so that waiting on it does not borrow the source.
    let events = taker.source.events_fd().and_then(|fd| {
        let watched = fd.try_clone_to_owned().and_then(|fd| {
            // SAFETY: an OwnedFd is one descriptor, open until it is dropped; nothing here closes or changes it.
            unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)
        });
        // Without it events wait for the next snapshot, and are still all there.
        watched.inspect_err(|error| tracing::debug!("watching for events: {error}")).ok()
    });
    loop {
        tokio::select! {
            biased;
            mut event = readable(events.as_ref()) => {
                taker.source.take_events();
                event.clear_ready();
            }
            request = incoming.recv() => match request {
                None => return,
                // Who has gone away meanwhile (a scrape that timed out) is not worth a snapshot.
                Some(request) if request.is_closed() => {}
                Some(request) => {
                    if last.taken.elapsed() >= pace.min_age {
                        last = taker.page();
                    }
                    // An error means that the asker has gone: nothing to do.
                    let _ = request.send(Arc::clone(&last));
                }
            },
            () = sleep(pace.interval.saturating_sub(last.taken.elapsed())) => last = taker.page(),
        }
    }
}

type Guard<'a> = AsyncFdReadyGuard<'a, OwnedFd>;

/// Waits for an event; for ever if there is nothing to wait on.
async fn readable(events: Option<&AsyncFd<OwnedFd>>) -> Guard<'_> {
    if let Some(events) = events
        && let Ok(guard) = events.readable().await
    {
        return guard;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Counts its snapshots; a count that has no room is a panic.
    struct Counter(Arc<AtomicU64>);

    impl Source for Counter {
        fn snapshot(&mut self) -> Snapshot {
            let mut snapshot = Snapshot::default();
            let taken = self.0.fetch_add(1, Ordering::SeqCst);
            snapshot.stamp.monotonic_ns = taken.checked_add(1).expect("on purpose");
            snapshot
        }

        fn events_fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }

        fn take_events(&mut self) {}
    }

    fn sampler(pace: Pace) -> (Sampler, thread::JoinHandle<()>, Arc<AtomicU64>) {
        let taken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&taken);
        let (sampler, thread) = Sampler::start(move || Counter(count), Exporter::new(4), pace).unwrap();
        (sampler, thread, taken)
    }

    #[tokio::test]
    async fn many_scrapes_at_once_cost_one_snapshot() {
        let hour = Duration::from_secs(3600);
        let (sampler, thread, taken) = sampler(Pace { interval: hour, min_age: hour });
        let pages = futures_util::future::join_all((0..100).map(|_| sampler.page())).await;
        assert!(pages.iter().all(Result::is_ok));
        assert_eq!(taken.load(Ordering::SeqCst), 1);
        drop(sampler);
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn a_scrape_is_of_now() {
        let pace = Pace { interval: Duration::from_secs(3600), min_age: Duration::ZERO };
        let (sampler, _thread, _) = sampler(pace);
        let first = sampler.page().await.unwrap();
        let second = sampler.page().await.unwrap();
        assert!(second.snapshot.stamp.monotonic_ns > first.snapshot.stamp.monotonic_ns);
    }

    #[tokio::test]
    async fn a_thread_that_panicked_is_an_error_and_no_hang() {
        let open = || Counter(Arc::new(AtomicU64::new(u64::MAX)));
        let pace = Pace { interval: Duration::from_secs(1), min_age: Duration::ZERO };
        let (sampler, thread) = Sampler::start(open, Exporter::new(4), pace).unwrap();
        assert!(thread.join().is_err());
        sampler.ended().await;
        assert_eq!(sampler.page().await.unwrap_err(), Ended);
    }
}
