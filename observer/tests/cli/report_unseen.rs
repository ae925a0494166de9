//! What the report on memory says when a source or a probe is missing: the part that it fills names the reason.

use observer::{
    diagnose::Diagnosis,
    output::report::Section,
    snapshot::{
        Snapshot,
        coverage::{ProbeState, Source},
        page_alloc::{AllocFailure, Failures, GfpFlag},
    },
};

use crate::{
    report_text::{last, print},
    synthetic::busy,
};

/// Takes a part of a snapshot away.
type Take = fn(&mut Snapshot);

/// Each source, what goes with it, and the words with which the report begins to say so.
const SOURCES: &[(&str, Take, &[&str])] = &[
    (Source::MEMINFO, |s| s.memory.meminfo = None, &["use: not seen", "its parts: not seen", "lists: not seen"]),
    (Source::VMSTAT, |s| s.memory.vmstat = None, &["reclaim, events: not seen", "thresholds of dirty cache: not seen"]),
    (Source::ZONEINFO, |s| s.memory.zones = None, &["zones: not seen", "free memory: not seen"]),
    (Source::BUDDYINFO, |s| s.memory.buddy = None, &["free blocks: not seen"]),
    (Source::PAGETYPEINFO, |s| s.memory.page_types = None, &["by migrate type: not seen"]),
    (Source::NODES, |s| s.memory.nodes = None, &["nodes: not seen"]),
    (Source::SLABINFO, |s| s.memory.slabs = None, &["slab by cache: not seen"]),
    (Source::SWAPS, |s| s.memory.swap = None, &["swap devices: not seen"]),
    (Source::TMPFS, |s| s.memory.shmem = None, &["tmpfs: not seen"]),
    (Source::SYSVIPC, |s| s.memory.shmem.as_mut().unwrap().sysv = None, &["System V: not seen"]),
    (Source::HUGEPAGES, |s| s.memory.hugepages = None, &["pools: not seen"]),
    (
        Source::PRESSURE_MEMORY,
        |s| s.pressure.as_mut().unwrap().memory = None,
        &["stalls: not seen", "memory: not seen"],
    ),
    (Source::PRESSURE_CPU, |s| s.pressure.as_mut().unwrap().cpu = None, &["a CPU: not seen"]),
    (Source::PRESSURE_IO, |s| s.pressure.as_mut().unwrap().io = None, &["block devices: not seen"]),
    (Source::PROCESSES, |s| s.processes = None, &["processes: not seen"]),
    (Source::CGROUPS, |s| s.cgroups = None, &["cgroups: not seen", "refaults beside allocations: not seen"]),
    (
        "cgroups memory.stat",
        |s| s.cgroups.as_mut().unwrap().list.iter_mut().for_each(|c| c.stat = None),
        &["memory.stat: not seen"],
    ),
    (
        "cgroups memory.pressure",
        |s| s.cgroups.as_mut().unwrap().list.iter_mut().for_each(|c| c.pressure = None),
        &["memory.pressure: not seen"],
    ),
];

/// The same for the parts that probes feed.
const PROBES: &[(&str, Take, &[&str])] = &[
    ("page_alloc", |s| s.page_alloc = None, &["page allocations: not seen", "refaults beside allocations: not seen"]),
    ("kswapd", |s| s.kswapd = None, &["kswapd: not seen"]),
    ("reclaim", |s| s.reclaim = None, &["reclaim: not seen"]),
    ("reclaim.scans", |s| s.reclaim.as_mut().unwrap().scans = None, &["what it took: not seen", "scans: not seen"]),
    ("reclaim.throttles", |s| s.reclaim.as_mut().unwrap().throttles = None, &["waits: not seen"]),
    ("compaction", |s| s.compaction = None, &["compaction: not seen"]),
    ("extfrag", |s| s.extfrag = None, &["fallbacks: not seen"]),
    ("shrinkers", |s| s.shrinkers = None, &["shrinkers: not seen"]),
    ("retries", |s| s.retries = None, &["retries: not seen"]),
];

/// The part on memory, its lines joined, so that a sentence that was broken is whole.
fn memory(snapshots: &[Snapshot]) -> String {
    let text = print(&last(snapshots), &Diagnosis::default(), Some(Section::Memory), None);
    let (_, from) = text.split_once("\nMEMORY\n").unwrap();
    from.split_once("\nCOVERAGE\n").unwrap().0.to_owned()
}

/// Asserts that the report says what is missing, with the reason, in each of those words and nowhere before.
fn assert_told(whole: &str, part: &str, words: &[&str], reason: &str) {
    assert!(!whole.contains(reason));
    for words in words {
        let said = format!("  {words}: {reason}\n");
        assert!(!whole.contains(words), "{words} without a reason to: {whole}");
        assert!(part.contains(&said), "{said} is not in: {part}");
    }
}

#[test]
fn a_source_that_is_missing_is_named_where_its_numbers_would_stand() {
    let whole = memory(&busy(3));
    for (name, take, words) in SOURCES {
        let reason = format!("{name} is not to be had today");
        let mut snapshots = busy(3);
        for snapshot in &mut snapshots {
            take(snapshot);
            let sources = &mut snapshot.coverage.sources;
            sources.retain(|s| s.name != *name);
            sources.push(Source { name: (*name).to_owned(), missing: Some(reason.as_str().into()) });
        }
        assert_told(&whole, &memory(&snapshots), words, &reason);
    }
}

#[test]
fn every_source_of_memory_is_in_that_test() {
    // What the synthetic host reads, without what other parts of the report show.
    let network = [Source::STAT, Source::SOFTNET, Source::SOCKSTAT, Source::TCP_MEM];
    let others = [&network[..], &[Source::SNMP, Source::NETSTAT, Source::LINKS, Source::NETWORK]].concat();
    let host = busy(1).remove(0);
    let read = host.coverage.sources.iter().map(|s| s.name.as_str()).filter(|name| !others.contains(name));
    for name in read {
        assert!(SOURCES.iter().any(|(source, ..)| *source == name), "{name}");
    }
    let feeds = host.coverage.probes.iter().map(|p| p.feeds.as_str());
    for feeds in feeds.filter(|feeds| !["oom", "drops", "buffers"].contains(feeds) && !feeds.starts_with("tcp")) {
        assert!(PROBES.iter().any(|(probe, ..)| *probe == feeds), "{feeds}");
    }
}

#[test]
fn a_probe_that_is_missing_is_named_where_its_numbers_would_stand() {
    let whole = memory(&busy(3));
    for (feeds, take, words) in PROBES {
        let reason = format!("{feeds} is not to be had today");
        let mut snapshots = busy(3);
        for snapshot in &mut snapshots {
            take(snapshot);
            for probe in snapshot.coverage.probes.iter_mut().filter(|p| p.feeds == *feeds) {
                let reason = reason.as_str().into();
                probe.state = ProbeState::Absent { reason, replaced_by: None, remedy: None };
            }
        }
        assert_told(&whole, &memory(&snapshots), words, &reason);
    }
}

/// The busy host, whose requests of order 9 failed with these flags.
fn failed_with(gfp: u32, flags: &[(u32, &str)]) -> Vec<Snapshot> {
    let mut snapshots = busy(3);
    for (snapshot, second) in snapshots.iter_mut().zip(0..) {
        let row = AllocFailure {
            cgroup: None,
            pid: Some(1002),
            comm: Some("stress-ng-vm".into()),
            order: 9,
            gfp,
            count: 3 * second,
        };
        let flags = flags.iter().map(|(bit, name)| GfpFlag { bit: *bit, name: (*name).into() }).collect();
        snapshot.page_alloc.as_mut().unwrap().failures = Some(Failures { rows: vec![row], flags });
    }
    snapshots
}

#[test]
fn requests_that_failed_name_their_flags_or_why_not() {
    let named = memory(&failed_with(0x1_2000, &[(0x2000, "__GFP_NOWARN"), (0x1_0000, "__GFP_NORETRY")]));
    let row = |text: &str| {
        let (_, table) = text.split_once("  Requests that failed, and whether").unwrap();
        table.lines().nth(2).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row(&named), "1002 stress-ng-vm 9 3/s is ready NOWARN|NORETRY");
    let mut nameless = failed_with(0x1_2000, &[]);
    for snapshot in &mut nameless {
        let missing = Some("no names today".into());
        snapshot.coverage.sources.push(Source { name: Source::GFP_FLAGS.to_owned(), missing });
    }
    let nameless = memory(&nameless);
    assert_eq!(row(&nameless), "1002 stress-ng-vm 9 3/s ? 0x12000");
    assert!(nameless.contains("  names of flags: not seen: no names today\n"), "{nameless}");
}
