use std::fs;
use std::path::{Path, PathBuf};

use ciborium::Value;
use proptest::prelude::*;

use super::samples::{any_snapshot, full};
use crate::recording::error::Lost;
use crate::recording::format::{self, End, FRAME_HEAD, HEADER, Kind};
use crate::recording::{Limits, Meta, Reader, RecordingError, Writer};
use crate::snapshot::Snapshot;

pub(super) fn meta() -> Meta {
    Meta { observer: "0.1.0".into(), interval_ns: Some(1_000_000_000), masked: true }
}

pub(super) fn write(folder: &Path, snapshots: &[Snapshot], limits: Limits) {
    let mut writer = Writer::with_limits(folder, &meta(), limits).unwrap();
    for snapshot in snapshots {
        writer.append(snapshot).unwrap();
    }
    writer.finish().unwrap();
}

fn read(path: &Path) -> Vec<Result<Snapshot, RecordingError>> {
    Reader::open(path).unwrap().collect()
}

fn good(items: Vec<Result<Snapshot, RecordingError>>) -> Vec<Snapshot> {
    items.into_iter().flatten().collect()
}

/// A recording of `count` snapshots, told apart by their stamps, in one segment, and where its frames begin.
fn recorded(count: u64) -> (tempfile::TempDir, PathBuf, Vec<Snapshot>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let snapshots: Vec<_> = (0..count).map(numbered).collect();
    write(folder.path(), &snapshots, Limits::default());
    let path = folder.path().join(format::segment_name(1));
    let bytes = fs::read(&path).unwrap();
    let (mut at, mut frames) = (HEADER, Vec::new());
    while at < bytes.len() {
        frames.push(at);
        at += format::frame_at(&bytes[at..]).unwrap().size();
    }
    (folder, path, snapshots, frames)
}

fn numbered(number: u64) -> Snapshot {
    let mut snapshot = full();
    snapshot.stamp.monotonic_ns = number;
    snapshot
}

fn damage(items: &[Result<Snapshot, RecordingError>]) -> Vec<(u64, Lost)> {
    let damaged = |item: &Result<_, RecordingError>| match item {
        Ok(_) => None,
        Err(RecordingError::Damaged { offset, lost, .. }) => Some((*offset, *lost)),
        Err(other) => panic!("{other}"),
    };
    items.iter().filter_map(damaged).collect()
}

#[test]
fn what_is_written_is_read() {
    let (folder, path, snapshots, _) = recorded(3);
    let mut reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.meta(), &meta());
    assert!(!reader.is_complete());
    let back: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(back, snapshots);
    assert!(reader.is_complete());
    assert_eq!(good(read(&path)), snapshots, "a segment by itself");
}

#[test]
fn segments_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots: Vec<_> = (0..9).map(numbered).collect();
    write(folder.path(), &snapshots, Limits { segment_bytes: 4000, ..Limits::default() });
    assert!(folder.path().join(format::segment_name(3)).exists());
    assert_eq!(good(read(folder.path())), snapshots);

    fs::remove_file(folder.path().join(format::segment_name(2))).unwrap();
    let mut reader = Reader::open(folder.path()).unwrap();
    let items: Vec<_> = reader.by_ref().collect();
    let errors: Vec<_> = items.iter().filter_map(|i| i.as_ref().err().map(ToString::to_string)).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("segment-000002.obsrec is missing"), "{errors:?}");
    assert!(!reader.is_complete());
}

#[test]
fn a_file_that_was_cut_off_reads_up_to_the_cut() {
    let (_folder, path, snapshots, frames) = recorded(4);
    let bytes = fs::read(&path).unwrap();
    // Frames are: description, four snapshots, end.
    for (frames_kept, extra) in [(3, 1), (3, FRAME_HEAD - 1), (3, FRAME_HEAD), (4, 200)] {
        let cut = frames[frames_kept] + extra;
        fs::write(&path, &bytes[..cut]).unwrap();
        let items = read(&path);
        assert_eq!(damage(&items), [(frames[frames_kept] as u64, Lost::AtLeast(1))]);
        assert_eq!(good(items), snapshots[..frames_kept - 1]);
    }
    fs::write(&path, &bytes[..frames[3]]).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 2);
    assert!(!reader.is_complete(), "it has no end");
}

#[test]
fn damage_costs_the_frames_it_hit() {
    let (_folder, path, snapshots, frames) = recorded(4);
    let whole = fs::read(&path).unwrap();
    let expect = |bytes: &[u8], at: usize, lost: u64, kept: &[usize]| {
        fs::write(&path, bytes).unwrap();
        let items = read(&path);
        assert_eq!(damage(&items), [(at as u64, Lost::Exactly(lost))]);
        let kept: Vec<_> = kept.iter().map(|i| snapshots[*i].clone()).collect();
        assert_eq!(good(items), kept);
    };
    // In the payload, in the head, and over a frame's end.
    for at in [frames[2] + 100, frames[2] + 9, frames[2]] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        expect(&bytes, frames[2], 1, &[0, 2, 3]);
    }
    let mut bytes = whole.clone();
    bytes[frames[3] - 5..frames[3] + 5].fill(0);
    expect(&bytes, frames[2], 2, &[0, 3]);
    // A frame taken out, without a trace.
    let mut bytes = whole[..frames[2]].to_vec();
    bytes.extend(&whole[frames[3]..]);
    expect(&bytes, frames[2], 1, &[0, 2, 3]);
    // A frame that stands there twice.
    let mut bytes = whole[..frames[3]].to_vec();
    bytes.extend(&whole[frames[2]..]);
    expect(&bytes, frames[3], 0, &[0, 1, 2, 3]);
}

#[test]
fn what_is_no_recording_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| Reader::open(path).map(|_| ()).unwrap_err().to_string();
    assert!(open(folder.path()).ends_with("holds no recording (no file segment-*.obsrec)"));
    assert!(open(&folder.path().join("none")).starts_with("cannot open "));
    let path = folder.path().join(format::segment_name(1));
    for (bytes, what) in [
        (&b""[..], "it is shorter than a header"),
        (&[0; 100], "it does not begin with the mark of one"),
        (&format::header()[..15], "it is shorter than a header"),
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(open(folder.path()).ends_with(what), "{}", open(folder.path()));
    }
}

#[test]
fn a_later_version_is_refused_by_its_number() {
    let (folder, path, _, _) = recorded(1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    fs::write(&path, &bytes).unwrap();
    let error = Reader::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, RecordingError::NotARecording { .. }),
        "a version that does not fit its checksum is damage"
    );
    let crc = crc32fast::hash(&bytes[..12]).to_le_bytes();
    bytes[12..16].copy_from_slice(&crc);
    fs::write(&path, &bytes).unwrap();
    let error = Reader::open(folder.path()).unwrap_err();
    assert!(matches!(error, RecordingError::Newer { found: 9, known: 1, .. }), "{error}");
    assert!(error.to_string().ends_with("has format version 9, this observer reads up to 1: use a newer one"));
}

#[test]
fn frames_of_a_kind_to_come_are_passed_over() {
    let (_folder, path, snapshots, _) = recorded(1);
    let mut bytes = format::header();
    let frames = [
        format::encode_frame(0, Kind::Meta, &meta()),
        format::encode_frame(1, Kind::Unknown(77), &"to come"),
        format::encode_frame(2, Kind::Snapshot, &snapshots[0]),
        format::encode_frame(3, Kind::End, &End { snapshots: 1 }),
    ];
    frames.into_iter().for_each(|f| bytes.extend(f.unwrap()));
    fs::write(&path, bytes).unwrap();
    assert_eq!(read(&path).into_iter().map(Result::unwrap).collect::<Vec<_>>(), snapshots);
}

#[test]
fn a_frame_that_is_whole_and_no_snapshot_is_damage() {
    let (_folder, path, _, _) = recorded(1);
    let mut bytes = format::header();
    bytes.extend(format::encode_frame(0, Kind::Meta, &meta()).unwrap());
    bytes.extend(format::encode_frame(1, Kind::Snapshot, &"a text").unwrap());
    fs::write(&path, bytes).unwrap();
    let items = read(&path);
    assert_eq!(damage(&items).len(), 1);
    assert!(items[0].as_ref().unwrap_err().to_string().contains("CBOR"));
}

/// Written by version 0.1.0 on a host where `dd` met the limit of its cgroup, and masked. It must be read for ever.
#[test]
fn a_recording_of_the_first_format_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings/v1-memcg-oom");
    let mut reader = Reader::open(&folder).unwrap();
    assert!(reader.meta().masked);
    let snapshots: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    assert!(reader.is_complete());
    let kills: Vec<_> = snapshots.iter().map(|s| s.oom.as_ref().unwrap().kills).collect();
    assert_eq!(kills, [0, 1]);
    let kill = &snapshots[1].oom.as_ref().unwrap().recent[0];
    assert_eq!(kill.victim.comm, kill.trigger.comm);
    assert!(kill.victim.comm.as_ref().unwrap().as_str().starts_with("process-"));
    assert!(kill.victim.cgroup_path.as_ref().unwrap().as_str().starts_with("/cgroup-"));
    let stalls = &snapshots[1].reclaim.as_ref().unwrap().by_process;
    assert!(stalls.iter().any(|p| Some(p.pid) == kill.victim.pid && p.totals.count == 41));
    assert_eq!(snapshots[1].host.hostname.as_str(), "host-1");
}

/// Takes every entry of every map out of `value` in turn, and tells `check` its path and what remains.
fn without_each_entry(value: &Value, check: &mut dyn FnMut(String, Value)) {
    match value {
        Value::Map(entries) => {
            for (i, (key, inner)) in entries.iter().enumerate() {
                let key = key.as_text().unwrap_or("?").to_owned();
                let mut fewer = entries.clone();
                fewer.remove(i);
                check(key.clone(), Value::Map(fewer));
                without_each_entry(inner, &mut |path, changed| {
                    let mut entries = entries.clone();
                    entries[i].1 = changed;
                    check(format!("{key}.{path}"), Value::Map(entries));
                });
            }
        }
        Value::Array(items) => {
            for (i, inner) in items.iter().enumerate() {
                without_each_entry(inner, &mut |path, changed| {
                    let mut items = items.clone();
                    items[i] = changed;
                    check(path, Value::Array(items));
                });
            }
        }
        _ => {}
    }
}

/// What has been there since version 1 and has no value that could stand for it. A field that comes later is not to be
/// added here: it must be an `Option`.
const ALWAYS_THERE: &[&str] = &[
    "coverage.probes.",
    "coverage.sources.name",
    "coverage.losses.",
    "coverage.costs.",
    "pressure.memory.",
    "pressure.cpu.",
    "pressure.io.",
    "cgroups.list.pressure.",
    "oom.recent.last_reclaim.",
    "reclaim.by_cgroup.",
    "reclaim.by_process.",
    "reclaim.in_flight.",
    "tcp.first_bytes.list.",
    "tcp.listeners.",
    "tcp.sockets.list.",
    "tcp.traffic.",
];

#[test]
fn a_snapshot_of_an_older_observer_is_read_with_what_it_has() {
    let value = Value::serialized(&full()).unwrap();
    let mut checked = 0;
    without_each_entry(&value, &mut |path, fewer| {
        checked += 1;
        let read = fewer.deserialized::<Snapshot>();
        let may_fail = ALWAYS_THERE.iter().any(|p| path.starts_with(p));
        assert!(read.is_ok() || may_fail, "without {path}: {read:?}");
    });
    assert!(checked > 200, "{checked}");
}

#[test]
fn a_field_of_a_newer_observer_is_passed_over() {
    let Value::Map(mut entries) = Value::serialized(&full()).unwrap() else { panic!("a snapshot is a map") };
    entries.push((Value::Text("to_come".into()), Value::Bool(true)));
    assert_eq!(Value::Map(entries).deserialized::<Snapshot>().unwrap(), full());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_snapshot_comes_back_as_it_was(snapshots in proptest::collection::vec(any_snapshot(), 0..4)) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &snapshots, Limits::default());
        let back: Vec<_> = read(folder.path()).into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(back, snapshots);
    }

    #[test]
    fn damage_never_panics_and_never_makes_a_snapshot_up(
        hits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let (_folder, path, snapshots, _) = recorded(4);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(whole.len()));
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(reader) = Reader::open(&path) {
            let items: Vec<_> = reader.collect();
            let errors = items.iter().filter(|i| i.is_err()).count();
            let back = good(items);
            // What comes is a part of what was written, in order, and what does not is told.
            let mut rest = snapshots.iter();
            prop_assert!(back.iter().all(|b| rest.any(|s| s == b)));
            let cut_at_a_frame = whole.starts_with(&bytes);
            prop_assert!(back.len() == snapshots.len() || errors > 0 || cut_at_a_frame);
        }
    }

    #[test]
    fn any_bytes_behind_a_header_end_in_errors(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format::segment_name(1));
        fs::write(&path, [format::header(), bytes].concat()).unwrap();
        prop_assert!(good(read(&path)).is_empty());
    }
}
