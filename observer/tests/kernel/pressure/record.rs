//! Records the scenarios, for `tests/replay.rs`: `cargo test --test kernel -- --ignored make_cgroup_recordings` on any machine,
//! `make_swap_recordings` in a guest, `make_page_recordings` in one of 512 MiB with two nodes.

use super::{
    Watch,
    blocks::{Fragmented, Mixing},
    cache::Neighbours,
    cgroup_limit::AnonAtLimit,
    kernel_memory::{names, rings, tables},
    swap::Thrash,
    tmpfs::Filling,
    zombies::Zombies,
    zones::{Reserved, bound},
};
use crate::{
    make_recordings::{finish, record},
    support::needs_root,
};

/// Records while a scenario goes on, from when its rule fires.
fn during<T>(name: &str, rule: &str, scene: impl FnOnce() -> Option<T>) {
    let mut watch = Watch::start();
    let scene = scene().expect("it is run on a small machine");
    watch.until(rule, |_| true);
    finish(record(name, "4s", None));
    drop(scene);
}

#[test]
#[ignore = "writes into the source tree"]
fn make_cgroup_recordings() {
    needs_root!("make_cgroup_recordings");
    during("cache-eviction", "cache_eviction", || Some(Neighbours::start()));
    during("cgroup-full", "cgroup_at_limit", || Some(AnonAtLimit::start()));
    during("zombies", "zombie_cgroups", || Some(Zombies::start()));
}

#[test]
#[ignore = "writes into the source tree, and turns swap on: for a small machine"]
fn make_swap_recordings() {
    needs_root!("make_swap_recordings");
    during("swap-thrash", "swap_thrash", || Thrash::start("make_swap_recordings"));
}

#[test]
#[ignore = "writes into the source tree, and fills memory: for a small machine"]
fn make_page_recordings() {
    needs_root!("make_page_recordings");
    const ME: &str = "make_page_recordings";
    during("numa-bound", "numa_imbalance", || bound(ME));
    during("page-tables", "page_table_growth", || tables(ME));
    during("packet-rings", "unexplained_memory", || rings(ME));
    during("tmpfs-fill", "tmpfs_growth", || Filling::start(ME));
    during("dentries", "slab_growth", || names(ME));
    during("watermark-boost", "watermark_boost", || Mixing::start(ME));
    during("fragmented", "fragmentation", || Fragmented::start(ME));
    during("lowmem-reserve", "trapped_memory", || Reserved::start(ME));
}
