//! Staying alive and able to act when memory runs out: observer is to tell of that moment, not to be part of it.

use std::{fs, io};

use crate::{
    snapshot::{
        Name,
        coverage::{Coverage, Source},
    },
    source::oom_log,
};

/// The badness that observer asks for. Not -1000, with which the kernel never kills: should observer itself be what fills
/// the memory, it is still there to be killed when nothing else is left.
const SCORE: i32 = -999;
/// The file of the badness.
const SCORE_FILE: &str = "/proc/self/oom_score_adj";
/// Bytes of heap that are there beforehand: a report with thousands of tasks, and its record.
const HEAP: usize = 4 << 20;

/// What protects observer, and what could not be had.
#[derive(Debug, Default)]
pub(super) struct Protection {
    missing: Vec<String>,
}

impl Protection {
    /// Takes all that it may: memory that stays in RAM, a heap that is there beforehand, code that has run once, and, unless
    /// `keep_score`, the last place among those that may be killed.
    pub(super) fn take(keep_score: bool) -> Self {
        let mut protection = Self::default();
        if !keep_score {
            protection.note("lower oom_score_adj (needs CAP_SYS_RESOURCE)", lower_score());
        }
        protection.note("lock memory (needs CAP_IPC_LOCK or no limit of locked memory)", lock());
        keep_heap();
        rehearse();
        for missing in &protection.missing {
            tracing::info!("when memory runs out observer is less safe: {missing}");
        }
        protection
    }

    fn note(&mut self, what: &str, outcome: io::Result<()>) {
        self.missing.extend(outcome.err().map(|error| format!("cannot {what}: {error}")));
    }

    /// Says in a snapshot what could not be had.
    pub(super) fn describe(&self, coverage: &mut Coverage) {
        let missing = (!self.missing.is_empty()).then(|| Name::from(self.missing.join("; ")));
        coverage.sources.push(Source { name: Source::PROTECTION.to_owned(), missing });
    }
}

fn lower_score() -> io::Result<()> {
    let now: Option<i32> = fs::read_to_string(SCORE_FILE)?.trim().parse().ok();
    if now.is_none_or(|now| now > SCORE) {
        fs::write(SCORE_FILE, SCORE.to_string())?;
        tracing::info!("{SCORE_FILE} is {SCORE} now, was {}", now.unwrap_or_default());
    }
    Ok(())
}

/// Keeps in RAM every page that is there, and every one from its first use on. Nothing is brought in that is not used: the
/// resident size does not grow by it.
fn lock() -> io::Result<()> {
    let unlimited = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK)
        .is_ok_and(|(soft, _)| soft == libc::RLIM_INFINITY);
    // With a limit, memory that is asked for later would be refused, instead of only not being locked.
    if !unlimited && !crate::source::capabilities::may_lock_memory() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // SAFETY: it takes flags only, and changes no memory.
    let outcome = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the heap keep what it once had, and take beforehand what a kill needs.
fn keep_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers, and changes how the allocator behaves from now on.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 20);
    }
    // Written to, so that the pages are there; freed, they stay with the heap.
    std::hint::black_box(vec![0xa5u8; HEAP]);
}

/// A report as the kernel writes it, as short as one can be.
const REHEARSAL: &[u8] = b"6,1,1,-;observer invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n\
6,2,2,-;CPU: 0 UID: 0 PID: 1 Comm: observer Not tainted 6.12.0\n\
6,3,3,-;Mem-Info:\n\
6,4,4,-;Node 0 DMA free:100kB boost:0kB min:200kB low:250kB high:300kB present:1000kB managed:900kB mlocked:0kB\n\
6,5,5,-;Tasks state (memory values in pages):\n\
6,6,6,-;[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name\n\
6,7,7,-;[      1]     0     1      100       10       10        0         0    40960        0             0 observer\n\
6,8,8,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=observer,pid=1,uid=0\n\
3,9,9,-;Out of memory: Killed process 1 (observer) total-vm:400kB, anon-rss:40kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:40kB oom_score_adj:0\n";

/// Reads and explains a report once: the code that does it is in RAM from then on, and need not be read from a disk when
/// there is no memory to read it into.
fn rehearse() {
    for report in oom_log::reports("rehearsal".into(), REHEARSAL) {
        std::hint::black_box(crate::diagnose::oom::explain(&report));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rehearsal_is_a_whole_report() {
        let reports = oom_log::reports("rehearsal".into(), REHEARSAL);
        let [report] = &reports[..] else { panic!("{reports:?}") };
        assert_eq!((report.cut, report.unread.len(), report.victim_pid()), (None, 0, Some(1)));
        assert_eq!((report.tasks.len(), report.zones.len()), (1, 1));
    }

    #[test]
    fn what_could_not_be_had_is_said() {
        let mut protection = Protection::default();
        protection.note("fly", Err(io::ErrorKind::PermissionDenied.into()));
        let mut coverage = Coverage::default();
        protection.describe(&mut coverage);
        let reason = coverage.source_reason(Source::PROTECTION).unwrap();
        assert_eq!(reason.as_str(), "cannot fly: permission denied");
    }
}
