//! Small models for the rules' tests.

use super::{Finding, Outcome};
use crate::{
    model::Model,
    snapshot::{Snapshot, Stamp},
};

/// An empty snapshot, taken that many seconds after boot.
pub(super) fn snapshot_at(second: u64) -> Snapshot {
    let ns = second * 1_000_000_000;
    Snapshot { stamp: Stamp { monotonic_ns: ns, boottime_ns: ns, realtime_ns: ns }, ..Snapshot::default() }
}

/// The models of consecutive snapshots.
pub(super) fn models(snapshots: &[Snapshot]) -> Vec<Model> {
    snapshots.windows(2).map(|pair| Model::new(&pair[1], Some(&pair[0]))).collect()
}

/// The finding of a rule that must fire.
pub(super) fn fired(outcome: Outcome) -> Finding {
    match outcome {
        Outcome::Fires(finding) => finding,
        other => panic!("did not fire: {other:?}"),
    }
}
