//! Records the scenarios, for `tests/replay.rs`: `cargo test --test kernel -- --ignored make_cgroup_recordings` on any machine,
//! `make_swap_recordings` in a guest, `make_page_recordings` in one of 512 MiB with two nodes.

use super::{
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

/// Records while a scenario goes on that was started before.
fn during<T>(name: &str, scene: Option<T>) {
    let scene = scene.expect("it is run on a small machine");
    finish(record(name, "5s", None));
    drop(scene);
}

#[test]
#[ignore = "writes into the source tree"]
fn make_cgroup_recordings() {
    needs_root!("make_cgroup_recordings");
    during("cache-eviction", Some(Neighbours::start()));
    during("cgroup-full", Some(AnonAtLimit::start()));
    during("zombies", Some(Zombies::start()));
}

#[test]
#[ignore = "writes into the source tree, and turns swap on: for a small machine"]
fn make_swap_recordings() {
    needs_root!("make_swap_recordings");
    during("swap-thrash", Thrash::start("make_swap_recordings"));
}

#[test]
#[ignore = "writes into the source tree, and fills memory: for a small machine"]
fn make_page_recordings() {
    needs_root!("make_page_recordings");
    const ME: &str = "make_page_recordings";
    during("numa-bound", bound(ME));
    during("page-tables", tables(ME));
    during("packet-rings", rings(ME));
    during("tmpfs-fill", Filling::start(ME));
    during("lowmem-reserve", Reserved::start(ME));
    during("watermark-boost", Mixing::start(ME));
    during("dentries", names(ME));
    during("fragmented", Fragmented::start(ME));
}
