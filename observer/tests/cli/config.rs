//! `observer config` and `--config`: the thresholds that findings and verdicts rest on.

use std::{fs, path::Path};

use crate::run::run;

/// A recording with a connection that sends a few of its segments again.
const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/tcp-retransmits");

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("thresholds.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_defaults_are_printed_as_a_file_that_may_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let empty = file(folder.path(), "");
    let printed = run(&["config", "--config", &empty]);
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    assert!(printed.stdout.contains("\n[flow]\n") && printed.stdout.contains("\nidle_share = 0.3\n"), "{printed:?}");
    let changed = printed.stdout.replace("\nidle_share = 0.3\n", "\nidle_share = 0.45\n");
    let again = run(&["config", "--config", &file(folder.path(), &changed)]);
    let rules = |text: &str| text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rules(&again.stdout), rules(&changed));
}

#[test]
fn a_wrong_file_ends_every_command_that_needs_it_with_its_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = file(folder.path(), "[flow]\n\nidel_share = 0.5\n");
    let commands: [&[&str]; 4] = [&["config"], &["report", "--replay", RECORDING], &["report"], &["serve"]];
    for command in commands {
        let ended = run(&[command, &["--config", &wrong]].concat());
        assert_eq!(ended.code, Some(1), "{command:?}: {ended:?}");
        assert!(ended.stderr.contains("thresholds.toml:3: flow.idel_share: there is no such"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "", "{command:?}");
    }
    let missing = run(&["report", "--config", "/no/such/file"]);
    assert!(missing.code == Some(1) && missing.stderr.contains("/no/such/file"), "{missing:?}");
}

#[test]
fn a_report_rests_on_the_file_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let strict = file(folder.path(), "[flow]\nleast_seconds = 60\n");
    let report = |config: &[&str]| run(&[&["report", "tcp", "--json", "--replay", RECORDING], config].concat()).stdout;
    let changed = report(&["--config", &strict]);
    let document: serde_json::Value = serde_json::from_str(&changed).unwrap();
    assert_eq!(document["configured"]["changed"][0]["name"], "flow.least_seconds");
    assert!(!report(&[]).contains("configured"), "no file, nothing said");
    let text = run(&["report", "tcp", "--replay", RECORDING, "--config", &strict]).stdout;
    let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("thresholds from ") && said.contains("flow.least_seconds 60 (default 1)"), "{text}");
}
