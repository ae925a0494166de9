//! Workloads that take memory of one kind at a steady pace, so that its growth is seen while it lasts.

use std::{ffi::c_int, fs, io, io::Write, mem, time::Duration};

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
        libc::mmap(std::ptr::null_mut(), count * SPAN, libc::PROT_READ, flags, -1, 0)
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

/// Memory of which every second page is free, and none can be moved: it is locked.
pub(super) fn checker(bytes: usize) {
    let pages = Pages::map(bytes / page_size());
    // SAFETY: mlockall has no preconditions.
    assert_eq!(unsafe { libc::mlockall(libc::MCL_CURRENT) }, 0, "mlockall: {}", io::Error::last_os_error());
    (0..pages.count()).for_each(|page| pages.touch(page));
    (0..pages.count()).step_by(2).for_each(|page| pages.unmap(page));
    mem::forget(pages);
}

/// Asks for blocks of 2 MiB again and again. Those that are there, or that compaction makes, become huge pages, which stay;
/// so what is asked for afterwards, for rings of packet sockets, is refused.
pub(super) fn blocks() -> ! {
    const BLOCK: usize = 2 * MIB;
    const HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";
    loop {
        // More than there is memory for: the kernel makes as many as it can.
        fs::write(HUGE_PAGES, "100000").expect("huge pages can be asked for");
        for _ in 0..100 {
            let _ = Ring::new(BLOCK, 1);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Binds this process to a node, and touches that much memory again and again.
pub(super) fn bind(node: usize, bytes: usize) -> ! {
    const MPOL_BIND: c_int = 2;
    let mask: u64 = 1 << node;
    // SAFETY: the mask is as long as said; the kernel takes one bit less than the number.
    let set = unsafe { libc::syscall(libc::SYS_set_mempolicy, MPOL_BIND, &raw const mask, 65) };
    assert_eq!(set, 0, "set_mempolicy: {}", io::Error::last_os_error());
    let held = Pages::map(bytes / page_size());
    (0..held.count()).for_each(|page| held.touch(page));
    let churned = Pages::map(4 * MIB / page_size());
    loop {
        (0..churned.count()).for_each(|page| churned.touch(page));
        churned.drop_all();
        std::thread::sleep(Duration::from_millis(10));
    }
}
