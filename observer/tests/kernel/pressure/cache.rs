//! Two cgroups under one limit: one needs its page cache again and again, the other streams through a large file.

use super::Watch;
use crate::support::{cgroup::Cgroup, file::BigFile, needs_root, workload::Workload};

const LIMIT: u64 = 64 << 20;

/// The neighbours.
struct Neighbours {
    _workloads: [Workload; 2],
    hot: Cgroup,
    stream: Cgroup,
    parent: Cgroup,
    _files: [BigFile; 2],
}

impl Neighbours {
    fn start() -> Self {
        let parent = Cgroup::limited("house", LIMIT);
        let (hot, stream) = (parent.child("hot"), parent.child("stream"));
        let files = [BigFile::new(LIMIT * 3 / 4), BigFile::new(LIMIT * 32)];
        // The hot file fits by itself, and is read slowly enough for the stream to be faster.
        let workloads = [
            Workload::start(&format!("browse {} 40", files[0].path().display()), Some(&hot)),
            Workload::start(&format!("read {} 100000", files[1].path().display()), Some(&stream)),
        ];
        let workloads = workloads.map(|mut w| {
            w.go();
            w
        });
        Self { _workloads: workloads, hot, stream, parent, _files: files }
    }
}

#[test]
fn the_neighbour_that_pushes_cache_out_is_named() {
    needs_root!("the_neighbour_that_pushes_cache_out_is_named");
    let mut watch = Watch::start();
    let scene = Neighbours::start();
    let [house, hot, stream] = [&scene.parent, &scene.hot, &scene.stream].map(Cgroup::name);
    let expected = format!("cgroup {stream} pushes page cache of cgroup {hot} out, under the limit of cgroup {house}");
    watch.until("cache_eviction", |f| f.verdict == expected);
    watch.record("cache-eviction", "cache_eviction");
    // The share is of the kernel's own refaults: those of the parent are those of both.
    let cgroups = watch.snapshot().cgroups.as_ref().expect("cgroups are read");
    let refaults = |c: &Cgroup| {
        let row = cgroups.by_id(c.id()).expect("it is listed");
        row.stat.as_ref().and_then(|s| s.workingset_refault_file_bytes).expect("refaults are read")
    };
    let (whole, parts) = (refaults(&scene.parent), refaults(&scene.hot) + refaults(&scene.stream));
    // Where the machine is slow, much comes between the reading of one file and that of the next.
    assert!(whole.abs_diff(parts) * 5 <= whole, "{whole} is {parts}, but for what came between two files");
    assert!(refaults(&scene.hot) > 0);
}
