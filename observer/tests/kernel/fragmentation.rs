//! The unusable free-space index, against the kernel's own in debugfs.

use std::{fs, path::Path};

use observer::{
    model::Model,
    source::collect::{Collector, Options},
};

use crate::support::{needs_root, seen, skipped};

#[test]
fn the_index_of_unusable_memory_is_the_kernels_own() {
    const NAME: &str = "the_index_of_unusable_memory_is_the_kernels_own";
    needs_root!("the_index_of_unusable_memory_is_the_kernels_own");
    let path = Path::new("/sys/kernel/debug/extfrag/unusable_index");
    if !path.exists() {
        return skipped(NAME, "debugfs is not mounted, or the kernel has no extfrag in it");
    }
    let mut collector = Collector::new(Options { object: None, ..Options::default() });
    let zones = Model::new(&collector.snapshot(), None).memory.fragmentation.expect("buddyinfo is read");
    let text = fs::read_to_string(path).expect("debugfs");
    let mut compared = 0;
    for line in text.lines() {
        // `Node 0, zone   Normal 0.000 0.012 ...`
        let words: Vec<_> = line.split_whitespace().collect();
        let node: u32 = words[1].trim_end_matches(',').parse().expect("a node");
        let Some(zone) = zones.iter().find(|z| (z.node, z.zone.as_str()) == (node, words[3])) else { continue };
        for (order, (kernel, ours)) in words[4..].iter().zip(&zone.unusable_index).enumerate() {
            let kernel: f64 = kernel.parse().expect("a number");
            // Blocks come and go between the two readings.
            assert!((kernel - ours).abs() < 0.05, "zone {}, order {order}: kernel {kernel}, observer {ours}", words[3]);
            compared += 1;
        }
    }
    seen!("{compared} indexes are equal");
    assert!(compared >= 10, "{text}");
}
