//! `observer record` and `observer report --replay`.

use std::{fs, path::Path};

use nix::sys::signal::Signal;
use observer::recording::{Meta, Reader, Writer};
use serde_json::Value;

use crate::{
    run::{Running, folder, run, wait_until},
    synthetic::busy,
};

fn replay(path: &Path, more: &[&str]) -> crate::run::Run {
    run(&[&["report", "--replay", path.to_str().unwrap()], more].concat())
}

/// Writes a recording of the busy host, one snapshot a second.
fn recorded(path: &Path, count: u64) {
    let mut writer = Writer::create(path, &Meta::default()).unwrap();
    for snapshot in busy(count) {
        writer.append(&snapshot).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn a_recording_of_this_host_is_replayed() {
    let (_folder, path) = folder();
    let out = path("rec");
    let made = run(&["record", "--out", out.to_str().unwrap(), "--interval", "100ms", "--for", "3s", "--mask"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let snapshots: Vec<_> = Reader::open(&out).unwrap().map(Result::unwrap).collect();
    assert!((2..=31).contains(&snapshots.len()), "{}", snapshots.len());
    assert!(made.stdout.starts_with(&format!("{} snapshots over ", snapshots.len())), "{}", made.stdout);
    let seen = replay(&out, &["--json"]);
    let document: Value = serde_json::from_str(&seen.stdout).unwrap();
    let (first, last) = (snapshots.first().unwrap(), snapshots.last().unwrap());
    let seconds = (last.stamp.monotonic_ns - first.stamp.monotonic_ns) as f64 / 1e9;
    assert_eq!(document["interval"]["seconds"], seconds);
    let hostname = nix::unistd::gethostname().unwrap();
    assert_ne!(document["host"]["hostname"].as_str(), hostname.to_str(), "it was masked");
}

#[test]
fn a_signal_ends_a_recording_in_order() {
    let (_folder, path) = folder();
    let out = path("rec");
    let running = Running::start(&["record", "--out", out.to_str().unwrap(), "--interval", "100ms"]);
    let written = || Reader::open(&out).is_ok_and(|reader| reader.filter(Result::is_ok).count() >= 2);
    wait_until("two snapshots", written);
    running.signal(Signal::SIGTERM);
    let (code, said) = running.end();
    assert_eq!(code, Some(0));
    let mut reader = Reader::open(&out).unwrap();
    let snapshots = reader.by_ref().map(Result::unwrap).count();
    assert!(reader.is_complete());
    assert!(said.starts_with(&format!("{snapshots} snapshots ")), "{said}");
}

#[test]
fn a_part_of_a_recording_can_be_chosen() {
    let (_folder, path) = folder();
    recorded(&path("rec"), 10);
    let interval = |more: &[&str]| -> Value {
        let run = replay(&path("rec"), &[&["--json"], more].concat());
        serde_json::from_str::<Value>(&run.stdout).unwrap()["interval"]["seconds"].clone()
    };
    assert_eq!(interval(&[]), 9.0);
    assert_eq!(interval(&["--begin", "2s", "--end", "6s"]), 4.0);
    assert_eq!(interval(&["--begin", "9s"]), Value::Null, "one snapshot has no interval");
    let outside = replay(&path("rec"), &["--begin", "1h"]);
    assert_eq!(outside.code, Some(1));
    assert!(outside.stderr.ends_with("lies in that time\n"), "{}", outside.stderr);
}

#[test]
fn the_report_of_a_recording() {
    let (_folder, path) = folder();
    recorded(&path("rec"), 3);
    let run = replay(&path("rec"), &["oom"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!("replayed_oom", run.stdout);
}

#[test]
fn what_is_no_recording_is_refused_with_the_reason() {
    let (_folder, path) = folder();
    fs::create_dir(path("empty")).unwrap();
    fs::create_dir(path("garbage")).unwrap();
    fs::write(path("garbage/segment-000001.obsrec"), "not a recording").unwrap();
    for (name, reason) in
        [("absent", "No such file"), ("empty", "holds no recording"), ("garbage", "is not a recording")]
    {
        let run = replay(&path(name), &[]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{name}");
        assert!(run.stderr.starts_with("observer: cannot replay: ") && run.stderr.contains(reason), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1);
    }
}

#[test]
fn damage_costs_what_it_hit_and_is_told() {
    let (_folder, path) = folder();
    recorded(&path("rec"), 4);
    let segment = path("rec/segment-000001.obsrec");
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&segment, &bytes).unwrap();
    let run = replay(&path("rec"), &["--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("is damaged at byte"), "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["interval"]["seconds"], 3.0, "the ends are whole");
}

#[test]
fn a_folder_that_holds_something_is_not_recorded_into() {
    let (_folder, path) = folder();
    fs::write(path("something"), "mine").unwrap();
    let folder = path("");
    let run = run(&["record", "--out", folder.to_str().unwrap(), "--for", "1s"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains("is not empty"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(path("something")).unwrap(), "mine");
}

#[test]
fn a_path_with_control_characters_is_shown_escaped() {
    let run = run(&["report", "--replay", "/nowhere/\u{1b}[31m\n"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains(r"/nowhere/\x1b[31m\n"), "{}", run.stderr);
}
