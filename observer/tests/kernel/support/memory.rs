//! Memory of this process, page by page.

use std::{io, ptr};

/// An anonymous private mapping of order-0 pages.
#[derive(Debug)]
pub(crate) struct Pages {
    start: *mut u8,
    len: usize,
}

/// Bytes of a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page size")
}

/// Turns huge pages off for this process and the children that it forks.
pub(crate) fn no_huge_pages() {
    // SAFETY: prctl with plain numbers.
    let done = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    assert_eq!(done, 0, "PR_SET_THP_DISABLE: {}", io::Error::last_os_error());
}

impl Pages {
    /// Maps `count` pages; none is there before it is touched.
    pub(crate) fn map(count: usize) -> Self {
        let len = count * page_size();
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        assert_ne!(start, libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
        // SAFETY: the mapping was just made. The call fails on a kernel without huge pages, which is as good.
        unsafe { libc::madvise(start, len, libc::MADV_NOHUGEPAGE) };
        Self { start: start.cast(), len }
    }

    /// Writes to page `index`: a fault, if it is not there.
    pub(crate) fn touch(&self, index: usize) {
        let at = index * page_size();
        assert!(at < self.len);
        // SAFETY: the address lies inside the mapping, and nobody else knows it.
        unsafe { self.start.add(at).write_volatile(1) };
    }

    /// Gives all pages back; the next touch faults again.
    pub(crate) fn drop_all(&self) {
        // SAFETY: the range is the mapping.
        let done = unsafe { libc::madvise(self.start.cast(), self.len, libc::MADV_DONTNEED) };
        assert_eq!(done, 0, "MADV_DONTNEED: {}", io::Error::last_os_error());
    }

    /// Unmaps page `index`, which must not be touched again.
    pub(crate) fn unmap(&self, index: usize) {
        let at = index * page_size();
        assert!(at < self.len);
        // SAFETY: the page lies inside the mapping, and nobody else knows it.
        let done = unsafe { libc::munmap(self.start.add(at).cast(), page_size()) };
        assert_eq!(done, 0, "munmap: {}", io::Error::last_os_error());
    }

    /// Number of pages.
    pub(crate) fn count(&self) -> usize {
        self.len / page_size()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping, and no reference into it is ever given out.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// Faults `count` order-0 pages, never holding more than 16 MiB.
pub(crate) fn fault(count: usize) {
    let pages = Pages::map(count.clamp(1, 4096));
    for n in 0..count {
        let index = n % pages.count();
        if index == 0 && n > 0 {
            pages.drop_all();
        }
        pages.touch(index);
    }
}

/// Pins this thread to one CPU: the first one that it may run on.
pub(crate) fn pin_to_one_cpu() {
    let this = nix::unistd::Pid::from_raw(0);
    let allowed = nix::sched::sched_getaffinity(this).expect("sched_getaffinity");
    let mut one = nix::sched::CpuSet::new();
    let cpus = 0..nix::sched::CpuSet::count();
    let first = cpus.into_iter().find(|cpu| allowed.is_set(*cpu).unwrap_or(false)).expect("a CPU to run on");
    one.set(first).expect("a CPU");
    nix::sched::sched_setaffinity(this, &one).expect("sched_setaffinity");
}
