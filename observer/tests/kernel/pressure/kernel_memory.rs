//! Memory of the kernel that grows: slab, page tables, and pages that no counter holds.

use super::{Watch, evidence};
use crate::{
    kswapd::{SMALL, meminfo, total_memory},
    support::{needs_root, seen, skipped, wait::wait_for, workload::Workload},
};

const MIB: u64 = 1 << 20;

/// Starts what takes much of RAM; `None`, with the reason said, on a large machine.
fn on_a_small_machine(test: &str, what: &str) -> Option<Workload> {
    if total_memory() > SMALL {
        skipped(test, "it takes much of RAM, which is done only where memory is at most 4 GiB, as in the VM lane");
        return None;
    }
    let mut workload = Workload::start(what, None);
    workload.go();
    Some(workload)
}

/// A process that looks up millions of names that are not there. sysfs remembers them, as file systems on disks do.
fn names(test: &str) -> Option<Workload> {
    on_a_small_machine(test, "names /sys/kernel 2000000")
}

/// A process with page tables for little memory.
fn tables(test: &str) -> Option<Workload> {
    let bytes = total_memory() / 8;
    on_a_small_machine(test, &format!("tables {bytes} {}", bytes / 15))
}

/// A process with rings of packet sockets.
fn rings(test: &str) -> Option<Workload> {
    on_a_small_machine(test, &format!("rings {} {}", ring_bytes(), ring_bytes() / 15))
}

/// Up to a fifth of RAM, divisible by the number of steps and the blocks of a ring.
fn ring_bytes() -> u64 {
    total_memory() / 5 / (75 * MIB) * (75 * MIB)
}

/// Bytes of a slab cache as the kernel tells them.
fn slab(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/slabinfo").expect("slabinfo");
    let line = text.lines().find(|l| l.split_whitespace().next() == Some(name)).expect("the cache is there");
    let words: Vec<_> = line.split_whitespace().collect();
    let number = |i: usize| words[i].parse::<u64>().expect("a number");
    // name active objects size objects/slab pages/slab : tunables 0 0 0 : slabdata active-slabs slabs shared
    number(5) * number(14) * crate::support::memory::page_size() as u64
}

#[test]
fn a_slab_cache_that_grows_is_named() {
    needs_root!("a_slab_cache_that_grows_is_named");
    let mut watch = Watch::start();
    let Some(_scene) = names("a_slab_cache_that_grows_is_named") else { return };
    let finding = watch.until("slab_growth", |f| f.verdict.contains("Slab cache dentry (reclaimable)"));
    watch.record("dentries", "slab_growth");
    assert!(finding.evidence.iter().any(|e| e.what.contains("obs-names")), "{finding:#?}");
    // It is not read in each snapshot: growth is there when it was.
    wait_for("a snapshot that reads it anew", || {
        let before = slab("dentry");
        let model = watch.tick().clone();
        let after = slab("dentry");
        let slabs = model.memory.slabs.expect("slabinfo is read");
        let row = slabs.iter().find(|c| c.now.name.as_str() == "dentry").expect("it is listed");
        row.growth?;
        seen!("dentry: {before} <= {} <= {after}", row.now.bytes);
        assert!((before..=after).contains(&row.now.bytes), "{before} <= {} <= {after}", row.now.bytes);
        Some(())
    });
}

#[test]
fn page_tables_that_grow_are_laid_at_the_door_of_their_process() {
    needs_root!("page_tables_that_grow_are_laid_at_the_door_of_their_process");
    let mut watch = Watch::start();
    let Some(scene) = tables("page_tables_that_grow_are_laid_at_the_door_of_their_process") else { return };
    let who = format!("obs-tables (pid {})", scene.pid());
    let finding = watch.until("page_table_growth", |f| f.verdict.contains(&who));
    watch.record("page-tables", "page_table_growth");
    assert!(evidence(&finding, "page tables of obs-tables").contains("in 1 processes"), "{finding:#?}");
    let (before, model) = (meminfo("PageTables:"), watch.tick().clone());
    let (after, info) = (meminfo("PageTables:"), model.memory.meminfo.expect("meminfo is read"));
    let bytes = info.page_tables.expect("it has page tables");
    assert!((before..=after).contains(&bytes), "{before} <= {bytes} <= {after}");
}

#[test]
fn pages_in_no_counter_are_seen_and_who_took_blocks_is_named() {
    needs_root!("pages_in_no_counter_are_seen_and_who_took_blocks_is_named");
    let mut watch = Watch::start();
    let unexplained = |watch: &mut Watch| {
        let breakdown = watch.tick().memory.breakdown.clone().expect("all counters are there");
        assert_eq!(breakdown.not_counted, Vec::<&str>::new());
        breakdown.unexplained
    };
    let idle = unexplained(&mut watch);
    let Some(mut scene) = rings("pages_in_no_counter_are_seen_and_who_took_blocks_is_named") else { return };
    let finding = watch.until("unexplained_memory", |f| f.verdict.contains("grows by"));
    watch.record("packet-rings", "unexplained_memory");
    assert!(finding.verdict.contains(&format!("obs-rings (pid {}", scene.pid())), "{finding:#?}");
    assert_eq!(scene.said(), "done");
    // The rings are of a known size: what no counter explains has grown by that, give or take what else the kernel did.
    let grown = unexplained(&mut watch) - idle;
    let expected = ring_bytes().cast_signed();
    seen!("idle {idle}, rings {expected}, grown {grown}");
    assert!((grown - expected).abs() < expected / 20, "{grown} for {expected} of rings");
    watch.until("unexplained_memory", |f| f.verdict.contains("is in no counter of the kernel"));
}
