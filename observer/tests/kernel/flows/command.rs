//! What the command says of a connection, as a user asks for it.

use std::process::Stdio;

use serde_json::Value;

use super::{Running, beds::FULL_PATH};
use crate::{
    lifecycle::binary,
    support::{needs_root, seen, skipped},
};

/// A report rests on more than its two ends: at one of them anything may be waiting.
#[test]
fn a_report_looks_at_each_connection_many_times() {
    const TEST: &str = "a_report_looks_at_each_connection_many_times";
    needs_root!(TEST);
    if std::env::var_os("OBSERVER_TEST_WHOLE_MACHINE").is_some() {
        return skipped(TEST, "an emulated machine has no time for more than two looks in four seconds");
    }
    let running = match Running::start(&FULL_PATH) {
        Ok(running) => running,
        Err(reason) => return skipped(TEST, &reason),
    };
    let netns = running.wire.near.inode();
    let said = || {
        let mut command = std::process::Command::new(binary());
        let output = command.args(["report", "tcp", "--json", "--for", "4s"]).stdin(Stdio::null()).output();
        let output = output.expect("observer runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
        let verdicts = document["flows"].as_array().expect("verdicts").clone();
        verdicts.into_iter().find(|v| v["netns"] == netns && v["limit"] == "path")
    };
    // The connection needs time to fill its path.
    let verdict = (0..5).find_map(|_| said()).expect("the path is the limit");
    let value = |e: &Value| {
        e["value"].as_str().and_then(|text| text.split_once(" of ")?.1.strip_suffix(" readings")?.parse().ok())
    };
    let readings: Option<u32> = verdict["evidence"].as_array().into_iter().flatten().find_map(value);
    seen!("{TEST}: {verdict}");
    // A busy machine takes long for one, and one must not take more than its share of the time.
    assert!(readings > Some(1), "{verdict:#}");
}
