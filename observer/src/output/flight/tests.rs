//! Records as they are written and read back, with trouble in between.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;
use crate::{
    snapshot::{
        Stamp,
        oom::OomTask,
        oom_record::Missing,
        oom_report::{Kill, OomReport},
        oom_watch::{OomStored, OomWatch},
    },
    source::oom_record::{Stored, list, read},
};

const SECOND: u64 = 1_000_000_000;

fn recorder(folder: &Path) -> FlightRecorder {
    FlightRecorder::new(Options { folder: folder.to_owned(), bounds: Bounds { files: 10, bytes: 1 << 20 } }).unwrap()
}

fn stamp(second: u64) -> Stamp {
    Stamp {
        monotonic_ns: second * SECOND,
        boottime_ns: second * SECOND,
        realtime_ns: (1_700_000_000 + second) * SECOND,
    }
}

/// A snapshot of that second, in which the log had told of so many kills.
fn snapshot(second: u64, kills: u64) -> Snapshot {
    let counts = OomCounts { vmstat: Some(kills), read: stamp(second), ..OomCounts::default() };
    let oom_watch = Some(OomWatch { counts, ..OomWatch::default() });
    Snapshot { stamp: stamp(second), oom_watch, ..Snapshot::default() }
}

fn kill(sequence: u64, comm: &str) -> OomKill {
    let victim = OomTask { pid: Some(40), tid: 40, comm: Some(comm.into()), ..OomTask::default() };
    OomKill { sequence, victim, ..OomKill::default() }
}

fn whole() -> Reported {
    let kills = vec![Kill { pid: 40, ..Kill::default() }];
    Reported::Whole(Box::new(OomReport { kills, ..OomReport::default() }))
}

fn stored(folder: &Path) -> Vec<Stored> {
    list(folder).unwrap().iter().map(|path| read(path).unwrap()).collect()
}

#[test]
fn a_kill_is_on_disk_at_once_and_complete_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    (1..=10).for_each(|second| recorder.snapshot(&mut snapshot(second, 0)));
    recorder.kill(stamp(11), &kill(1, "hog"));
    let [first] = &stored(folder.path())[..] else { panic!("one file") };
    assert_eq!((first.complete, &first.record.report), (false, &Reported::Awaited));
    assert_eq!(first.record.event, Some(kill(1, "hog")));
    let kept: Vec<u64> = first.snapshots.iter().map(|s| s.stamp.monotonic_ns / SECOND).collect();
    assert_eq!(kept, [1, 3, 5, 7, 9], "at a pace of 2 s");
    assert_eq!(first.path.file_name().unwrap(), "1700000011000-000001-40.oom.obsrec");
    assert_eq!(fs::metadata(&first.path).unwrap().permissions().mode() & 0o777, 0o600);

    recorder.told(stamp(12), Some(kill(1, "hog")), whole());
    let [told] = &stored(folder.path())[..] else { panic!("one file") };
    assert_eq!((told.complete, &told.record.report, told.record.after), (false, &whole(), None));

    recorder.snapshot(&mut snapshot(13, 1));
    let [complete] = &stored(folder.path())[..] else { panic!("one file") };
    assert!(complete.complete, "{complete:?}");
    let counts = |c: &Option<OomCounts>| c.and_then(|c| c.vmstat);
    assert_eq!((counts(&complete.record.before), counts(&complete.record.after)), (Some(0), Some(1)));
    assert_eq!(complete.snapshots, first.snapshots);
    // A stored kill is a recording as well.
    let replayed: Vec<_> = crate::recording::Reader::open(&complete.path).unwrap().map(Result::unwrap).collect();
    assert_eq!(replayed, complete.snapshots);
}

#[test]
fn of_kills_in_a_row_the_first_has_what_led_up_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    (1..=10).for_each(|n| recorder.snapshot(&mut snapshot(n * 2, 0)));
    recorder.kill(stamp(20), &kill(1, "a"));
    recorder.kill(stamp(21), &kill(2, "b"));
    recorder.snapshot(&mut snapshot(22, 2));
    recorder.kill(stamp(23), &kill(3, "c"));
    let stored = stored(folder.path());
    let snapshots: Vec<usize> = stored.iter().map(|s| s.snapshots.len()).collect();
    assert_eq!(snapshots, [10, 2, 2]);
    assert_eq!(stored[0].record.earlier, None);
    let names: Vec<_> = stored.iter().map(|s| s.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(stored[2].record.earlier.as_ref().map(Name::as_str), Some(names[1]));
}

#[test]
fn a_kill_that_the_log_alone_tells_and_one_that_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    recorder.told(stamp(1), None, whole());
    recorder.kill(stamp(2), &kill(7, "x"));
    let why = Reported::Missing(Missing::NotInTime { awaited_seconds: 15, records_lost: 0 });
    recorder.told(stamp(17), Some(kill(7, "x")), why.clone());
    recorder.snapshot(&mut snapshot(18, 2));
    let mut after = snapshot(19, 2);
    recorder.snapshot(&mut after);
    assert_eq!(after.oom_watch.and_then(|w| w.stored), Some(OomStored { kills: 2, failures: 0 }));
    let stored = stored(folder.path());
    assert!(stored.iter().all(|s| s.complete && s.snapshots.is_empty()), "{stored:?}");
    assert_eq!((stored[0].record.event.as_ref(), stored[0].record.victim_pid()), (None, Some(40)));
    assert_eq!(stored[1].record.report, why);
}

#[test]
fn a_file_that_is_cut_off_anywhere_keeps_what_stands_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    (1..=3).for_each(|n| recorder.snapshot(&mut snapshot(n * 2, 0)));
    recorder.kill(stamp(6), &kill(1, "hog"));
    let path = list(folder.path()).unwrap().remove(0);
    let partial = fs::metadata(&path).unwrap().len() as usize;
    recorder.told(stamp(7), Some(kill(1, "hog")), whole());
    recorder.snapshot(&mut snapshot(8, 1));
    let bytes = fs::read(&path).unwrap();
    for cut in partial..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let stored = read(&path).unwrap();
        assert!(!stored.complete, "{cut} of {} bytes", bytes.len());
        assert_eq!((stored.snapshots.len(), stored.record.event), (3, Some(kill(1, "hog"))));
    }
    fs::write(&path, &bytes).unwrap();
    assert!(read(&path).unwrap().complete);
    for cut in 0..partial {
        fs::write(&path, &bytes[..cut]).unwrap();
        // An error or less of it, and never a panic.
        let _ = read(&path);
    }
}

#[test]
fn names_that_processes_chose_are_in_no_file_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    recorder.kill(stamp(1), &kill(1, "../../x\u{1b}[2J"));
    let name = list(folder.path()).unwrap().remove(0);
    assert_eq!(name.file_name().unwrap(), "1700000001000-000001-40.oom.obsrec");
}

#[test]
fn a_folder_that_cannot_be_used_is_told_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("records");
    // A file in its place: also root cannot make a folder there.
    fs::write(&inside, "").unwrap();
    let mut recorder = recorder(&inside);
    recorder.kill(stamp(1), &kill(1, "x"));
    let mut told = snapshot(2, 1);
    recorder.snapshot(&mut told);
    let reason = told.coverage.source_reason(Source::OOM_DIR).expect("it is told").as_str().to_owned();
    assert!(reason.contains("cannot create folder") && reason.contains("2 failed"), "{reason}");
    fs::remove_file(&inside).unwrap();
    recorder.kill(stamp(3), &kill(2, "y"));
    assert_eq!(stored(&inside).len(), 1);
    let mut well = snapshot(4, 1);
    recorder.snapshot(&mut well);
    assert_eq!(well.coverage.source_reason(Source::OOM_DIR), None);
}

#[test]
fn no_more_is_kept_than_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    // More than the number that is kept, and without a kill: nothing is written.
    (1..=1100).for_each(|n| recorder.snapshot(&mut snapshot(n * 2, 0)));
    recorder.kill(stamp(3000), &kill(1, "x"));
    let [stored] = &stored(folder.path())[..] else { panic!("one file") };
    assert_eq!((stored.snapshots.len(), stored.record.snapshots_dropped), (kept::MOST, 76));
}
