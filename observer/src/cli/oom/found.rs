//! Kills, wherever they were found: in a log, in a recording, in a stored record.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    diagnose::oom::{Evidence, Explanation, explain_all},
    model::Model,
    recording::{
        Reader,
        format::{HEADER, HeaderProblem, check_header, segment_number},
    },
    snapshot::{
        Snapshot,
        oom::OomKill,
        oom_record::{Missing, Reported},
        oom_report::OomReport,
    },
    source::oom_record::{self, Stored, StoredError},
};

/// A kill with what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) report: OomReport,
    event: Option<OomKill>,
    models: Arc<Vec<Model>>,
    missing: Vec<String>,
}

impl From<OomReport> for Found {
    /// One of a log.
    fn from(report: OomReport) -> Self {
        Self { report, event: None, models: Arc::default(), missing: Vec::new() }
    }
}

impl Found {
    pub(super) fn explain(&self) -> Explanation {
        explain_all(&Evidence {
            report: &self.report,
            event: self.event.as_ref(),
            models: &self.models,
            missing: &self.missing,
        })
    }
}

/// Segments and stored records of a path: the folder itself where it is a recording, else the files with a recording's first
/// bytes. `None` for a path that is a log or has logs.
pub(super) fn recordings(path: &Path) -> Option<Vec<PathBuf>> {
    if path.is_dir() {
        let stored = oom_record::list(path).unwrap_or_default();
        if !stored.is_empty() {
            return Some(stored);
        }
        let mut names = fs::read_dir(path).ok()?.flatten().filter_map(|e| e.file_name().into_string().ok());
        return names.any(|name| segment_number(&name).is_some()).then(|| vec![path.to_owned()]);
    }
    // A pipe would lose the bytes that are looked at.
    let is_file = fs::metadata(path).is_ok_and(|meta| meta.is_file());
    let mut start = [0; HEADER];
    let is_recording = is_file
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && !matches!(check_header(&start), Err(HeaderProblem::Not(_)));
    is_recording.then(|| vec![path.to_owned()])
}

/// What a step through a recording gave.
#[derive(Default)]
pub(super) struct Step {
    /// Snapshots that were read.
    pub(super) snapshots: u64,
    /// A kill.
    pub(super) found: Option<Found>,
}

/// The kills of a recording or of a stored record, and what is damaged of it.
pub(super) fn kills(path: &Path) -> Box<dyn Iterator<Item = anyhow::Result<Step>>> {
    let stored = path.file_name().and_then(|n| n.to_str()).and_then(oom_record::FileName::parse);
    if stored.is_some() {
        match oom_record::read(path) {
            Ok(stored) => {
                let step = Step { snapshots: stored.snapshots.len() as u64, found: Some(of_stored(stored)) };
                return Box::new(std::iter::once(Ok(step)));
            }
            // A recording that somebody gave such a name.
            Err(StoredError::NoRecord(_)) => {}
            Err(error) => return Box::new(std::iter::once(Err(error.into()))),
        }
    }
    match Reader::open(path) {
        Ok(reader) => Box::new(Steps { reader, recorded: Recorded::default() }),
        Err(error) => Box::new(std::iter::once(Err(error.into()))),
    }
}

/// A recording, read step by step.
struct Steps {
    reader: Reader,
    recorded: Recorded,
}

impl Iterator for Steps {
    type Item = anyhow::Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(found) = self.recorded.next(false) {
            return Some(Ok(Step { snapshots: 0, found: Some(found) }));
        }
        match self.reader.next() {
            Some(Ok(snapshot)) => {
                self.recorded.take(snapshot);
                Some(Ok(Step { snapshots: 1, found: None }))
            }
            Some(Err(damage)) => Some(Err(damage.into())),
            None => self.recorded.next(true).map(|found| Ok(Step { snapshots: 0, found: Some(found) })),
        }
    }
}

fn of_stored(stored: Stored) -> Found {
    let Stored { record, snapshots, complete, damage, .. } = stored;
    let mut missing = Vec::new();
    let report = match (record.report, &record.event) {
        (Reported::Whole(report), _) => Some(*report),
        (Reported::Awaited, _) => {
            missing.push("The kernel's report had not come when the record was written.".to_owned());
            None
        }
        (Reported::Missing(Missing::NoLog(why)), _) => {
            missing.push(format!("The kernel's report: its log could not be read ({why})."));
            None
        }
        (Reported::Missing(Missing::NotInTime { awaited_seconds, records_lost }), _) => {
            missing.push(format!(
                "The kernel's report did not come in {awaited_seconds} s; {records_lost} records of its log were lost meanwhile."
            ));
            None
        }
    };
    if record.snapshots_dropped > 0 {
        missing.push(format!(
            "{} snapshots before those that are stored made room for them: what was earlier is not known.",
            record.snapshots_dropped
        ));
    }
    if !complete {
        missing.push("The record was not completed, or is damaged: observer or the host ended before.".to_owned());
    }
    missing.extend(damage);
    let report = report.or_else(|| record.event.as_ref().map(OomReport::from)).unwrap_or_default();
    let before = std::iter::once(None).chain(snapshots.iter().map(Some));
    let models = snapshots.iter().zip(before).map(|(now, before)| Model::new(now, before));
    Found { report, event: record.event, models: Arc::new(models.collect()), missing }
}

/// Intervals that are kept before a kill: two minutes of one a second.
const KEPT: usize = 120;
/// Snapshots after an event until its report is not expected any more.
const PATIENCE: u32 = 8;

/// Kills as snapshots tell them.
#[derive(Default)]
struct Recorded {
    last: Option<Snapshot>,
    models: VecDeque<Model>,
    /// Events whose report may still come.
    waiting: VecDeque<Waiting>,
    done: VecDeque<Found>,
}

struct Waiting {
    event: OomKill,
    models: Arc<Vec<Model>>,
    snapshots: u32,
}

impl Recorded {
    fn take(&mut self, snapshot: Snapshot) {
        let before = self.last.as_ref().filter(|b| b.host.boot_id == snapshot.host.boot_id);
        if before.is_none() {
            self.models.clear();
        }
        let told = before.and_then(|b| b.oom.as_ref()).map_or(0, |o| o.recent.back().map_or(o.kills, |k| k.sequence));
        self.models.push_back(Model::new(&snapshot, before));
        if self.models.len() > KEPT {
            self.models.pop_front();
        }
        self.waiting.iter_mut().for_each(|w| w.snapshots += 1);
        let events = snapshot.oom.iter().flat_map(|o| &o.recent).filter(|kill| kill.sequence > told);
        let events: Vec<OomKill> = events.cloned().collect();
        let reports = snapshot.oom_watch.as_ref().map(|w| w.reports.clone()).unwrap_or_default();
        if !events.is_empty() || !reports.is_empty() {
            // Kills of one snapshot share the minutes before.
            let models = Arc::new(self.models.iter().cloned().collect::<Vec<_>>());
            self.waiting.extend(events.into_iter().map(|event| Waiting {
                event,
                models: Arc::clone(&models),
                snapshots: 0,
            }));
            for report in reports {
                self.join(report, &models);
            }
        }
        self.last = Some(snapshot);
    }

    /// Puts a report to its event: the oldest that waits for one of that process.
    fn join(&mut self, report: OomReport, models: &Arc<Vec<Model>>) {
        let pid = report.victim_pid();
        let of_pid = |w: &Waiting| pid.is_some() && (w.event.victim.pid == pid || Some(w.event.victim.tid) == pid);
        let waiting = self.waiting.iter().position(of_pid).and_then(|at| self.waiting.remove(at));
        let (event, models) = match waiting {
            Some(waiting) => (Some(waiting.event), waiting.models),
            None => (None, Arc::clone(models)),
        };
        self.done.push_back(Found { report, event, models, missing: Vec::new() });
    }

    /// The next kill; `over` if no more snapshots come.
    fn next(&mut self, over: bool) -> Option<Found> {
        if let Some(found) = self.done.pop_front() {
            return Some(found);
        }
        let waiting = self.waiting.front().filter(|w| over || w.snapshots >= PATIENCE)?;
        let found = Found {
            report: OomReport::from(&waiting.event),
            event: Some(waiting.event.clone()),
            models: Arc::clone(&waiting.models),
            missing: Vec::new(),
        };
        self.waiting.pop_front();
        Some(found)
    }
}
