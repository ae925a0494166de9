//! The two ends of an interval of a recording, and what was read of connections between them.

use std::{collections::VecDeque, path::Path, time::Duration};

use anyhow::{Context, bail};

use crate::{
    model::readings::Readings,
    recording::Reader,
    snapshot::{Snapshot, oom_watch::OomWatch},
};

/// Reads the first and the last snapshot of a recording between `begin` and `end`, both counted from the recording's first
/// snapshot. There is no first one if there is but one. The last one has the kernel's reports of OOM kills of all of them, the
/// newest if there are many: each is in one snapshot only.
///
/// What is between them is read too, for what is not counted.
pub(super) fn ends(
    path: &Path,
    begin: Option<Duration>,
    end: Option<Duration>,
) -> anyhow::Result<(Option<Snapshot>, Readings, Snapshot)> {
    let reader = Reader::open(path).context("cannot replay")?;
    let (mut origin, mut before, mut now): (Option<u64>, Option<Snapshot>, Option<Snapshot>) = (None, None, None);
    let (mut reports, mut readings) = (VecDeque::new(), Readings::default());
    let mut seen = 0u64;
    for item in reader {
        let snapshot = match item {
            Ok(snapshot) => snapshot,
            Err(e) => {
                // What is left of it is still worth a report, which says what it spans.
                tracing::warn!("{e}");
                continue;
            }
        };
        seen += 1;
        let origin = *origin.get_or_insert(snapshot.stamp.monotonic_ns);
        let at = Duration::from_nanos(snapshot.stamp.monotonic_ns.saturating_sub(origin));
        if begin.is_some_and(|begin| at < begin) || end.is_some_and(|end| at > end) {
            continue;
        }
        if before.is_none() {
            before = Some(snapshot);
        } else {
            // Whatever was the newest one until now is between.
            now.iter().flat_map(|s: &Snapshot| &s.tcp.sockets).for_each(|sockets| readings.add(sockets));
            now = Some(snapshot);
            let new = now.iter_mut().filter_map(|s| s.oom_watch.as_mut()).flat_map(|w| w.reports.drain(..));
            reports.extend(new);
            reports.drain(..reports.len().saturating_sub(OomWatch::MOST_REPORTS));
        }
    }
    if let Some(watch) = now.as_mut().and_then(|s| s.oom_watch.as_mut()) {
        watch.reports = reports.into();
    }
    match (before, now) {
        (before, Some(now)) => Ok((before, readings, now)),
        (Some(only), None) => Ok((None, readings, only)),
        (None, None) if seen > 0 => bail!("none of the {seen} snapshots of {} lies in that time", path.display()),
        (None, None) => bail!("{} holds no snapshot that can be read", path.display()),
    }
}
