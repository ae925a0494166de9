//! Makes those recordings for `tests/replay.rs` in which no pressure is (`pressure` makes the others), with the real binary on
//! the real kernel.
//!
//! Not run with the other tests: `cargo test --test kernel -- --ignored make_recordings`, and `make_kswapd_recording` in a
//! VM. They write to `OBSERVER_RECORDINGS`, by default the folder of `tests/replay.rs`.

use std::{
    ffi::OsString,
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    kswapd,
    lifecycle::binary,
    support::{
        cgroup::Cgroup,
        file::BigFile,
        needs_root,
        netns::Netns,
        socket::{LOOPBACKS, listen, lose, lose_nothing, max_segment, pair},
        wait::wait_for,
        workload::Workload,
    },
};

const NOBODY: u32 = 65534;

/// Where the recordings go.
fn folder() -> PathBuf {
    let default = || OsString::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings"));
    PathBuf::from(std::env::var_os("OBSERVER_RECORDINGS").unwrap_or_else(default))
}

/// Starts to record: masked, a snapshot each half second, for as long as `time` says.
pub(crate) fn record(name: &str, time: &str, uid: Option<u32>) -> (Child, PathBuf) {
    record_with(name, time, uid, &[])
}

/// The same with more options.
pub(crate) fn record_with(name: &str, time: &str, uid: Option<u32>, more: &[&str]) -> (Child, PathBuf) {
    let out = folder().join(name);
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).expect("a new folder");
    chown(&out, uid, None).expect("chown");
    let mut command = Command::new(binary());
    command
        .args(["record", "--mask", "--interval", "500ms", "--for", time, "--out"])
        .arg(&out)
        .args(more)
        .stdin(Stdio::null());
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let child = command.spawn().expect("observer starts");
    // The load begins when there is something to compare it with.
    wait_for("the first snapshot", || has_snapshot(&out).then_some(()));
    (child, out)
}

fn has_snapshot(out: &Path) -> bool {
    let segments = fs::read_dir(out).into_iter().flatten().flatten();
    segments.filter_map(|s| s.metadata().ok()).any(|m| m.len() > 1000)
}

/// Waits for the end of a recording.
pub(crate) fn finish((mut child, out): (Child, PathBuf)) {
    assert!(child.wait().expect("our child").success(), "{}", out.display());
    for path in fs::read_dir(&out).expect("the recording").map(|e| e.expect("a file").path()).chain([out]) {
        chown(path, Some(0), Some(0)).expect("chown");
    }
}

#[test]
#[ignore = "writes into the source tree"]
fn make_recordings() {
    needs_root!("make_recordings");
    finish(record("quiet", "2s", None));
    finish(record("degraded", "1s", Some(NOBODY)));
    page_alloc();
    memcg_reclaim();
    memcg_oom();
    tcp_retransmits();
}

#[test]
#[ignore = "writes into the source tree, and fills the page cache: for a small machine"]
fn make_kswapd_recording() {
    needs_root!("make_kswapd_recording");
    assert!(kswapd::total_memory() <= kswapd::SMALL, "it fills the page cache: run it in a VM");
    let file = BigFile::new(kswapd::total_memory() * 8);
    let readers = [(); 3].map(|()| Workload::start(&format!("read {} 100", file.path().display()), None));
    let readers = readers.map(|mut r| {
        r.go();
        r
    });
    wait_for("the page cache to fill", || (kswapd::meminfo("MemFree:") < kswapd::total_memory() / 10).then_some(()));
    finish(record("kswapd", "6s", None));
    drop(readers);
}

fn page_alloc() {
    let cgroup = Cgroup::new("pages");
    let mut work = Workload::start("churn 100000 500", Some(&cgroup));
    let mut steady = Workload::start("fault 100000000", Some(&cgroup));
    let recording = record("page-alloc", "3s", None);
    work.go();
    steady.go();
    finish(recording);
}

fn memcg_reclaim() {
    let cgroup = Cgroup::limited("reclaim", 32 << 20);
    let file = BigFile::new(1 << 30);
    let readers = [(); 4].map(|()| Workload::start(&format!("read {} 1000", file.path().display()), Some(&cgroup)));
    let recording = record("memcg-reclaim", "4s", None);
    let readers = readers.map(|mut r| {
        r.go();
        r
    });
    finish(recording);
    drop(readers);
}

fn memcg_oom() {
    let cgroup = Cgroup::limited("oom", 64 << 20);
    let mut victim = Workload::start(&format!("hold {} db-server 1000", 40 << 20), Some(&cgroup));
    let mut trigger = Workload::start(&format!("hold {} batch-job", 40 << 20), Some(&cgroup));
    assert_eq!(victim.step(), "done");
    let recording = record("memcg-oom", "2s", None);
    assert_eq!(trigger.step(), "done");
    finish(recording);
}

fn tcp_retransmits() {
    let netns = Netns::new();
    // A process that is started inside stays inside: the kernel's counters that observer reads are those of the load.
    netns.inside(|| {
        let recording = record("tcp-retransmits", "4s", None);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for ip in LOOPBACKS {
                let listener = listen(ip);
                max_segment(&listener, 1400);
                let mut ends = pair(&listener);
                lose(&ends.server, 0.05);
                let done = &done;
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        ends.send(200_000);
                    }
                    lose_nothing(&ends.server);
                });
            }
            finish(recording);
            done.store(true, Ordering::Relaxed);
        });
    });
}
