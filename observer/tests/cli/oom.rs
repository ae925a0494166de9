//! `observer oom` as users meet it: logs of every kind, and what is none.

use std::{fs, io::Write, path::PathBuf};

use observer::source::oom_log::{Scanner, input};

use super::run::{finish, observer, run};

fn log(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oom/logs").join(name);
    path.to_str().unwrap().to_owned()
}

const GLOBAL: &str = "global-oom-6.12.117+deb12-cloud-amd64.dmesg";
const MEMCG: &str = "memcg-v1-oom-6.18.dmesg";

#[test]
fn a_folder_is_listed_a_line_a_kill() {
    let folder = log("");
    let listed = run(&["oom", "list", &folder]);
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    let reports = |path: &PathBuf| {
        let log = input::open(path).unwrap();
        Scanner::new(log.bytes, log.name).unwrap().map(Result::unwrap).count()
    };
    let expected: usize = input::files(folder.as_ref()).unwrap().iter().map(reports).sum();
    assert!(expected >= 6);
    assert_eq!(listed.stdout.lines().count(), expected, "{}", listed.stdout);
    assert!(
        listed.stdout.contains("[  929.507193]  python3 (pid 10401)  66.2 MiB  cgroup /obs-test\n"),
        "{}",
        listed.stdout
    );
}

#[test]
fn compressed_logs_and_standard_input_say_the_same() {
    let plain = run(&["oom", "list", &log(MEMCG)]).stdout;
    let bytes = fs::read(log(MEMCG)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&bytes).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(&bytes).unwrap();
    let packed = [
        ("a.gz", gz.finish().unwrap()),
        ("a.zst", zstd::encode_all(bytes.as_slice(), 1).unwrap()),
        ("a.xz", xz.finish().unwrap()),
    ];
    for (name, packed) in packed {
        let path = folder.path().join(name);
        fs::write(&path, packed).unwrap();
        assert_eq!(run(&["oom", "list", path.to_str().unwrap()]).stdout, plain, "{name}");
    }
    let mut command = observer(&["oom", "list", "-"]);
    command.stdin(fs::File::open(log(MEMCG)).unwrap());
    assert_eq!(finish(command).stdout, plain);
}

#[test]
fn each_line_of_json_is_a_report_with_its_explanation() {
    let ran = run(&["oom", "explain", "--json", &log(MEMCG)]);
    let lines: Vec<serde_json::Value> = ran.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["version"], 1);
    assert_eq!(lines[0]["explanation"]["limit"]["memory"]["cgroup"]["path"], "/obs-test");
    assert_eq!(lines[1]["report"]["kills"][0]["pid"], 26812);
}

#[test]
fn the_last_kills_alone_and_as_markdown() {
    let ran = run(&["oom", "explain", "--last", "1", "--markdown", &log(GLOBAL), &log(MEMCG)]);
    assert_eq!(ran.stdout.matches("\n### What to do\n").count(), 1);
    assert!(
        ran.stdout.starts_with("## The kernel killed python3 (pid 26812): cgroup /obs\\_probe\\_8384"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_is_no_log_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let failed = |args: &[&str], code: i32, words: &str| {
        let ran = run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{args:?}: {}", ran.stderr);
    };
    failed(&["oom", "explain", folder.path().to_str().unwrap()], 1, "the folder has no file");
    failed(&["oom", "explain", &path("none")], 1, "No such file");
    fs::write(path("empty"), "").unwrap();
    failed(&["oom", "explain", &path("empty")], 1, "the log is empty");
    fs::write(path("other"), "[    1.000000] usb 1-1: new device\n").unwrap();
    failed(&["oom", "explain", &path("other")], 3, "no OOM kill in 1 lines");
    let noise: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(path("binary"), noise).unwrap();
    failed(&["oom", "explain", &path("binary")], 3, "no OOM kill");
    fs::write(path("cut.gz"), b"\x1f\x8b\x08\x00").unwrap();
    failed(&["oom", "explain", &path("cut.gz")], 1, "cannot be read after line 0");
    failed(&["oom", "list", "--kmsg", "x"], 2, "cannot be used with");
}

#[test]
fn one_log_that_fails_keeps_no_other_from_being_read() {
    let ran = run(&["oom", "list", "/no/such/log", &log(GLOBAL)]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 1));
    assert!(ran.stderr.contains("/no/such/log: No such file"), "{}", ran.stderr);
}

#[test]
fn a_recording_tells_what_led_up_to_its_kill() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/memcg-oom");
    let listed = run(&["oom", "list", recording]);
    assert_eq!(
        (listed.code, listed.stdout.as_str()),
        (Some(0), "[ 6604.847145]  process-4 (pid 5540)  ?  cgroup /cgroup-1\n")
    );
    // A single segment is a recording as well, and so is one in a folder of logs.
    let segment = format!("{recording}/segment-000001.obsrec");
    assert_eq!(run(&["oom", "list", &segment]).stdout, listed.stdout);
    let folder = tempfile::tempdir().unwrap();
    fs::copy(&segment, folder.path().join("old.obsrec")).unwrap();
    fs::copy(log(GLOBAL), folder.path().join("kern.log")).unwrap();
    assert_eq!(run(&["oom", "list", folder.path().to_str().unwrap()]).stdout.lines().count(), 2);
    let text = run(&["oom", "explain", recording]).stdout;
    insta::assert_snapshot!("explained_recording", text);
    let json = run(&["oom", "explain", "--json", recording]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["explanation"]["limit"]["memory"]["cgroup"]["path"], "/cgroup-1");
    assert_eq!(json["explanation"]["led_up"]["snapshots"], 1);
    assert!(json["explanation"]["led_up"]["sentences"].as_array().unwrap().len() >= 5, "{json}");
    let none = run(&["oom", "list", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/quiet")]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(3), ""));
    assert!(none.stderr.contains("no OOM kill in") && none.stderr.contains("snapshots"), "{}", none.stderr);
}

#[test]
fn a_damaged_recording_is_told_and_the_rest_read() {
    let segment = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/memcg-oom/segment-000001.obsrec");
    let mut bytes = fs::read(segment).unwrap();
    let at = bytes.len() / 8;
    bytes[at..at + 16].fill(0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segment-000001.obsrec");
    fs::write(&path, bytes).unwrap();
    let ran = run(&["oom", "list", path.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("process-4 (pid 5540)") && ran.stderr.contains("segment-000001"), "{ran:?}");
}
