//! What a scenario saw becomes a recording: masked, written, read again, and judged anew. So each finding that was made on a
//! kernel is one that `tests/replay.rs` can make without one.
//!
//! Where `OBSERVER_RECORDINGS` names a folder the recordings are kept there; `tests/recordings` has those that are played.

use std::{fs, path::PathBuf};

use observer::{
    diagnose::{Diagnosis, Thresholds, diagnose},
    model::Model,
    recording::{Limits, Masker, Meta, Reader, Writer},
    snapshot::Snapshot,
};

use super::Watch;
use crate::support::seen;

/// Fewest snapshots of a recording, where as many were taken: a finding of one moment alone shows no course.
const FEWEST: usize = 4;

/// Where a recording goes, and whether it stays there.
fn folder(name: &str) -> (PathBuf, bool) {
    match std::env::var_os("OBSERVER_RECORDINGS") {
        Some(folder) => (PathBuf::from(folder).join(name), true),
        None => (std::env::temp_dir().join(format!("observer-test-{name}-{}", std::process::id())), false),
    }
}

/// What the rules say of the snapshots of a recording.
fn judged(snapshots: &[Snapshot]) -> Diagnosis {
    let models: Vec<Model> = snapshots.windows(2).map(|w| Model::new(&w[1], Some(&w[0]))).collect();
    diagnose(&models, &Thresholds::default())
}

/// As few of the newest snapshots as still make the rule fire.
fn needed<'a>(snapshots: &'a [Snapshot], rule: &str) -> Option<&'a [Snapshot]> {
    let fewest = FEWEST.min(snapshots.len());
    let starts = (0..=snapshots.len() - fewest).rev();
    let mut parts = starts.filter_map(|start| snapshots.get(start..));
    parts.find(|part| judged(part).findings.iter().any(|f| f.rule == rule))
}

impl Watch {
    /// Records what made a rule fire, under the name of the scenario. A test that can be played needs no kernel.
    pub(crate) fn record(&self, name: &str, rule: &str) {
        let mut snapshots: Vec<Snapshot> = self.recent().cloned().collect();
        let mut masker = Masker::default();
        snapshots.iter_mut().for_each(|snapshot| masker.mask(snapshot));
        let part = needed(&snapshots, rule).unwrap_or_else(|| panic!("{rule} does not fire on what was seen"));

        let (out, stays) = folder(name);
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).expect("a new folder");
        let meta =
            Meta { observer: env!("CARGO_PKG_VERSION").to_owned(), interval_ns: Some(500_000_000), masked: true };
        let mut writer = Writer::with_limits(&out, &meta, Limits::default()).expect("a recording");
        for snapshot in part {
            writer.append(snapshot).expect("written");
        }
        writer.finish().expect("a whole recording");

        let mut reader = Reader::open(&out).expect("a recording");
        let read: Vec<Snapshot> = reader.by_ref().collect::<Result<_, _>>().expect("whole");
        assert!(reader.is_complete(), "{name}");
        let said = judged(&read);
        assert!(said.findings.iter().any(|f| f.rule == rule), "{rule} is lost in the recording: {:#?}", said.findings);
        let fired: Vec<_> = said.findings.iter().map(|f| f.rule).collect();
        seen!("{name}: {} snapshots, played: {fired:?}", read.len());
        if !stays {
            let _ = fs::remove_dir_all(&out);
        }
    }
}
