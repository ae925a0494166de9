//! The host's memory. Only in a guest that has nothing else to do: whatever is killed there is ours.

use std::fs;

use observer::{
    diagnose::oom::{Cause, Context, Memory, ZoneVerdict},
    snapshot::oom_report::Constraint,
};

use super::{MIB, Told, kills, told, until_killed};
use crate::{
    kswapd::{SMALL, meminfo, total_memory},
    support::{
        mounted::{Tmpfs, Zram},
        needs_root, seen, skipped,
        sysctl::Sysctl,
        workload::Workload,
    },
};

/// True where a test may use up all memory; else says that it is skipped.
pub(super) fn may_be_full(test: &str) -> bool {
    let may = std::env::var_os("OBSERVER_TEST_WHOLE_MACHINE").is_some() && total_memory() <= SMALL;
    if !may {
        skipped(test, "it uses up all memory, which is done only in a guest of at most 4 GiB that says so");
    }
    may
}

/// The test program is never chosen while this lives. Workloads that are started in this time are not either, unless they
/// set a score themselves.
pub(super) struct Immune;

impl Immune {
    pub(super) fn now() -> Self {
        fs::write("/proc/self/oom_score_adj", "-1000").expect("oom_score_adj");
        Self
    }
}

impl Drop for Immune {
    fn drop(&mut self) {
        let _ = fs::write("/proc/self/oom_score_adj", "0");
    }
}

/// Makes swap of so many bytes, where that may be done; else says why not.
pub(super) fn swap(test: &str, bytes: u64) -> Option<Zram> {
    if !may_be_full(test) {
        return None;
    }
    let swap = Zram::new(bytes);
    if swap.is_none() {
        skipped(test, "this kernel has no zram to swap to");
    }
    swap
}

/// A process of that name that takes more than there is.
fn hog() -> Workload {
    Workload::start(&format!("hold {} obs-hog 0", 2 * total_memory()), None)
}

impl Told {
    /// Asserts that it was all of the host's memory.
    fn is_of_host(&self) {
        let decision = self.report.decision.as_ref().expect("the decision is written");
        assert_eq!((&decision.constraint, decision.global), (&Constraint::None, true));
        assert_eq!(self.explanation.limit.memory, Memory::Host);
        let managed = self.explanation.limit.limit.expect("zones are written");
        let kernel = total_memory();
        // Pages that are given back after the boot, or taken from it, are counted by one before the other.
        assert!(managed.abs_diff(kernel) < kernel / 50, "{managed} against {kernel} of MemTotal");
    }

    /// Asserts that no zone had what must stay free.
    fn zones_are_below_min(&self) {
        let zones = &self.explanation.zones;
        assert!(!zones.is_empty() && zones.iter().all(|z| z.verdict == ZoneVerdict::BelowMin), "{zones:#?}");
    }
}

#[test]
fn the_host_is_full_and_has_no_swap() {
    needs_root!("the_host_is_full_and_has_no_swap");
    if !may_be_full("the_host_is_full_and_has_no_swap") {
        return;
    }
    let make = || {
        let hog = hog();
        let _immune = Immune::now();
        until_killed(hog)
    };
    let (told, pid) = told("host", make, |r, pid| kills(r, *pid));
    told.is_of_host();
    assert_eq!(told.report.victim_pid(), Some(pid));
    told.zones_are_below_min();
    assert_eq!(told.first_cause(), Some(Cause::NoSwap), "{:#?}", told.explanation.reasons);
    assert_eq!(told.report.totals.swap_total, Some(meminfo("SwapTotal:")));
}

#[test]
fn the_host_is_full_and_so_is_its_swap() {
    const NAME: &str = "the_host_is_full_and_so_is_its_swap";
    const SWAP: u64 = 64 * MIB;
    needs_root!("the_host_is_full_and_so_is_its_swap");
    let Some(_swap) = swap(NAME, SWAP) else { return };
    let make = || {
        let hog = hog();
        let _immune = Immune::now();
        until_killed(hog)
    };
    let (told, pid) = told("host-swap-full", make, |r, pid| kills(r, *pid));
    told.is_of_host();
    assert_eq!(told.report.victim_pid(), Some(pid));
    assert_eq!(told.first_cause(), Some(Cause::SwapFull), "{:#?}", told.explanation.reasons);
    assert_eq!(told.report.totals.swap_total, Some(meminfo("SwapTotal:")));
    let free = told.report.totals.swap_free.expect("swap is written");
    assert!(free < SWAP / 10, "{free}");
}

#[test]
fn a_tmpfs_fills_the_host_and_another_is_killed() {
    needs_root!("a_tmpfs_fills_the_host_and_another_is_killed");
    if !may_be_full("a_tmpfs_fills_the_host_and_another_is_killed") {
        return;
    }
    let make = || {
        let all = meminfo("MemAvailable:");
        let tmpfs = Tmpfs::new(&(2 * total_memory()).to_string());
        let mut app = Workload::start(&format!("hold {} obs-app 0", all / 4), None);
        assert_eq!(app.step(), "done");
        // In a few seconds: once the first is killed it has room for a while, and is ended.
        let mut fills = Workload::start(&format!("fill {} {} {}", tmpfs.path().display(), 2 * all, all / 8), None);
        let _immune = Immune::now();
        fills.go();
        let pid = app.pid();
        assert_eq!(app.killed_by(), Some(libc::SIGKILL));
        drop(fills);
        (tmpfs, pid)
    };
    let (told, _) = told("host-tmpfs", make, |r, (_, pid)| kills(r, *pid));
    told.is_of_host();
    assert_eq!(told.first_cause(), Some(Cause::Tmpfs), "{:#?}", told.explanation.reasons);
    let tmpfs = told.bytes_of(Cause::Tmpfs);
    assert!(tmpfs > total_memory() / 3, "{tmpfs}");
    // No process has it: who is killed does not give it back.
    let held = told.explanation.usage.processes.iter().map(|p| p.rss).sum::<u64>();
    assert!(held < tmpfs, "{held} against {tmpfs}");
}

#[test]
fn pools_of_huge_pages_have_taken_the_host() {
    needs_root!("pools_of_huge_pages_have_taken_the_host");
    if !may_be_full("pools_of_huge_pages_have_taken_the_host") {
        return;
    }
    let pages = total_memory() * 6 / 10 / meminfo("Hugepagesize:");
    let _pool = Sysctl::set("vm/nr_hugepages", &pages.to_string());
    let make = || {
        let hog = hog();
        let _immune = Immune::now();
        until_killed(hog)
    };
    let (told, _) = told("host-huge-pages", make, |r, pid| kills(r, *pid));
    told.is_of_host();
    let of_pools = told.bytes_of(Cause::HugePages);
    assert_eq!(of_pools, meminfo("HugePages_Total:") / 1024 * meminfo("Hugepagesize:"));
    assert_eq!(told.first_cause(), Some(Cause::HugePages), "{:#?}", told.explanation.reasons);
}

#[test]
fn who_asks_is_killed() {
    needs_root!("who_asks_is_killed");
    if !may_be_full("who_asks_is_killed") {
        return;
    }
    let _setting = Sysctl::set("vm/oom_kill_allocating_task", "1");
    let make = || {
        let mut large = Workload::start(&format!("hold {} obs-large 0", meminfo("MemAvailable:") * 6 / 10), None);
        assert_eq!(large.step(), "done");
        let asks = Workload::start(&format!("hold {} obs-asks 0", total_memory()), None);
        let _immune = Immune::now();
        (until_killed(asks), large)
    };
    let (told, (pid, large)) = told("host-allocating-task", make, |r, (pid, _)| kills(r, *pid));
    told.is_of_host();
    told.is_of(pid, pid);
    let victim = told.explanation.victim.as_ref().expect("the victim is explained");
    assert!(victim.why.contains("vm.oom_kill_allocating_task"), "{}", victim.why);
    large.finish();
}

#[test]
fn somebody_asks_for_a_kill() {
    needs_root!("somebody_asks_for_a_kill");
    if !may_be_full("somebody_asks_for_a_kill") {
        return;
    }
    let make = || {
        let mut work = Workload::start(&format!("hold {} obs-victim 1000", 8 * MIB), None);
        assert_eq!(work.step(), "done");
        let _immune = Immune::now();
        fs::write("/proc/sysrq-trigger", "f").expect("sysrq by its file is always allowed");
        let pid = work.pid();
        assert_eq!(work.killed_by(), Some(libc::SIGKILL));
        pid
    };
    let (told, pid) = told("sysrq", make, |r, pid| kills(r, *pid));
    assert_eq!(told.report.victim_pid(), Some(pid));
    assert_eq!(told.report.request.as_ref().and_then(|r| r.order), Some(-1));
    assert_eq!(told.explanation.limit.memory, Memory::Sysrq);
    assert_eq!(told.explanation.asked.as_ref().map(|a| a.context), Some(Context::Sysrq));
    // Nothing was refused: there is no reason for it, and memory was free.
    assert_eq!(told.explanation.reasons, []);
    let all = told.explanation.summary.join(" ");
    assert!(!all.contains("Nothing more could be freed"), "{all}");
}

/// Blocks of eight pages, which the kernel gives up for only when it has killed. Every second page is free, none is moved.
#[test]
fn free_memory_is_in_no_large_block() {
    const NAME: &str = "free_memory_is_in_no_large_block";
    needs_root!("free_memory_is_in_no_large_block");
    if !may_be_full(NAME) {
        return;
    }
    let _stays = Sysctl::set("vm/compact_unevictable_allowed", "0");
    let _mappings = Sysctl::set("vm/max_map_count", "4000000");
    let make = || {
        let mut holds = Workload::start(&format!("checker {}", meminfo("MemFree:") * 3 / 4), None);
        assert_eq!(holds.step(), "done");
        let mut asks = Workload::start("slots", None);
        let _immune = Immune::now();
        asks.go();
        let pid = holds.pid();
        assert_eq!(holds.killed_by(), Some(libc::SIGKILL));
        let trigger = asks.pid();
        drop(asks);
        (pid, trigger)
    };
    let (told, (_, trigger)) = told("host-order-3", make, |r, (pid, _)| kills(r, *pid));
    let asked = told.report.request.as_ref().expect("it is written");
    seen!("asked for order {:?} by {:?}, ours is {trigger}", asked.order, asked.tid);
    told.is_of_host();
    assert_eq!(asked.order, Some(3));
    assert_eq!(told.first_cause(), Some(Cause::Fragmentation), "{:#?}", told.explanation.reasons);
}
