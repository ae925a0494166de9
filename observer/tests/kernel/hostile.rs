//! Names that are made to break a screen, a JSON document or a metric line, from the kernel to the output.

use std::process::{Command, Stdio};

use observer::{
    snapshot::Snapshot,
    source::{Collector, Options},
};

use crate::{
    lifecycle::binary,
    support::{
        cgroup::Cgroup, child::HOSTILE, needs_root, observer::page_alloc, seen, wait::wait_for, workload::Workload,
    },
};

/// The kernel takes everything but a new line in the name of a cgroup.
const CGROUP: &[u8] = b"\x1b[2J\"'\\{}\x07\xff";
const LIMIT: u64 = 16 << 20;

#[test]
fn hostile_names_are_kept_whole_and_shown_harmless() {
    needs_root!("hostile_names_are_kept_whole_and_shown_harmless");
    let cgroup = Cgroup::with_bytes(CGROUP);
    cgroup.limit(LIMIT);
    let mut collector = Collector::new(Options::default());
    let mut work = Workload::start(&format!("hostile {}", 4 * LIMIT), Some(&cgroup));
    let (pid, id) = (work.pid(), cgroup.id());
    // A process that changes its name is seen under the old one until the next reading.
    collector.snapshot();
    assert_eq!(work.step(), "done");
    let snapshot = collector.snapshot();
    let row = page_alloc(&snapshot).processes.iter().find(|p| p.pid == pid && p.cgroup == Some(id)).unwrap();
    seen!("{} in {}", row.comm, snapshot.cgroups.as_ref().unwrap().by_id(id).unwrap().path);
    assert_eq!(row.comm.to_bytes(), HOSTILE);
    assert_path(&snapshot, &cgroup);
    for args in [
        &["report", "--for", "300ms"][..],
        &["report", "memory", "--for", "300ms"],
        &["report", "--json", "--for", "300ms"],
    ] {
        assert_harmless(args);
    }

    work.go();
    assert_eq!(work.killed_by(), Some(libc::SIGKILL));
    let kill = wait_for("the kill to be seen", || {
        let oom = collector.snapshot().oom?;
        oom.recent.into_iter().find(|k| k.victim.cgroup == Some(id))
    });
    assert_eq!(kill.victim.comm.unwrap().to_bytes(), HOSTILE);
    let path = kill.victim.cgroup_path.unwrap().to_bytes();
    assert!(path.windows(CGROUP.len()).any(|w| w == CGROUP));
}

fn assert_path(snapshot: &Snapshot, cgroup: &Cgroup) {
    let path = &snapshot.cgroups.as_ref().expect("cgroups are read").by_id(cgroup.id()).expect("ours").path;
    assert_eq!(path.to_bytes().strip_prefix(b"/"), cgroup.path().file_name().map(std::ffi::OsStr::as_encoded_bytes));
}

/// Runs observer, and asserts that nothing in its output moves a cursor or is no text.
fn assert_harmless(args: &[&str]) {
    let output = Command::new(binary()).args(args).stdin(Stdio::null()).output().expect("observer starts");
    assert!(output.status.success(), "{args:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{args:?}: {text:?}");
    if args.contains(&"--json") {
        let document: serde_json::Value = serde_json::from_str(&text).expect("one JSON document");
        assert!(document.is_object());
        assert!(text.contains(r"\\x1b[2J"), "the cgroup is in it, escaped");
    }
}
