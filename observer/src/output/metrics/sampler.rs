//! One thread that takes the snapshots: on request, so that a scrape is of now, and at an interval, so that the rules
//! have a history and the ring buffer is emptied when nobody scrapes.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};

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

/// The thread is gone: it has ended or panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the thread that takes snapshots has ended")]
pub struct Ended;

type Request = oneshot::Sender<Arc<Page>>;

/// Asks the sampling thread. Cheap to clone; the thread ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Sampler {
    requests: mpsc::Sender<Request>,
    latest: Arc<Mutex<Option<Arc<Page>>>>,
    alive: watch::Receiver<()>,
}

impl Sampler {
    /// Starts the thread. `open` runs on it and returns what takes a snapshot; both are dropped there when it ends.
    pub fn start<O, S>(open: O, mut exporter: Exporter, pace: Pace) -> std::io::Result<(Self, thread::JoinHandle<()>)>
    where
        O: FnOnce() -> S + Send + 'static,
        S: FnMut() -> Snapshot,
    {
        let (requests, incoming) = mpsc::channel::<Request>();
        let latest = Arc::new(Mutex::new(None));
        let shown = Arc::clone(&latest);
        let (living, alive) = watch::channel(());
        let thread = thread::Builder::new().name("sampler".into()).spawn(move || {
            // Dropped when the thread ends, by a panic too: whoever watches learns of it.
            let _living = living;
            let mut take = open();
            let mut page = || {
                let began = Instant::now();
                let snapshot = take();
                let page = Arc::new(exporter.page(snapshot, began.elapsed()));
                *shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&page));
                page
            };
            run(&incoming, pace, &mut page);
        })?;
        Ok((Self { requests, latest, alive }, thread))
    }

    /// A page that is at most [`Pace::min_age`] old. Requests that come while one is made share it.
    pub async fn page(&self) -> Result<Arc<Page>, Ended> {
        let (reply, page) = oneshot::channel();
        self.requests.send(reply).map_err(|_| Ended)?;
        page.await.map_err(|_| Ended)
    }

    /// Waits until the thread has ended, which it does by itself only in a panic.
    pub async fn ended(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }

    /// The last page, however old; `None` until the first snapshot was taken.
    pub fn latest(&self) -> Option<Arc<Page>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn run(incoming: &mpsc::Receiver<Request>, pace: Pace, page: &mut dyn FnMut() -> Arc<Page>) {
    let mut last = page();
    loop {
        let due = pace.interval.saturating_sub(last.taken.elapsed());
        match incoming.recv_timeout(due) {
            // Who has gone away meanwhile (a scrape that timed out) is not worth a snapshot.
            Ok(request) if request.is_closed() => {}
            Ok(request) => {
                if last.taken.elapsed() >= pace.min_age {
                    last = page();
                }
                // An error means that the asker has gone: nothing to do.
                let _ = request.send(Arc::clone(&last));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => last = page(),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn sampler(pace: Pace) -> (Sampler, thread::JoinHandle<()>, Arc<AtomicU64>) {
        let taken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&taken);
        let open = move || {
            move || {
                let mut snapshot = Snapshot::default();
                snapshot.stamp.monotonic_ns = count.fetch_add(1, Ordering::SeqCst) + 1;
                snapshot
            }
        };
        let (sampler, thread) = Sampler::start(open, Exporter::new(4), pace).unwrap();
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
        let open = || || -> Snapshot { panic!("on purpose") };
        let pace = Pace { interval: Duration::from_secs(1), min_age: Duration::ZERO };
        let (sampler, thread) = Sampler::start(open, Exporter::new(4), pace).unwrap();
        assert!(thread.join().is_err());
        sampler.ended().await;
        assert_eq!(sampler.page().await.unwrap_err(), Ended);
    }
}
