use std::fs;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::round_trip::{meta, write};
use super::samples::full;
use crate::output::record::Limit;
use crate::recording::{Limits, Progress, Reader, RecordingError, Writer};
use crate::snapshot::Snapshot;

fn at_second(second: u64) -> Snapshot {
    let mut snapshot = full();
    snapshot.stamp.monotonic_ns = second * 1_000_000_000;
    snapshot
}

#[test]
fn a_folder_with_anything_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("new");
    write(&recording, &[full()], Limits::default());
    let before = fs::read(recording.join("segment-000001.obsrec")).unwrap();
    let error = Writer::create(&recording, &meta()).unwrap_err();
    assert!(matches!(error, RecordingError::NotEmpty { .. }), "{error}");
    assert_eq!(fs::read(recording.join("segment-000001.obsrec")).unwrap(), before);
    assert!(matches!(Writer::create(folder.path(), &meta()), Err(RecordingError::NotEmpty { .. })));
    let below_a_file = recording.join("segment-000001.obsrec/below");
    assert!(Writer::create(&below_a_file, &meta()).unwrap_err().to_string().starts_with("cannot create folder "));
}

#[test]
fn a_new_recording_is_there_before_its_first_snapshot_and_whole_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), &meta()).unwrap();
    assert_eq!(Reader::open(folder.path()).unwrap().count(), 0);
    for second in 1..4 {
        writer.append(&at_second(second)).unwrap();
        let mut reader = Reader::open(folder.path()).unwrap();
        assert_eq!(reader.by_ref().map(Result::unwrap).count() as u64, second);
        assert!(!reader.is_complete());
    }
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["segment-000001.obsrec"]);
}

#[test]
fn limits_end_a_recording() {
    let record = |limits| {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::with_limits(folder.path(), &meta(), limits).unwrap();
        let progress: Vec<_> = (0..6).map(|s| writer.append(&at_second(s)).unwrap()).collect();
        let written = writer.finish().unwrap();
        let mut reader = Reader::open(folder.path()).unwrap();
        assert_eq!(reader.by_ref().map(Result::unwrap).count() as u64, written.snapshots);
        assert!(reader.is_complete());
        (written, progress)
    };
    let (written, progress) = record(Limits { snapshots: Some(2), ..Limits::default() });
    assert_eq!(written.snapshots, 2);
    assert_eq!(progress[..2], [Progress::Continues, Progress::Full(Limit::Snapshots)]);
    let (written, progress) = record(Limits { duration: Some(Duration::from_secs(3)), ..Limits::default() });
    assert_eq!((written.snapshots, progress[4]), (4, Progress::Full(Limit::Duration)));
    let (all, _) = record(Limits::default());
    let (written, progress) = record(Limits { bytes: Some(all.bytes / 2), ..Limits::default() });
    assert!(written.snapshots > 0 && written.snapshots < 6 && written.bytes <= all.bytes / 2 + 200, "{written:?}");
    assert_eq!(progress[5], Progress::Full(Limit::Bytes));
}

/// Runs `test` with a folder on a file system of 64 KiB that only this thread sees. Skipped where that is not permitted.
fn on_a_small_disk(test: impl FnOnce(&std::path::Path) + Send) {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let private = unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).and_then(|()| {
                mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
                mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some("size=64k"))
            });
            if let Err(e) = private {
                eprintln!("skipped: no file system of its own for this test: {e}");
                return;
            }
            test(folder.path());
        });
        run.join().unwrap();
    });
}

#[test]
fn a_full_disk_is_an_error_and_costs_nothing_that_was_written() {
    on_a_small_disk(|folder| {
        let recording = folder.join("recording");
        let mut writer = Writer::create(&recording, &meta()).unwrap();
        // What cannot be compressed away.
        let mut seed = 1u64;
        let mut filled = |second| {
            let mut snapshot = at_second(second);
            let noise = std::iter::repeat_with(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                seed
            });
            snapshot.reclaim.as_mut().unwrap().by_cgroup[0].latency_ns.buckets = noise.take(1500).collect();
            snapshot
        };
        let mut written = Vec::new();
        let error = loop {
            let snapshot = filled(written.len() as u64);
            match writer.append(&snapshot) {
                Ok(_) => written.push(snapshot),
                Err(e) => break e,
            }
            assert!(written.len() < 100, "the disk does not fill");
        };
        assert!(error.to_string().starts_with("cannot write to "), "{error}");
        assert!(error.to_string().contains("No space left on device"), "{error}");
        let again = writer.append(&filled(99)).unwrap_err();
        assert!(again.to_string().contains("No space left on device"), "{again}");
        let back: Vec<_> = Reader::open(&recording).unwrap().map(Result::unwrap).collect();
        assert_eq!(back, written);
        assert!(!back.is_empty());
    });
}
