//! OOM kills of an interval.

use serde::Serialize;

use super::cgroup::Paths;
use crate::snapshot::{
    self, Name,
    oom::{OomKill, OomTask},
};

/// OOM kills.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Oom {
    /// Kills since the probes were attached.
    pub kills: u64,
    /// Kills in the interval; `None` if there is no interval.
    pub kills_in_interval: Option<u64>,
    /// Events that were lost since the probes were attached.
    pub events_lost: u64,
    /// The last kills, newest first.
    pub recent: Vec<Kill>,
}

/// One kill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kill {
    /// What the kernel said.
    #[serde(flatten)]
    pub event: OomKill,
    /// How long ago, in seconds.
    pub age_seconds: f64,
    /// True if it happened in the interval; `None` if there is no interval.
    pub in_interval: Option<bool>,
}

impl Oom {
    pub(super) fn new(
        now: &snapshot::oom::Oom,
        before: Option<&snapshot::oom::Oom>,
        now_ns: u64,
        paths: &Paths<'_>,
    ) -> Self {
        let recent = now
            .recent
            .iter()
            .rev()
            .map(|event| {
                let mut event = event.clone();
                [&mut event.trigger, &mut event.victim].into_iter().for_each(|t| name_cgroup(t, paths));
                Kill {
                    age_seconds: now_ns.saturating_sub(event.monotonic_ns) as f64 / 1e9,
                    in_interval: before.map(|b| event.sequence > b.kills),
                    event,
                }
            })
            .collect();
        Self {
            kills: now.kills,
            kills_in_interval: before.and_then(|b| now.kills.checked_sub(b.kills)),
            events_lost: now.events_lost,
            recent,
        }
    }
}

fn name_cgroup(task: &mut OomTask, paths: &Paths<'_>) {
    let known: Option<Name> = task.cgroup_path.take();
    task.cgroup_path = known.or_else(|| paths.get(task.cgroup));
}
