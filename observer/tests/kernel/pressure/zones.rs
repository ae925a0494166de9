//! Free memory in the wrong place: in a zone that is kept for others, and on another node.

use std::fs;

use observer::diagnose::{Finding, Severity};

use super::{Watch, evidence};
use crate::{
    kswapd::{SMALL, meminfo, total_memory},
    support::{file::BigFile, needs_root, seen, skipped, sysctl::Sysctl, workload::Workload},
};

/// A reserve of low zones that takes all of them, and readers that want every page.
struct Reserved {
    _readers: [Workload; 3],
    _holds: Workload,
    _file: BigFile,
    _ratio: Sysctl,
}

impl Reserved {
    /// `None`, with the reason said, on a large machine.
    fn start(test: &str) -> Option<Self> {
        if total_memory() > SMALL {
            skipped(test, "it fills all of RAM, which is done only where memory is at most 4 GiB, as in the VM lane");
            return None;
        }
        let ratio = Sysctl::set("vm/lowmem_reserve_ratio", "1 1 1 0 0");
        let file = BigFile::new(total_memory() * 8);
        let mut holds = Workload::start(&format!("hold {}", meminfo("MemFree:") * 3 / 4), None);
        assert_eq!(holds.step(), "done");
        let readers = [(); 3].map(|()| {
            let mut reader = Workload::start(&format!("read {} 100", file.path().display()), None);
            reader.go();
            reader
        });
        Some(Self { _readers: readers, _holds: holds, _file: file, _ratio: ratio })
    }
}

/// `nr_free_pages` of a zone in bytes, summed over nodes.
fn free_in(zone: &str) -> u64 {
    let text = fs::read_to_string("/proc/zoneinfo").expect("/proc is there");
    let mut inside = false;
    let mut pages = 0;
    for line in text.lines() {
        if line.starts_with("Node") {
            inside = line.ends_with(&format!(" {zone}"));
        } else if let Some(n) = line.trim().strip_prefix("nr_free_pages ").filter(|_| inside) {
            pages += n.trim().parse::<u64>().expect("a number");
        }
    }
    pages * crate::support::memory::page_size() as u64
}

#[test]
fn free_memory_that_is_kept_from_those_who_wait_is_told() {
    needs_root!("free_memory_that_is_kept_from_those_who_wait_is_told");
    let mut watch = Watch::start();
    let Some(_scene) = Reserved::start("free_memory_that_is_kept_from_those_who_wait_is_told") else { return };
    let finding = watch.until("trapped_memory", |f| f.verdict.contains("the lowmem reserve of low zones"));
    watch.record("lowmem-reserve", "trapped_memory");
    assert!(finding.verdict.contains("most in zone DMA of node 0"), "{finding:#?}");
    assert!(evidence(&finding, "direct reclaims").ends_with("/s"), "{finding:#?}");
    // Nobody may take from that zone: what is free there stands still, and is the same a moment later.
    let (before, model) = (free_in("DMA"), watch.tick().clone());
    let zones = model.memory.free.expect("zoneinfo is read");
    let dma = zones.iter().find(|z| z.zone.as_str() == "DMA").expect("the zone is listed");
    assert!(dma.free.abs_diff(before) < before / 10, "{before} and {dma:?}");
    assert!(dma.trapped_reserve > dma.usable, "{dma:?}");
}

/// A process bound to the fuller one of two nodes, of which it leaves little.
struct Bound {
    work: Workload,
    node: usize,
    _file: BigFile,
}

impl Bound {
    /// `None`, with the reason said, on a machine with one node.
    fn start(test: &str) -> Option<Self> {
        if total_memory() > SMALL || !fs::exists("/sys/devices/system/node/node1").is_ok_and(|yes| yes) {
            skipped(test, "it needs a small machine of two NUMA nodes, as the VM lane for memory pressure has");
            return None;
        }
        // What was left in the caches would make both nodes full.
        fs::write("/proc/sys/vm/drop_caches", "3").expect("caches can be dropped");
        let node = usize::from(node_memory(1, "MemFree") < node_memory(0, "MemFree"));
        let file = BigFile::new(total_memory() * 8);
        let mut work = Workload::start(&format!("bind {node} {}", file.path().display()), None);
        work.go();
        Some(Self { work, node, _file: file })
    }
}

/// A line of a node's `meminfo` in bytes.
fn node_memory(node: usize, name: &str) -> u64 {
    let path = format!("/sys/devices/system/node/node{node}/meminfo");
    let text = fs::read_to_string(&path).expect("the node is there");
    let start = format!("Node {node} {name}:");
    let value = text.lines().find_map(|l| l.strip_prefix(&start)).expect("the kernel has the line");
    value.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn a_full_node_beside_a_free_one_is_told() {
    needs_root!("a_full_node_beside_a_free_one_is_told");
    let mut watch = Watch::start();
    let Some(scene) = Bound::start("a_full_node_beside_a_free_one_is_told") else { return };
    let node = scene.node;
    let who = format!("obs-bind (pid {}", scene.work.pid());
    let short = format!("NUMA node {node} is short of memory while");
    // It is a warning when kswapd has to work for it.
    let right =
        |f: &Finding| f.verdict.starts_with(&short) && f.verdict.contains(&who) && f.severity == Severity::Warning;
    let finding = watch.until("numa_imbalance", right);
    watch.record("numa-bound", "numa_imbalance");
    assert!(evidence(&finding, &format!("looked at by kswapd{node}")).ends_with("/s"), "{finding:#?}");
    let free = || node_memory(node, "MemFree");
    let (before, model) = (free(), watch.tick().clone());
    let (after, nodes) = (free(), model.memory.nodes.expect("nodes are read"));
    let told = nodes[node].now.meminfo.as_ref().and_then(|m| m.free).expect("free memory is read");
    seen!("node {node}: {before}, then {told}, then {after} bytes free");
    // What it churns comes and goes.
    const CHURN: u64 = 8 << 20;
    assert!(told + CHURN >= before.min(after) && told <= before.max(after) + CHURN, "{before} {told} {after}");
}
