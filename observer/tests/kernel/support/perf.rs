//! The kernel's own count of a tracepoint: perf events, as `perf stat -e` opens them.

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
const PERF_EVENT_IOC_SET_FILTER: libc::c_ulong = 0x4008_2406;
/// Bit of the attribute's flags: children that are forked later count as well.
const INHERIT: u64 = 1 << 1;

/// `struct perf_event_attr` of linux/perf_event.h, its first form (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

/// A running count of one tracepoint since it was opened.
#[derive(Debug)]
pub(crate) struct Counter {
    fds: Vec<OwnedFd>,
}

/// Whose events are counted.
#[derive(Debug, Clone, Copy)]
enum Scope {
    /// Everything that happens on one CPU.
    Cpu(i32),
    /// What happens while one thread, or a child that it forks later, is current.
    Thread(i32),
}

impl Counter {
    /// Counts on every CPU. `filter` is an expression over the tracepoint's fields, such as `order == 0`.
    pub(crate) fn everywhere(tracepoint: &str, filter: Option<&str>) -> Self {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").expect("the kernel lists its CPUs");
        let fds = cpus(online.trim()).map(|cpu| open(tracepoint, filter, Scope::Cpu(cpu))).collect();
        Self { fds }
    }

    /// Counts what a process of one thread and the children that it forks from now on do.
    pub(crate) fn of_process(pid: u32, tracepoint: &str, filter: Option<&str>) -> Self {
        let pid = i32::try_from(pid).expect("a pid");
        Self { fds: vec![open(tracepoint, filter, Scope::Thread(pid))] }
    }

    /// Events since it was opened.
    pub(crate) fn read(&self) -> u64 {
        self.fds.iter().map(read).sum()
    }
}

/// Expands `0-3,5`.
fn cpus(list: &str) -> impl Iterator<Item = i32> {
    list.split(',').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<i32>().expect("a CPU")..=last.parse().expect("a CPU")
    })
}

/// Number of a tracepoint `system:name`.
fn id(tracepoint: &str) -> u64 {
    let (system, name) = tracepoint.split_once(':').expect("system:name");
    let roots = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let text = roots.iter().find_map(|root| fs::read_to_string(format!("{root}/events/{system}/{name}/id")).ok());
    text.unwrap_or_else(|| panic!("tracefs shows no {tracepoint}")).trim().parse().expect("a number")
}

fn open(tracepoint: &str, filter: Option<&str>, scope: Scope) -> OwnedFd {
    let (pid, cpu, flags) = match scope {
        Scope::Cpu(cpu) => (-1, cpu, 0),
        Scope::Thread(pid) => (pid, -1, INHERIT),
    };
    let size = u32::try_from(size_of::<Attr>()).expect("small");
    let attr = Attr { kind: PERF_TYPE_TRACEPOINT, size, config: id(tracepoint), flags, ..Attr::default() };
    // SAFETY: the attribute is as long as it says and lives through the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC) as libc::c_int
    };
    assert!(fd >= 0, "perf_event_open({tracepoint}, {scope:?}): {}", io::Error::last_os_error());
    // SAFETY: the kernel has just given this descriptor, and nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if let Some(filter) = filter {
        let text = CString::new(filter).expect("no NUL");
        // SAFETY: the descriptor is a perf event, the string ends with NUL and lives through the call.
        let done = unsafe { libc::ioctl(fd.as_raw_fd(), PERF_EVENT_IOC_SET_FILTER as _, text.as_ptr()) };
        assert_eq!(done, 0, "filter {filter:?}: {}", io::Error::last_os_error());
    }
    fd
}

fn read(fd: &OwnedFd) -> u64 {
    let mut value = [0; 8];
    assert_eq!(nix::unistd::read(fd, &mut value), Ok(8), "a perf event gives one number");
    u64::from_ne_bytes(value)
}
