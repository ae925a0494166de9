//! What led up to a kill: recorded by observer while a cgroup fills, and told by `observer oom explain` afterwards.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use observer::source::oom_record;
use serde_json::Value;

use crate::{
    lifecycle::binary,
    support::{cgroup::Cgroup, needs_root, seen, wait::wait_for, workload::Workload},
};

const LIMIT: u64 = 64 << 20;

/// Bytes of a recording.
fn size(path: &Path) -> u64 {
    let files = fs::read_dir(path).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}

/// Waits until a recording has that many snapshots more. It is not read: it grows faster than that.
fn recorded(path: &Path, more: usize) {
    for _ in 0..more {
        let before = size(path);
        wait_for("another snapshot", || (size(path) > before).then_some(()));
    }
}

/// observer, which ends with the test also where that fails.
struct Recorder(Child);

impl Recorder {
    fn end(mut self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT).expect("it is our child");
        assert!(self.0.wait().expect("it is our child").success());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `oom explain --json` says of the kill of a process.
fn explained(path: &Path, pid: u32) -> Value {
    let output = Command::new(binary()).args(["oom", "explain", "--json"]).arg(path).output().expect("observer starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let ours = all.into_iter().find(|kill| kill["explanation"]["victim"]["pid"] == pid);
    ours.unwrap_or_else(|| panic!("{}: no kill of {pid}: {text} {:?}", path.display(), output.stderr))
}

#[test]
fn a_recording_tells_what_led_up_to_a_kill() {
    needs_root!("a_recording_tells_what_led_up_to_a_kill");
    let folder = tempfile::tempdir().expect("a folder");
    let (recording, stored) = (folder.path().join("recording"), folder.path().join("kills"));
    let cgroup = Cgroup::limited("led-up", LIMIT);
    let mut command = Command::new(binary());
    command
        .args(["record", "--interval", "200ms", "--for", "10m", "--out"])
        .arg(&recording)
        .arg("--oom-dir")
        .arg(&stored);
    let observer = Recorder(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("observer starts"));
    recorded(&recording, 3);

    // Half of the limit, seen more than once; then all of it and more.
    let mut first = Workload::start(&format!("hold {} obs-first", LIMIT / 2), Some(&cgroup));
    assert_eq!(first.step(), "done");
    recorded(&recording, 4);
    let mut glutton = Workload::start(&format!("hold {} obs-glutton 500", 2 * LIMIT), Some(&cgroup));
    let pid = glutton.pid();
    glutton.go();
    assert_eq!(glutton.killed_by(), Some(libc::SIGKILL));
    let kept = wait_for("the stored kill", || {
        let files = fs::read_dir(&stored).ok()?.flatten().map(|e| e.path());
        files.into_iter().find(|p| p.to_string_lossy().ends_with(&format!("-{pid}.oom.obsrec")))
    });
    // It is stored at once, and again when the kernel's log has told the rest.
    wait_for("the stored kill with its report", || oom_record::read(&kept).is_ok_and(|s| s.complete).then_some(()));
    recorded(&recording, 4);
    first.finish();
    observer.end();

    for path in [&recording, &kept] {
        let kill = explained(path, pid);
        let explanation = &kill["explanation"];
        let said: Vec<&str> = explanation["led_up"]["sentences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|s| s["text"].as_str())
            .collect();
        seen!("{}: {said:#?}", path.display());
        assert_eq!(explanation["limit"]["memory"]["cgroup"]["path"], cgroup.name(), "{explanation:#}");
        let covered = explanation["led_up"]["snapshots"].as_u64().unwrap_or(0);
        assert!(covered >= 1, "{explanation:#}");
        let told = |words: &[&str]| said.iter().any(|s| words.iter().all(|w| s.contains(w)));
        assert!(told(&[&format!("Cgroup {}", cgroup.name()), "of its limit of 64 MiB"]), "{said:#?}");
        assert!(told(&["The last reclaim of obs-glutton", "at a cgroup's limit"]), "{said:#?}");
        // The flight recorder keeps a snapshot every few seconds, and may have none of the time when the cgroup filled.
        assert!(path == &kept || told(&["was handed out most pages"]), "{said:#?}");
    }
}
