//! Workloads that take memory of one kind at a steady pace, so that its growth is seen while it lasts.

use std::{ffi::c_int, fs, io, io::Write, mem, os::fd::AsRawFd, ptr, time::Duration};

use super::memory::{Pages, page_size};

const MIB: usize = 1 << 20;
/// Takes of this many in each second.
const TAKES_A_SECOND: usize = 20;

/// Calls `take` for a share of `bytes_a_second` at a time, until `bytes` are taken.
fn steadily(bytes: usize, bytes_a_second: usize, mut take: impl FnMut(usize)) {
    let step = bytes_a_second / TAKES_A_SECOND;
    for _ in 0..bytes.div_ceil(step) {
        take(step);
        std::thread::sleep(Duration::from_secs(1) / TAKES_A_SECOND as u32);
    }
}

/// Fills a file below `folder`.
pub(super) fn fill(folder: &str, bytes: usize, bytes_a_second: usize) {
    let path = format!("{folder}/observer-test-fill-{}", std::process::id());
    let mut file = fs::File::create_new(path).expect("a new file");
    steadily(bytes, bytes_a_second, |step| file.write_all(&vec![1; step]).expect("there is room"));
}

/// Fills a memfd.
pub(super) fn memfd(bytes: usize, bytes_a_second: usize) -> fs::File {
    use std::os::fd::FromRawFd;
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"observer-test".as_ptr(), 0) };
    assert!(fd >= 0, "memfd_create: {}", io::Error::last_os_error());
    // SAFETY: the descriptor is new.
    let mut file = unsafe { fs::File::from_raw_fd(fd) };
    steadily(bytes, bytes_a_second, |step| file.write_all(&vec![1; step]).expect("there is room"));
    file
}

/// Looks up names that are not there, which the kernel remembers, so many at a time.
pub(super) fn names(folder: &str, count: usize) {
    for n in 0..count {
        let _ = fs::metadata(format!("{folder}/observer-test-{}-{n}", std::process::id()));
    }
}

/// Reads a byte of each 2 MiB of a mapping: the page of zeros each time, and a page table of its own.
pub(super) fn tables(bytes: usize, bytes_a_second: usize) {
    const SPAN: usize = 2 * MIB;
    let count = bytes / page_size();
    // SAFETY: a new mapping at an address that the kernel chooses.
    let start = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        libc::mmap(ptr::null_mut(), count * SPAN, libc::PROT_READ, flags, -1, 0)
    };
    assert_ne!(start, libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
    let mut next = 0;
    steadily(bytes, bytes_a_second, |step| {
        for at in (next..count).take(step / page_size()) {
            // SAFETY: the address lies inside the mapping.
            unsafe { start.cast::<u8>().add(at * SPAN).read_volatile() };
            next = at + 1;
        }
    });
}

/// A packet socket with a receive ring of `count` blocks of `block` bytes: pages that no counter of the kernel holds.
pub(super) struct Ring(c_int);

impl Ring {
    pub(super) fn new(block: usize, count: usize) -> io::Result<Self> {
        #[repr(C)]
        struct Request {
            block_size: u32,
            block_count: u32,
            frame_size: u32,
            frame_count: u32,
        }
        // SAFETY: socket has no preconditions.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let ring = Self(fd);
        let (frame, bytes) = (2048, |n: usize| u32::try_from(n).expect("a small ring"));
        let request = Request {
            block_size: bytes(block),
            block_count: bytes(count),
            frame_size: bytes(frame),
            frame_count: bytes(block / frame * count),
        };
        let size = u32::try_from(size_of::<Request>()).expect("a small structure");
        // SAFETY: the option takes this structure.
        let set =
            unsafe { libc::setsockopt(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, (&raw const request).cast(), size) };
        if set == 0 { Ok(ring) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(self.0) };
    }
}

/// Rings of small blocks.
pub(super) fn rings(bytes: usize, bytes_a_second: usize) -> Vec<Ring> {
    const BLOCK: usize = 32 << 10;
    let mut rings = Vec::new();
    steadily(bytes, bytes_a_second, |step| rings.push(Ring::new(BLOCK, step / BLOCK).expect("a ring")));
    rings
}

/// A pipe with room for so many bytes, open until the process ends; none if there is no memory for it.
fn pipe(bytes: c_int) -> io::Result<[c_int; 2]> {
    let mut ends: [c_int; 2] = [-1; 2];
    // SAFETY: the array has room for two descriptors, which are used and closed only here.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK), 0, "pipe2: {}", io::Error::last_os_error());
        if libc::fcntl(ends[1], libc::F_SETPIPE_SZ, bytes) >= bytes {
            return Ok(ends);
        }
        let error = io::Error::last_os_error();
        libc::close(ends[0]);
        libc::close(ends[1]);
        Err(error)
    }
}

/// Puts the beginning of a file into pipes that nobody reads: its pages are clean page cache, and the kernel cannot drop them.
/// The pipes are open until the process ends.
pub(super) fn pin(path: &str, bytes: usize) {
    let file = fs::File::open(path).expect("the file is there");
    for _ in 0..bytes.div_ceil(MIB) {
        let ends = pipe(MIB as c_int).expect("a pipe");
        let mut room = MIB;
        while room > 0 {
            // SAFETY: both descriptors are open; without offsets the file's own position moves on.
            let moved = unsafe { libc::splice(file.as_raw_fd(), ptr::null_mut(), ends[1], ptr::null_mut(), room, 0) };
            match usize::try_from(moved) {
                Ok(0) | Err(_) => break,
                Ok(moved) => room -= moved.min(room),
            }
        }
    }
}

/// Memory of which every second page is free, and none can be moved: it is locked.
pub(super) fn checker(bytes: usize) {
    let pages = Pages::map(bytes / page_size());
    // SAFETY: mlockall has no preconditions.
    assert_eq!(unsafe { libc::mlockall(libc::MCL_CURRENT) }, 0, "mlockall: {}", io::Error::last_os_error());
    (0..pages.count()).for_each(|page| pages.touch(page));
    (0..pages.count()).step_by(2).for_each(|page| pages.unmap(page));
    mem::forget(pages);
}

/// Asks again and again for blocks of 2 MiB, and keeps those that it gets: the array in which a pipe of 128 MiB remembers its
/// pages, at 40 bytes each, is one block. The kernel has nothing else to make it of.
pub(super) fn blocks() -> ! {
    const PIPE: c_int = 128 << 20;
    loop {
        if let Err(error) = pipe(PIPE) {
            assert_eq!(error.raw_os_error(), Some(libc::ENOMEM), "F_SETPIPE_SZ: {error}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Binds this process to a node and reads a file there, again and again, beside so much anonymous memory that page cache and
/// free memory are never more than a little of the node.
pub(super) fn bind(node: usize, path: &str) -> ! {
    use std::io::{Read, Seek, SeekFrom};
    const MPOL_BIND: c_int = 2;
    let mask: u64 = 1 << node;
    // SAFETY: the mask is as long as said; the kernel takes one bit less than the number.
    let set = unsafe { libc::syscall(libc::SYS_set_mempolicy, MPOL_BIND, &raw const mask, 65) };
    assert_eq!(set, 0, "set_mempolicy: {}", io::Error::last_os_error());

    // (all of the node, what of it is free or page cache of files), in KiB
    let reach = || -> (usize, usize) {
        let path = format!("/sys/devices/system/node/node{node}/meminfo");
        let text = fs::read_to_string(path).expect("the node is there");
        let line = |name: &str| {
            let found = text.lines().find_map(|l| l.split_once(name)).expect("the kernel has the line").1;
            found.trim().trim_end_matches(" kB").parse::<usize>().expect("a number")
        };
        (line("MemTotal:"), line("MemFree:") + line("Active(file):") + line("Inactive(file):"))
    };
    let mut file = fs::File::open(path).expect("the file is there");
    let mut buffer = vec![0; MIB];
    let mut held = Vec::new();
    loop {
        let (all, free) = reach();
        if free > all / 16 {
            let pages = Pages::map(MIB / page_size());
            (0..pages.count()).for_each(|page| pages.touch(page));
            held.push(pages);
            continue;
        }
        if free < all / 24 {
            held.pop();
        }
        if file.read(&mut buffer).expect("read") == 0 {
            file.seek(SeekFrom::Start(0)).expect("seek");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes that each visitor reads.
pub(crate) const VISIT: usize = 256 << 10;

/// Cgroups that come and go, one after the other: in each a process reads its own part of a file, makes the kernel take the
/// pages back, and memory compact.
pub(super) fn visit(parent: &str, file: &str, count: usize) {
    use std::os::unix::fs::FileExt;
    for n in 0..count {
        let folder = std::path::Path::new(parent).join(n.to_string());
        fs::create_dir(&folder).expect("a new cgroup");
        // SAFETY: this process has one thread.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            fs::write(folder.join("cgroup.procs"), "0").expect("a process may be moved");
            let file = fs::File::open(file).expect("the file is there");
            file.read_exact_at(&mut vec![0; VISIT], (n * VISIT) as u64).expect("it is as long");
            // One of the two is there. That less was found than asked for is no matter.
            let _ = fs::write(folder.join("memory.force_empty"), "0");
            let _ = fs::write(folder.join("memory.reclaim"), VISIT.to_string());
            fs::write("/proc/sys/vm/compact_memory", "1").expect("the kernel compacts when it is told to");
            // SAFETY: _exit has no preconditions.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: it is our child, and its status is not asked for.
        assert!(pid > 0 && unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } == pid, "a child that ends");
        super::wait::wait_for("the cgroup to be empty", || fs::remove_dir(&folder).ok());
    }
}
