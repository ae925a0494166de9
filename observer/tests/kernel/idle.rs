//! Requests for pages that interrupts make on idle CPUs. Each CPU has an idle task of its own, begun when the CPU came up,
//! and all of them are process 0: one row, which never ends.

use std::{fs, io, path::Path};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, CpuSet, sched_setaffinity, unshare},
    unistd::Pid,
};
use observer::{snapshot::Snapshot, source::kernel::Kernel};

use crate::support::{
    needs_root,
    netns::Netns,
    observer::{load, page_alloc, read},
    seen,
};

/// Packets that are sent to a CPU before it is the other's turn.
const PACKETS: usize = 400;
/// Turns at most: a busy host has few idle moments.
const TURNS: usize = 40;
/// Requests of idle tasks that are enough to look at.
const ENOUGH: u64 = 20;
/// Bytes of a packet: the answer takes pages.
const LENGTH: usize = 60_000;

/// Requests of process 0 by cgroup, and the number of its rows.
fn idle(snapshot: &Snapshot) -> (u64, usize, usize) {
    let rows: Vec<_> = page_alloc(snapshot).processes.iter().filter(|p| p.pid == 0).collect();
    let mut cgroups: Vec<_> = rows.iter().map(|p| p.cgroup).collect();
    cgroups.sort_unstable();
    cgroups.dedup();
    (rows.iter().map(|p| p.counts.allocations()).sum(), rows.len(), cgroups.len())
}

/// A raw ICMP socket to the loopback device, which waits for a second at most.
struct Echo(i32);

impl Echo {
    fn new() -> Self {
        // SAFETY: socket has no preconditions.
        let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_ICMP) };
        assert!(socket >= 0, "socket: {}", io::Error::last_os_error());
        let wait = libc::timeval { tv_sec: 1, tv_usec: 0 };
        let length = size_of::<libc::timeval>() as libc::socklen_t;
        // SAFETY: the value lives through the call and has the length that is given.
        let set =
            unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const wait).cast(), length) };
        assert_eq!(set, 0, "setsockopt: {}", io::Error::last_os_error());
        Self(socket)
    }

    /// Sends a request and waits for the answer.
    fn ask(&self, packet: &[u8], room: &mut [u8]) {
        // SAFETY: zeros are a valid address.
        let mut to: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        to.sin_family = libc::AF_INET as libc::sa_family_t;
        to.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        // SAFETY: packet and address live through the call.
        let sent =
            unsafe { libc::sendto(self.0, packet.as_ptr().cast(), packet.len(), 0, (&raw const to).cast(), length) };
        assert!(sent > 0, "sendto: {}", io::Error::last_os_error());
        // The socket hears its own request, too: the second packet is the answer.
        for _ in 0..2 {
            // SAFETY: the room lives through the call.
            unsafe { libc::recv(self.0, room.as_mut_ptr().cast(), room.len(), 0) };
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this one's own.
        unsafe { libc::close(self.0) };
    }
}

/// An echo request: type 8, and the checksum of what else is zero.
fn request() -> Vec<u8> {
    let mut packet = vec![0; LENGTH];
    packet[0] = 8;
    packet[2..4].copy_from_slice(&(!0x0800u16).to_be_bytes());
    packet
}

/// Has packets of the loopback device of this namespace handled by one CPU, while this thread runs on the other.
fn steer(sysfs: &Path, to: usize, from: usize) -> io::Result<()> {
    fs::write(sysfs.join("class/net/lo/queues/rx-0/rps_cpus"), format!("{:x}", 1 << to))?;
    let mut own = CpuSet::new();
    own.set(from)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &own)?)
}

/// Sends to the first two CPUs in turn while they have nothing else to do, and looks after each turn. What is asked for
/// meanwhile is asked for by the idle task. Ends early if this kernel does not hand packets over.
fn interrupt_idle_cpus(kernel: &mut Kernel) -> Vec<(u64, usize, usize)> {
    let netns = Netns::new();
    let folder = tempfile::tempdir().expect("a folder");
    netns.inside(|| {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).expect("private");
        mount(Some("sysfs"), folder.path(), Some("sysfs"), MsFlags::empty(), None::<&str>).expect("sysfs");
        let (echo, packet, mut room, mut told) = (Echo::new(), request(), vec![0; 1 << 17], Vec::new());
        for turn in 0..TURNS {
            if let Err(e) = steer(folder.path(), turn % 2, (turn + 1) % 2) {
                seen!("packets are not handed over: {e}");
                break;
            }
            (0..PACKETS).for_each(|_| echo.ask(&packet, &mut room));
            told.push(idle(&read(kernel)));
            if told.last().is_some_and(|(requests, ..)| *requests >= ENOUGH) && turn > 3 {
                break;
            }
        }
        told
    })
}

#[test]
fn the_idle_tasks_of_all_cpus_are_one_process_that_never_ends() {
    needs_root!("the_idle_tasks_of_all_cpus_are_one_process_that_never_ends");
    let mut kernel = load();
    let told = interrupt_idle_cpus(&mut kernel);
    seen!("requests, rows and cgroups of process 0: {told:?}");
    if told.iter().all(|(requests, ..)| *requests == 0) {
        println!(
            "SKIPPED the_idle_tasks_of_all_cpus_are_one_process_that_never_ends: no interrupt of an idle CPU took a page"
        );
        return;
    }
    assert!(told.is_sorted_by_key(|(requests, ..)| *requests), "a task that never ends is never forgotten");
    assert!(told.iter().all(|(_, rows, cgroups)| rows == cgroups), "one row a cgroup");
}
