//! A private memory cgroup, on version 1 and version 2.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use observer::snapshot::CgroupId;

use super::wait::wait_for;

/// A memory cgroup that only one test uses. Dropping it kills what is left in it and removes it.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    v2: bool,
}

/// Folder of the hierarchy that carries the memory controller, and whether it is version 2.
fn hierarchy() -> (PathBuf, bool) {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("cannot read /proc/self/mounts");
    let mut v2 = None;
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (_, Some(at), Some(kind), Some(flags)) = (words.next(), words.next(), words.next(), words.next()) else {
            continue;
        };
        if kind == "cgroup" && flags.split(',').any(|f| f == "memory") {
            return (PathBuf::from(at), false);
        }
        if kind == "cgroup2" {
            v2 = Some(PathBuf::from(at));
        }
    }
    (v2.expect("no cgroup hierarchy with the memory controller is mounted"), true)
}

/// True if the memory controller is on version 2.
pub(crate) fn is_v2() -> bool {
    hierarchy().1
}

impl Cgroup {
    /// Makes `observer-test-<name>-...` below the root of the hierarchy.
    pub(crate) fn new(name: &str) -> Self {
        Self::with_bytes(name.as_bytes())
    }

    /// Makes one whose name holds any bytes that the kernel takes.
    pub(crate) fn with_bytes(name: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (root, v2) = hierarchy();
        if v2 {
            // Already on where something manages cgroups; on a bare host nobody has done it.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let end = format!("-{}-{number}", std::process::id());
        let path = root.join(OsString::from_vec([b"observer-test-", name, end.as_bytes()].concat()));
        fs::create_dir(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        Self { path, v2 }
    }

    /// Makes one with a hard limit in bytes.
    pub(crate) fn limited(name: &str, bytes: u64) -> Self {
        let cgroup = Self::new(name);
        cgroup.limit(bytes);
        cgroup
    }

    /// Sets the hard limit in bytes.
    pub(crate) fn limit(&self, bytes: u64) {
        self.write(if self.v2 { "memory.max" } else { "memory.limit_in_bytes" }, &bytes.to_string());
        // Without swap the limit is what it says. The files are absent where the kernel has no swap accounting.
        let swap = if self.v2 { ("memory.swap.max", 0) } else { ("memory.memsw.limit_in_bytes", bytes) };
        let _ = fs::write(self.path.join(swap.0), swap.1.to_string());
    }

    /// Makes a cgroup below this one, without a limit of its own.
    pub(crate) fn child(&self, name: &str) -> Self {
        if self.v2 {
            self.write("cgroup.subtree_control", "+memory");
        }
        let path = self.path.join(name);
        fs::create_dir(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        Self { path, v2: self.v2 }
    }

    /// Sets the limit in bytes above which its tasks are made to wait. Only version 2 has one.
    pub(crate) fn throttle(&self, bytes: u64) {
        self.write("memory.high", &bytes.to_string());
    }

    /// Sets the hard limit in bytes, and leaves swap without one.
    pub(crate) fn limit_with_swap(&self, bytes: u64) {
        self.write(if self.v2 { "memory.max" } else { "memory.limit_in_bytes" }, &bytes.to_string());
    }

    /// True on version 2.
    pub(crate) fn is_v2(&self) -> bool {
        self.v2
    }

    /// What one of its files says, by the hierarchy's version.
    pub(crate) fn file(&self, v1: &str, v2: &str) -> String {
        let path = self.path.join(if self.v2 { v2 } else { v1 });
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
    }

    /// The id that the kernel gives it: the inode of its folder.
    pub(crate) fn id(&self) -> CgroupId {
        CgroupId(fs::metadata(&self.path).expect("the cgroup is there").ino())
    }

    /// Path from the root of the hierarchy.
    pub(crate) fn name(&self) -> String {
        let path = self.path.strip_prefix(&hierarchy().0).expect("it lies below the root");
        format!("/{}", path.to_string_lossy())
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file to write a process id into.
    pub(crate) fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Turns its OOM killer off, where that can be done: on version 1.
    pub(crate) fn no_oom_killer(&self) {
        if !self.v2 {
            self.write("memory.oom_control", "1");
        }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {text} to {}: {e}", path.display()));
    }

    /// Kills that the cgroup itself counts, those of its children included. Source: `memory.oom_control` (v1), `memory.events` (v2).
    pub(crate) fn oom_kills(&self) -> u64 {
        let file = if self.v2 { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.path.join(file)).expect("the cgroup is there");
        let line = text.lines().find_map(|l| l.strip_prefix("oom_kill "));
        line.expect("the file has a line oom_kill").trim().parse().expect("a number")
    }

    fn members(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.procs()).unwrap_or_default();
        text.lines().filter_map(|l| l.parse().ok()).collect()
    }

    fn remove(&self) -> io::Result<()> {
        for pid in self.members() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        fs::remove_dir(&self.path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Tried for a moment only: a second panic would hide the first one.
            for _ in 0..100 {
                if self.remove().is_ok() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            return;
        }
        wait_for("the cgroup to be removed", || match self.remove() {
            Ok(()) => Some(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Some(()),
            Err(_) => None,
        });
    }
}
