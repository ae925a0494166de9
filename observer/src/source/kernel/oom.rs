//! Reads OOM kills: events from the ring buffer, the count from its map.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use aya::Ebpf;
use observer_ebpf::abi::{
    oom::{Event, Retry, Task},
    reclaim::{DIRECT, Last, MEMCG},
};

use super::{cgroup, maps::Array, ring::Ring};
use crate::snapshot::{
    Name,
    oom::{Oom, OomKill, OomReclaim, OomRetry, OomTask},
    reclaim::ReclaimKind,
};
use crate::source::kallsyms::Frames;

/// Longest time from a round of reclaim to the kill that it did not prevent: waiting for writeback takes seconds.
const SAME_REQUEST_NS: u64 = 10_000_000_000;
/// Kills that wait to be asked for at most.
const MOST_FRESH: usize = 4096;

/// Reader of OOM kills.
#[derive(Debug)]
pub(super) struct Reader {
    ring: Ring,
    kills: Array<u64>,
    recent: VecDeque<OomKill>,
    /// Those that were not given yet.
    fresh: Vec<OomKill>,
    page_size: u64,
    frames: Frames,
}

impl Reader {
    /// Opens the maps and takes the ring buffer.
    pub(super) fn open(ebpf: &mut Ebpf, page_size: u64) -> io::Result<Self> {
        Ok(Self {
            kills: Array::open(ebpf, "obs_oom_kills")?,
            ring: Ring::open(ebpf, "obs_oom_events")?,
            recent: VecDeque::new(),
            fresh: Vec::new(),
            page_size,
            frames: Frames::default(),
        })
    }

    /// Takes what is in the ring buffer and gives the kills that were not given before, at most [`MOST_FRESH`].
    pub(super) fn drain(&mut self) -> Vec<OomKill> {
        self.take();
        std::mem::take(&mut self.fresh)
    }

    fn take(&mut self) {
        let page_size = self.page_size;
        let fresh = &mut self.fresh;
        let (recent, frames) = (&mut self.recent, &mut self.frames);
        self.ring.drain(|event: &Event| {
            let mut kill = kill(event, page_size);
            kill.stack = frames.chain(addresses(event));
            if recent.len() == Oom::KEPT {
                recent.pop_front();
            }
            recent.push_back(kill.clone());
            // Where nobody asks for them they do not pile up.
            if fresh.len() < MOST_FRESH {
                fresh.push(kill);
            }
        });
    }

    /// Victims that were marked until now.
    pub(super) fn marked(&self) -> io::Result<u64> {
        self.kills.get(0)
    }

    /// Reads the counts; `events_lost` is what the ring buffer had no place for.
    pub(super) fn read(&mut self, events_lost: u64) -> io::Result<Oom> {
        self.take();
        Ok(Oom { kills: self.kills.get(0)?, events_lost, recent: self.recent.clone() })
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn kill(event: &Event, page_size: u64) -> OomKill {
    OomKill {
        monotonic_ns: event.monotonic_ns,
        sequence: event.sequence,
        trigger: task(&event.trigger),
        victim: task(&event.victim),
        last_reclaim: reclaim(&event.reclaim, event.monotonic_ns, page_size),
        last_retry: retry(&event.retry, event.monotonic_ns, page_size),
        stack: None,
    }
}

fn retry(raw: &Retry, kill_ns: u64, page_size: u64) -> Option<OomRetry> {
    let before_ns = kill_ns.saturating_sub(raw.last_ns);
    // What lies longer ago belongs to another request of the process.
    (raw.last_ns != 0 && before_ns <= SAME_REQUEST_NS).then(|| OomRetry {
        before_ns,
        order: raw.order,
        loops: raw.loops,
        zone_would_do: raw.refused == 0,
        available_bytes: raw.available.saturating_mul(page_size),
        min_bytes: raw.min.saturating_mul(page_size),
    })
}

/// Addresses of the call chain, innermost first.
fn addresses(event: &Event) -> &[u64] {
    let frames = usize::try_from(event.stack_bytes).unwrap_or(0) / size_of::<u64>();
    event.stack.get(..frames).unwrap_or_default()
}

fn task(raw: &Task) -> OomTask {
    let comm = Name::from_c_bytes(&raw.comm);
    OomTask {
        pid: (raw.tgid != 0).then_some(raw.tgid),
        tid: raw.tid,
        comm: (!comm.is_empty()).then_some(comm),
        cgroup: cgroup(raw.cgroup),
        cgroup_path: None,
    }
}

fn reclaim(raw: &Last, kill_ns: u64, page_size: u64) -> Option<OomReclaim> {
    let kind = match raw.kind {
        DIRECT => ReclaimKind::Direct,
        MEMCG => ReclaimKind::Memcg,
        _ => return None,
    };
    let ended = raw.ended != 0;
    Some(OomReclaim {
        kind,
        order: raw.order,
        gfp: raw.gfp,
        begun_before_ns: kill_ns.saturating_sub(raw.begin_ns),
        duration_ns: ended.then_some(raw.duration_ns),
        reclaimed_bytes: ended.then_some(raw.pages.saturating_mul(page_size)),
    })
}
