//! The loop of page faults: first touches of shared memory, the shortest path to a page allocation that a program has,
//! so that what a probe adds weighs most.

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::io;
use std::ptr;
use std::time::{Duration, Instant};

/// Begins the line with the result.
pub(crate) const ANSWER: &str = "nanoseconds a page: ";
/// Pages touched in one pass: few enough that most passes end before the scheduler looks at the next program.
pub(crate) const PAGES: usize = 1024;
/// Passes of one round.
pub(crate) const PASSES: usize = 120;

/// Time of one fault in the fastest pass, in nanoseconds: what interrupts and other programs add only makes it longer.
pub(crate) fn nanoseconds_a_page() -> Result<f64> {
    stay_on_one_cpu()?;
    let mut fastest = Duration::MAX;
    for _ in 0..PASSES {
        fastest = fastest.min(pass()?);
    }
    Ok(fastest.as_secs_f64() * 1e9 / PAGES as f64)
}

/// Touches fresh pages one by one and gives them back.
fn pass() -> Result<Duration> {
    let page = page_size();
    let size = PAGES * page;
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address that the kernel chooses takes no memory from anyone.
    let memory = unsafe { libc::mmap(ptr::null_mut(), size, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        bail!("mmap: {}", io::Error::last_os_error());
    }
    // SAFETY: advice on the mapping made above. One page a fault; a kernel without huge pages refuses the advice and has
    // no need of it.
    let _ = unsafe { libc::madvise(memory, size, libc::MADV_NOHUGEPAGE) };
    let begun = Instant::now();
    for index in 0..PAGES {
        // SAFETY: inside the mapping made above.
        unsafe { memory.cast::<u8>().add(index * page).write_volatile(1) };
    }
    let time = begun.elapsed();
    // SAFETY: nothing points into the mapping any more.
    if unsafe { libc::munmap(memory, size) } != 0 {
        bail!("munmap: {}", io::Error::last_os_error());
    }
    Ok(time)
}

/// Moving to another CPU would cost more than any probe. The last one usually has the fewest interrupts.
fn stay_on_one_cpu() -> Result<()> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("sched_getaffinity")?;
    let last =
        (0..CpuSet::count()).rev().find(|cpu| allowed.is_set(*cpu).unwrap_or(false)).context("no CPU is allowed")?;
    let mut one = CpuSet::new();
    one.set(last).context("CPU set")?;
    sched_setaffinity(this, &one).context("sched_setaffinity")
}

fn page_size() -> usize {
    // SAFETY: sysconf only reads.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}
