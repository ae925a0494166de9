//! Things for the kernel to count: memory in a cgroup of our own, connections on loopback, processes with bad names.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use crate::target::wait_for;

/// A process that has touched memory and lives until this is dropped.
pub(crate) struct Holder {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Holder {
    /// A process whose name the kernel takes from these bytes (at most 15, none of them `/` or NUL).
    pub(crate) fn named(name: &[u8], mebibytes: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(OsStr::from_bytes(name));
        fs::copy(in_path("dd"), &program).unwrap();
        // It fills its buffer, then waits for somebody to read what it writes, and nobody does.
        let child = Command::new(program)
            .args(["if=/dev/zero", &format!("bs={mebibytes}M"), "count=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let holder = Self { child, _folder: folder };
        wait_for("the process to hold its memory", || (holder.resident() >= u64::from(mebibytes) << 20).then_some(()));
        holder
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn resident(&self) -> u64 {
        // Bytes: the name of the process is in it, and need not be text.
        let status = fs::read(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let status = String::from_utf8_lossy(&status);
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn in_path(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|p| p.exists()).unwrap()
}

/// A memory cgroup with a limit, removed when this is dropped.
pub(crate) struct Cgroup {
    folder: PathBuf,
    /// Its path in the hierarchy, as metrics name it.
    pub(crate) path: String,
}

impl Cgroup {
    /// Makes it; `Err` says why this host does not let us.
    pub(crate) fn new(name: &str, limit: u64) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/mounts").map_err(|e| e.to_string())?;
        let mount = |kind: &str, option: &str| {
            let fields = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>());
            let mut found = fields.filter(|f| {
                f.get(2) == Some(&kind)
                    && f.get(3).is_some_and(|o| o.split(',').any(|o| option.is_empty() || o == option))
            });
            found.next().and_then(|f| f.get(1).map(PathBuf::from))
        };
        let (root, file) = match (mount("cgroup", "memory"), mount("cgroup2", "")) {
            (Some(v1), _) => (v1, "memory.limit_in_bytes"),
            (None, Some(v2)) => (v2, "memory.max"),
            (None, None) => return Err("no cgroup hierarchy is mounted".into()),
        };
        let name = format!("observer-test-{name}-{}", std::process::id());
        let cgroup = Self { folder: root.join(&name), path: format!("/{name}") };
        fs::create_dir(&cgroup.folder).map_err(|e| format!("making {}: {e}", cgroup.folder.display()))?;
        let write = |file: &str, value: &str| {
            fs::write(cgroup.folder.join(file), value).map_err(|e| format!("{file} of {}: {e}", cgroup.path))
        };
        write(file, &limit.to_string())?;
        // Without this an OOM kill would first fill the swap. Not every kernel has the file.
        let _ = write("memory.swappiness", "0").or_else(|_| write("memory.swap.max", "0"));
        Ok(cgroup)
    }

    /// Runs a program in it, to its end.
    pub(crate) fn run(&self, program: &str, arguments: &[&OsStr]) {
        let procs = self.folder.join("cgroup.procs");
        let status = Command::new("sh")
            .arg("-c")
            .arg("echo $$ > \"$0\" && exec \"$@\"")
            .arg(procs)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.unwrap();
    }

    /// Writes a file larger than the limit: its page cache makes the writer reclaim.
    pub(crate) fn reclaim(&self, limit: u64) {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = argument("of=", &folder.path().join("cache"));
        let count = OsString::from(format!("count={}", (3 * limit) >> 20));
        self.run("dd", &[OsStr::new("if=/dev/zero"), &file, OsStr::new("bs=1M"), &count]);
    }

    /// Asks for more than the limit at once: the OOM killer ends it.
    pub(crate) fn oom(&self, limit: u64) {
        let size = OsString::from(format!("bs={}M", (2 * limit) >> 20));
        self.run("dd", &[OsStr::new("if=/dev/zero"), OsStr::new("of=/dev/null"), &size, OsStr::new("count=1")]);
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that was killed leaves its cgroup a moment after it was reaped.
        wait_for("the cgroup to be empty", || {
            fs::remove_dir(&self.folder).ok().or_else(|| (!self.folder.exists()).then_some(()))
        });
    }
}

fn argument(name: &str, path: &Path) -> OsString {
    OsString::from_vec([name.as_bytes(), path.as_os_str().as_bytes()].concat())
}

/// Opens, uses and closes connections on loopback; the port of the service.
pub(crate) fn connections(n: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for _ in 0..n {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            stream.read_to_end(&mut asked).unwrap();
            stream.write_all(&asked).unwrap();
        }
    });
    for _ in 0..n {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&[1; 1000]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.len(), 1000);
    }
    server.join().unwrap();
    address.port()
}
