//! Records the scenarios of pages and kernel memory, for `tests/replay.rs`. For a guest of 512 MiB with two nodes: `cargo test
//! --test kernel -- --ignored make_page_recordings`.

use super::{
    blocks::{Fragmented, Mixing},
    kernel_memory::{names, rings, tables},
    tmpfs::Filling,
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
