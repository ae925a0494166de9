//! A tmpfs that fills, and shared memory that is in none.

use std::fs;

use nix::sys::statvfs::statvfs;
use observer::{
    model::Model,
    source::{Collector, Options},
};

use super::{Watch, evidence};
use crate::{
    kswapd::{SMALL, meminfo, total_memory},
    support::{mounted::Tmpfs, needs_root, skipped, wait::wait_for, workload::Workload},
};

/// A process that fills a tmpfs with a third of RAM.
struct Filling {
    _workload: Workload,
    mount: Tmpfs,
}

impl Filling {
    /// `None`, with the reason said, on a large machine.
    fn start(test: &str) -> Option<Self> {
        if total_memory() > SMALL {
            skipped(
                test,
                "it fills a third of RAM, which is done only where memory is at most 4 GiB, as in the VM lane",
            );
            return None;
        }
        let mount = Tmpfs::new("90%");
        let bytes = total_memory() / 3;
        let mut workload = Workload::start(&format!("fill {} {bytes} {}", mount.path().display(), bytes / 20), None);
        workload.go();
        Some(Self { _workload: workload, mount })
    }
}

#[test]
fn a_tmpfs_that_fills_is_named() {
    needs_root!("a_tmpfs_that_fills_is_named");
    let mut watch = Watch::start();
    let Some(scene) = Filling::start("a_tmpfs_that_fills_is_named") else { return };
    let mount = scene.mount.path().display().to_string();
    let finding = watch.until("tmpfs_growth", |f| f.verdict.contains(&format!("The tmpfs at {mount} ")));
    watch.record("tmpfs-fill", "tmpfs_growth");
    assert!(!evidence(&finding, "growth").starts_with('-'), "{finding:#?}");
    let used = || {
        let s = statvfs(scene.mount.path()).expect("statvfs");
        (s.blocks() - s.blocks_free()) * s.fragment_size()
    };
    // It is not read in each snapshot: growth is there when it was.
    wait_for("a snapshot that reads it anew", || {
        let (before, model) = (used(), watch.tick().clone());
        let after = used();
        let shmem = model.memory.shmem.expect("tmpfs is read");
        let row = shmem.tmpfs.iter().find(|t| t.now.mount_point.as_str() == mount).expect("it is listed");
        row.growth?;
        let told = row.now.used.expect("it has a limit");
        assert!((before..=after).contains(&told), "{before} <= {told} <= {after}");
        Some(())
    });
}

#[test]
fn what_a_tmpfs_without_a_size_holds_is_not_called_nothing() {
    const HELD: u64 = 8 << 20;
    needs_root!("what_a_tmpfs_without_a_size_holds_is_not_called_nothing");
    let mount = Tmpfs::new("0");
    fs::write(mount.path().join("held"), vec![1; HELD as usize]).expect("it has no limit");
    let snapshot = Collector::new(Options { object: None, ..Options::default() }).snapshot();
    let shmem = Model::new(&snapshot, None).memory.shmem.expect("tmpfs is read");
    let name = mount.path().display().to_string();
    let row = shmem.tmpfs.iter().find(|t| t.now.mount_point.as_str() == name).expect("it is listed");
    assert_eq!((row.now.used, row.now.size, row.is_empty()), (None, None, false), "the kernel does not tell");
    assert!(shmem.outside.is_some_and(|bytes| bytes >= HELD), "it is somewhere: {:?}", shmem.outside);
}

/// A process that fills a memfd.
fn memfd(test: &str) -> Option<Workload> {
    if total_memory() > SMALL {
        skipped(test, "it fills a third of RAM, which is done only where memory is at most 4 GiB, as in the VM lane");
        return None;
    }
    let bytes = total_memory() / 3;
    let mut workload = Workload::start(&format!("memfd {bytes} {}", bytes / 20), None);
    workload.go();
    Some(workload)
}

#[test]
fn shared_memory_in_no_tmpfs_is_told() {
    needs_root!("shared_memory_in_no_tmpfs_is_told");
    let mut watch = Watch::start();
    let Some(workload) = memfd("shared_memory_in_no_tmpfs_is_told") else { return };
    let finding = watch.until("tmpfs_growth", |f| f.verdict.starts_with("Shared memory in no tmpfs"));
    watch.record("memfd", "tmpfs_growth");
    assert!(evidence(&finding, "shared memory in no tmpfs").contains("% of RAM"), "{finding:#?}");
    let (before, model) = (meminfo("Shmem:"), watch.tick().clone());
    let (after, shmem) = (meminfo("Shmem:"), model.memory.shmem.expect("tmpfs is read"));
    let all = shmem.outside.expect("it is known") + shmem.tmpfs.iter().filter_map(|t| t.now.used).sum::<u64>();
    assert!((before..=after).contains(&all), "{before} <= {all} <= {after}");
    drop(workload);
}
