//! Swap that thrashes: a cgroup whose memory does not fit sweeps through it, with zram to swap to. Only where swap can be
//! made without harm: in a guest.

use std::fs;

use super::{Watch, evidence};
use crate::{
    kswapd::{SMALL, total_memory},
    support::{cgroup::Cgroup, mounted::Zram, needs_root, skipped, workload::Workload},
};

const LIMIT: u64 = 32 << 20;

/// A process that sweeps through twice its limit.
struct Thrash {
    _sweeper: Workload,
    cgroup: Cgroup,
    _swap: Zram,
}

impl Thrash {
    /// `None`, with the reason said, where it cannot be done.
    fn start(test: &str) -> Option<Self> {
        if total_memory() > SMALL {
            skipped(test, "it turns swap on, which is done only where memory is at most 4 GiB, as in the VM lane");
            return None;
        }
        let Some(swap) = Zram::new(256 << 20) else {
            skipped(test, "this kernel has no zram to swap to");
            return None;
        };
        let cgroup = Cgroup::new("swap");
        cgroup.limit_with_swap(LIMIT);
        let mut sweeper = Workload::start(&format!("sweep {}", 2 * LIMIT), Some(&cgroup));
        sweeper.go();
        Some(Self { _sweeper: sweeper, cgroup, _swap: swap })
    }
}

#[test]
fn swap_that_thrashes_is_seen_with_the_cgroup_that_does_it() {
    needs_root!("swap_that_thrashes_is_seen_with_the_cgroup_that_does_it");
    let mut watch = Watch::start();
    let Some(scene) = Thrash::start("swap_that_thrashes_is_seen_with_the_cgroup_that_does_it") else { return };
    let name = scene.cgroup.name();
    let finding = watch.until("swap_thrash", |f| f.verdict.contains(&name));
    watch.record("swap-thrash", "swap_thrash");
    assert!(finding.evidence.iter().any(|e| e.what.contains("obs-sweep")), "{finding:#?}");
    assert_ne!(evidence(&finding, "read from swap"), "0 B/s");
    // The kernel's own count, read around a snapshot.
    let pswpin = || -> u64 {
        let text = fs::read_to_string("/proc/vmstat").expect("/proc is there");
        let line = text.lines().find_map(|l| l.strip_prefix("pswpin ")).expect("the kernel has the line");
        line.parse::<u64>().expect("a number") * crate::support::memory::page_size() as u64
    };
    let before = pswpin();
    watch.tick();
    let read = watch.snapshot().memory.vmstat.as_ref().and_then(|v| v.pswpin_bytes).expect("vmstat is read");
    assert!((before..=pswpin()).contains(&read));
    let zram = &watch.snapshot().memory.swap.as_ref().expect("swap is read").zram;
    assert!(zram.iter().any(|z| z.original > 0 && z.memory_used > 0), "{zram:?}");
}
