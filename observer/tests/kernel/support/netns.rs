//! A private network namespace with nothing but a loopback device.

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt, path::PathBuf};

use nix::sched::{CloneFlags, setns};

use super::workload::Workload;

/// A network namespace, kept by a process of its own, so that it is found where others are: under /proc.
#[derive(Debug)]
pub(crate) struct Netns {
    holder: Workload,
}

impl Netns {
    /// Makes one.
    pub(crate) fn new() -> Self {
        Self { holder: Workload::start("netns", None) }
    }

    /// Inode that names it.
    pub(crate) fn inode(&self) -> u64 {
        fs::metadata(self.path()).expect("the holder lives").ino()
    }

    /// The process that keeps it: `ip link … netns PID` takes it.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.pid()
    }

    /// The process that keeps it.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.pid()
    }

    /// Runs `work` inside: sockets that it makes belong to the namespace.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let namespace = fs::File::open(self.path()).expect("the holder lives");
                setns(namespace, CloneFlags::CLONE_NEWNET).expect("setns");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The kernel's counters of the namespace. Source: line `Tcp` of its /proc/net/snmp.
    pub(crate) fn snmp(&self) -> HashMap<String, u64> {
        let text = fs::read_to_string(format!("/proc/{}/net/snmp", self.holder.pid())).expect("the holder lives");
        let mut lines = text.lines().filter_map(|l| l.strip_prefix("Tcp: "));
        let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
        let pairs = names.split(' ').map(str::to_owned).zip(values.split(' '));
        // MaxConn is -1.
        pairs.filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()
    }

    /// A file below /proc/PID of the namespace; empty if it is not there.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.holder.pid())).unwrap_or_default()
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.holder.pid()))
    }
}

/// A table of the present namespace's /proc/net/snmp, snmp6 or netstat by its first word: `Tcp`, `Udp6`, `TcpExt`.
pub(crate) fn counters(table: &str) -> HashMap<String, u64> {
    let read = |file: &str| fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
    if table.ends_with('6') {
        // One number a line, the table as the begin of its name.
        let text = read("snmp6");
        let pair = |line: &str| {
            let (name, value) = line.split_once(char::is_whitespace)?;
            Some((name.strip_prefix(table)?.to_owned(), value.trim().parse().ok()?))
        };
        return text.lines().filter_map(pair).collect();
    }
    let text = read("snmp") + &read("netstat");
    let mut lines = text.lines().filter_map(|l| l.strip_prefix(table)?.strip_prefix(": "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let pairs = names.split(' ').map(str::to_owned).zip(values.split(' '));
    pairs.filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()
}

/// Moves this process into a new namespace and switches its loopback device on.
pub(crate) fn enter_new() {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).expect("unshare");
    // SAFETY: socket has no preconditions.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    assert!(socket >= 0, "socket: {}", std::io::Error::last_os_error());
    // SAFETY: zeros are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request lives through the call.
    let done = unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request) };
    assert_eq!(done, 0, "loopback up: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor was made above.
    unsafe { libc::close(socket) };
}
