//! Large blocks that are not there: fragmented memory, requests that fail, watermarks that are raised for it.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{Watch, evidence};
use crate::{
    kswapd::{SMALL, meminfo, total_memory},
    support::{
        cgroup::Cgroup, file::BigFile, needs_root, seen, skipped, sysctl::Sysctl, wait::LIMIT, workload::Workload,
    },
};

fn is_small(test: &str) -> bool {
    let small = total_memory() <= SMALL;
    if !small {
        skipped(test, "it fragments all of RAM, which is done only where memory is at most 4 GiB, as in the VM lane");
    }
    small
}

/// Memory of which every second page is free, and a process that asks for blocks of 2 MiB.
struct Fragmented {
    wants: Workload,
    _holds: Workload,
    _settings: [Sysctl; 2],
}

impl Fragmented {
    /// `None`, with the reason said, on a large machine.
    fn start(test: &str) -> Option<Self> {
        if !is_small(test) {
            return None;
        }
        // Locked pages are then not moved by compaction either.
        let locked_stays = Sysctl::set("vm/compact_unevictable_allowed", "0");
        // Each page that stays becomes a mapping of its own.
        let many_mappings = Sysctl::set("vm/max_map_count", "4000000");
        let bytes = meminfo("MemFree:") * 3 / 4;
        let mut holds = Workload::start(&format!("checker {bytes}"), None);
        assert_eq!(holds.step(), "done");
        let mut wants = Workload::start("blocks", None);
        wants.go();
        Some(Self { wants, _holds: holds, _settings: [locked_stays, many_mappings] })
    }
}

#[test]
fn fragmentation_and_who_asks_for_blocks_are_told() {
    needs_root!("fragmentation_and_who_asks_for_blocks_are_told");
    let mut watch = Watch::start();
    let Some(scene) = Fragmented::start("fragmentation_and_who_asks_for_blocks_are_told") else { return };
    let who = format!("obs-blocks (pid {}", scene.wants.pid());
    let finding = watch.until("fragmentation", |f| f.verdict.contains(&who));
    watch.record("fragmented", "fragmentation");
    assert!(finding.verdict.contains("order 9 (2 MiB)"), "{finding:#?}");
    // The failures themselves are worth knowing.
    watch.until("failed_allocations", |f| f.verdict.contains(&who));
    let told = evidence(&finding, "free in blocks smaller than");
    let (_, index) = told.split_once("(index ").expect("it has the index");
    let index: f64 = index.trim_end_matches(')').parse().expect("a number");
    let now = unusable(9);
    seen!("told {index}, now {now:.3}");
    assert!((0.5..=1.0).contains(&index) && (index - now).abs() < 0.2, "{index} and {now}");
}

/// Share of free memory in blocks of smaller orders, from the kernel's own list.
fn unusable(order: usize) -> f64 {
    let text = fs::read_to_string("/proc/buddyinfo").expect("/proc is there");
    let (mut small, mut all) = (0, 0);
    for line in text.lines() {
        // Node 0, zone DMA32 counts from order 0 on
        let counts = line.split_whitespace().skip(4).map(|n| n.parse::<u64>().expect("a number"));
        for (at, count) in counts.enumerate() {
            let pages = count << at;
            all += pages;
            small += if at < order { pages } else { 0 };
        }
    }
    small as f64 / all as f64
}

/// At the limit of a cgroup that may not be killed, pages are refused.
#[test]
fn requests_that_a_cgroup_refuses_are_told_with_its_limit() {
    needs_root!("requests_that_a_cgroup_refuses_are_told_with_its_limit");
    let cgroup = Cgroup::limited("refuse", 32 << 20);
    cgroup.no_oom_killer();
    let mut work = Workload::start("pipes 50", Some(&cgroup));
    let mut watch = Watch::start();
    watch.tick();
    work.go();
    let finding = watch.until("failed_allocations", |f| f.verdict.contains(&cgroup.name()));
    watch.record("refused", "failed_allocations");
    assert_eq!(work.said(), "refused 50");
    watch.tick();
    let counted = watch.snapshot().page_alloc.as_ref().expect("pages are counted");
    let rows = counted.processes.iter().filter(|p| p.pid == work.pid());
    assert_eq!(rows.map(|p| p.counts.failed[0]).sum::<u64>(), 50, "{finding:#?}");
}

/// Page cache that fills memory, and kernel memory that grows into it: blocks of one type are taken for the other.
struct Mixing {
    _names: Workload,
    _readers: [Workload; 2],
    _file: BigFile,
    _factor: Sysctl,
}

impl Mixing {
    /// `None`, with the reason said, on a large machine.
    fn start(test: &str) -> Option<Self> {
        if !is_small(test) {
            return None;
        }
        let factor = Sysctl::set("vm/watermark_boost_factor", "60000");
        let file = BigFile::new(total_memory() * 8);
        let start = |what: &str| {
            let mut work = Workload::start(what, None);
            work.go();
            work
        };
        let read = format!("read {} 100", file.path().display());
        let readers = [start(&read), start(&read)];
        Some(Self { _names: start("names /sys/kernel 100000000"), _readers: readers, _file: file, _factor: factor })
    }
}

/// Waits until a watermark is raised most of the time, by the kernel's own file. False if it never is.
fn is_raised_often(watch: &mut Watch) -> bool {
    const READS: usize = 50;
    let raised = || {
        let text = fs::read_to_string("/proc/zoneinfo").expect("/proc is there");
        text.lines().filter_map(|l| l.trim().strip_prefix("boost")).any(|n| n.trim() != "0")
    };
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        let times = (0..READS).filter(|_| {
            std::thread::sleep(Duration::from_millis(40));
            raised()
        });
        if times.count() * 10 >= READS * 7 {
            return true;
        }
        watch.tick();
    }
    false
}

#[test]
fn watermarks_that_are_raised_again_and_again_are_told() {
    needs_root!("watermarks_that_are_raised_again_and_again_are_told");
    let mut watch = Watch::start();
    let Some(_scene) = Mixing::start("watermarks_that_are_raised_again_and_again_are_told") else { return };
    if !is_raised_often(&mut watch) {
        skipped(
            "watermarks_that_are_raised_again_and_again_are_told",
            "the machine is too slow to mix blocks all the time",
        );
        return;
    }
    let finding = watch.until("watermark_boost", |f| f.verdict.contains("obs-"));
    watch.record("watermark-boost", "watermark_boost");
    assert!(evidence(&finding, "raised in zone").contains("snapshots"), "{finding:#?}");
    assert!(finding.evidence.iter().any(|e| e.source == "kmem:mm_page_alloc_extfrag"), "{finding:#?}");
    let zones = watch.snapshot().memory.zones.as_ref().expect("zoneinfo is read");
    let text = fs::read_to_string("/proc/zoneinfo").expect("/proc is there");
    assert!(text.contains("boost") && zones.iter().any(|z| z.boost.is_some()));
}
