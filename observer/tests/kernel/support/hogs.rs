//! Workloads that bring about an OOM kill of one kind, or stand by when one comes.

use std::{
    ffi::{CString, c_int},
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    mem,
    os::unix::fs::OpenOptionsExt,
    time::Instant,
};

use super::{
    memory::{Pages, page_size},
    wait::LIMIT,
};

fn score(score: &str) {
    fs::write("/proc/self/oom_score_adj", score).expect("oom_score_adj");
}

/// Memory that stays until the process ends.
pub(super) fn hold(bytes: usize) {
    let pages = Pages::map(bytes.div_ceil(page_size()));
    (0..pages.count()).for_each(|page| pages.touch(page));
    mem::forget(pages);
}

/// Locks all memory that it will have, and takes so much. Not what it has: with the program in RAM, and much debug
/// information in it, it would be the largest process, and the one to be killed.
pub(super) fn lock(bytes: usize, adjust: &str) {
    score(adjust);
    // SAFETY: mlockall has no preconditions.
    let locked = unsafe { libc::mlockall(libc::MCL_FUTURE) };
    assert_eq!(locked, 0, "mlockall: {}", io::Error::last_os_error());
    hold(bytes);
}

/// Takes memory of one node.
pub(super) fn bound(node: usize, bytes: usize) {
    const MPOL_BIND: c_int = 2;
    let mask: u64 = 1 << node;
    // SAFETY: the mask is as long as said; the kernel takes one bit less than the number.
    let set = unsafe { libc::syscall(libc::SYS_set_mempolicy, MPOL_BIND, &raw const mask, 65) };
    assert_eq!(set, 0, "set_mempolicy: {}", io::Error::last_os_error());
    hold(bytes);
}

/// Messages of 2 KiB in queues that nobody else sees and that go with this process: objects of the kernel's own caches.
pub(super) fn queue(bytes: usize) {
    /// Bytes of a message, and how many the kernel lets a queue have.
    const MESSAGE: usize = 1900;
    const OF_A_QUEUE: usize = 8;
    #[repr(C)]
    struct Message {
        kind: libc::c_long,
        text: [u8; MESSAGE],
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWIPC).expect("unshare");
    let message = Message { kind: 1, text: [1; MESSAGE] };
    for _ in 0..bytes / 2048 / OF_A_QUEUE {
        // SAFETY: msgget has no preconditions.
        let queue = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
        assert!(queue >= 0, "msgget: {}", io::Error::last_os_error());
        for _ in 0..OF_A_QUEUE {
            // SAFETY: the message is as long as said behind its kind.
            let sent = unsafe { libc::msgsnd(queue, (&raw const message).cast(), MESSAGE, libc::IPC_NOWAIT) };
            assert_eq!(sent, 0, "msgsnd: {}", io::Error::last_os_error());
        }
    }
}

/// Pipes with 512 places each: the array of a pipe's places is one block of 32 KiB. Open until the process ends.
pub(super) fn slots() {
    const PLACES: c_int = 512;
    const MOST: u64 = 1 << 20;
    let no_limit = libc::rlimit { rlim_cur: MOST, rlim_max: MOST };
    let size = PLACES * c_int::try_from(page_size()).expect("a page is small");
    // SAFETY: the limit lives through the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const no_limit) }, 0);
    loop {
        let mut ends: [c_int; 2] = [-1; 2];
        // SAFETY: the array has room for two descriptors.
        unsafe {
            assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK), 0, "pipe2: {}", io::Error::last_os_error());
            if libc::fcntl(ends[1], libc::F_SETPIPE_SZ, size) < size {
                // It was refused without a kill; the next one may find the kernel less patient.
                libc::close(ends[0]);
                libc::close(ends[1]);
            }
        }
    }
}

/// Ends when the kernel begins to write that `obs-asks` found no memory.
pub(super) fn exit_when_asked_for() -> ! {
    let mut log =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").expect("the kernel's log");
    log.seek(SeekFrom::End(0)).expect("its end");
    super::child::say("done");
    let (mut record, begun) = (vec![0; 16 * 1024], Instant::now());
    loop {
        // Nothing to read is an error here, and is tried again at once: the time is short.
        let n = log.read(&mut record).unwrap_or(0);
        let asked = record[..n].windows(b"obs-asks invoked".len()).any(|w| w == b"obs-asks invoked");
        if asked || begun.elapsed() > LIMIT {
            // SAFETY: _exit has no preconditions.
            unsafe { libc::_exit(0) }
        }
    }
}

/// Gives this process a name of any bytes, written in hexadecimal digits.
pub(super) fn call_me_hex(hex: &str) {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    let name = CString::new((0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>()).expect("no NUL");
    // SAFETY: the kernel copies at most 16 bytes of a string that ends with NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}
