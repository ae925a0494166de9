//! Every committed recording, replayed: the models and findings are those of the day it was made, value for value.
//!
//! The recordings come from real runs (`tests/kernel/make_recordings.rs`, `tests/kernel/pressure/record.rs`). Beside each lie the models and findings that it
//! must give, as compressed JSON; a model may gain values, and may not change or lose one. After a change that is meant,
//! `UPDATE_RECORDINGS=1 cargo test --test replay` writes them anew.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use observer::{
    diagnose::{Diagnosis, RULES, Thresholds, diagnose},
    model::Model,
    output::{
        json,
        metrics::{Exporter, Format},
        report::{self, Report, Section},
        text::Style,
    },
    recording::Reader,
    snapshot::{Snapshot, coverage::ProbeState},
};
use serde_json::Value;

/// Each recording, and the rules that must fire on it at its end. No other may.
const RECORDINGS: &[(&str, &[&str])] = &[
    ("cache-eviction", &["reclaim_stalls", "cgroup_at_limit", "cache_eviction"]),
    ("cgroup-full", &["reclaim_stalls", "cgroup_at_limit"]),
    ("cgroup-high", &["cgroup_at_limit"]),
    ("degraded", &[]),
    ("dentries", &["slab_growth"]),
    ("direct-reclaim", &["reclaim_stalls", "kswapd_hot", "watermark_boost"]),
    ("dirty-throttling", &["dirty_throttling"]),
    ("first-byte-slow", &["slow_first_byte"]),
    ("fragmented", &["fragmentation", "failed_allocations"]),
    ("kswapd", &["reclaim_stalls", "kswapd_hot", "failed_allocations"]),
    ("kswapd-for-nothing", &["reclaim_stalls", "kswapd_hot", "failed_allocations"]),
    ("late-acks", &["flow_limits"]),
    ("listen-overflow", &["retransmissions", "listen_overflow"]),
    ("lowmem-reserve", &["trapped_memory", "watermark_boost"]),
    ("memcg-oom", &[]),
    ("memcg-reclaim", &["reclaim_stalls", "cgroup_at_limit"]),
    ("memfd", &["tmpfs_growth"]),
    ("numa-bound", &["kswapd_hot", "failed_allocations", "watermark_boost", "numa_imbalance"]),
    ("packet-drops", &["packet_drops"]),
    ("packet-rings", &["unexplained_memory"]),
    ("page-alloc", &[]),
    ("page-tables", &["page_table_growth"]),
    ("quiet", &[]),
    ("receive-window", &["flow_limits"]),
    ("refused", &["failed_allocations"]),
    ("service-healthy", &[]),
    ("small-writes", &[]),
    ("swap-thrash", &["reclaim_stalls", "swap_thrash", "cgroup_at_limit"]),
    ("tcp-memory", &["retransmissions", "flow_limits", "packet_drops", "tcp_memory_pressure"]),
    ("tcp-retransmits", &["retransmissions", "flow_limits"]),
    ("tmpfs-fill", &["tmpfs_growth"]),
    ("tunnel-black-hole", &["flow_limits", "tunnel_black_hole"]),
    ("tunnel-fragments", &["tunnel_fragments", "tunnel_mtu"]),
    ("tunnel-healthy", &["flow_limits"]),
    ("tunnel-mtu", &["flow_limits", "tunnel_mtu"]),
    ("tunnel-offload", &["flow_limits", "tunnel_missing_offload"]),
    ("tunnel-one-core", &["tunnel_one_core"]),
    ("tunnel-queue", &["tunnel_drops", "flow_limits"]),
    ("tunnel-rps", &["tunnel_rps_off"]),
    ("watermark-boost", &["reclaim_stalls", "watermark_boost"]),
    ("zombies", &["zombie_cgroups"]),
];
/// Rules that the tests beside them alone see firing, and why.
const WITHOUT_RECORDING: &[(&str, &str)] =
    &[("oom_disagreement", "a log overflows by more kills than a small recording of a busy host can hold")];
const EXPECTED: &str = "expected.json.zst";
/// Largest recording in bytes, its expected models included.
const LARGEST: u64 = 200_000;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings").join(name)
}

fn snapshots(name: &str) -> Vec<Snapshot> {
    let mut reader = Reader::open(&folder(name)).expect("a recording");
    let all: Vec<Snapshot> = reader.by_ref().collect::<Result<_, _>>().expect("whole");
    assert!(reader.is_complete() && reader.meta().masked && all.len() > 1, "{name}: {:?}", reader.meta());
    all
}

fn models(name: &str) -> Vec<Model> {
    let all = snapshots(name);
    std::iter::once(Model::new(&all[0], None)).chain(all.windows(2).map(|w| Model::new(&w[1], Some(&w[0])))).collect()
}

fn diagnosis(name: &str) -> Diagnosis {
    diagnose(&models(name), &Thresholds::default())
}

/// Asserts that `found` has every value of `expected`.
fn assert_has(found: &Value, expected: &Value, at: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (key, value) in expected {
                let at = format!("{at}.{key}");
                assert_has(found.get(key).unwrap_or_else(|| panic!("{at} is gone")), value, &at);
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{at}");
            found.iter().zip(expected).enumerate().for_each(|(i, (f, e))| assert_has(f, e, &format!("{at}[{i}]")));
        }
        _ => assert_eq!(found, expected, "{at}"),
    }
}

#[test]
fn models_and_findings_are_what_they_were() {
    for (name, _) in RECORDINGS {
        let models = models(name);
        let findings = diagnose(&models, &Thresholds::default());
        let text = serde_json::to_string(&serde_json::json!({ "models": models, "diagnosis": findings })).unwrap();
        let path = folder(name).join(EXPECTED);
        if std::env::var_os("UPDATE_RECORDINGS").is_some() {
            fs::write(&path, zstd::encode_all(text.as_bytes(), 19).unwrap()).unwrap();
        }
        // Both go through one parser, so that equal numbers stay equal.
        let expected = zstd::decode_all(fs::File::open(&path).unwrap()).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        assert_has(&serde_json::from_str(&text).unwrap(), &expected, name);
    }
}

#[test]
fn each_recording_fires_its_rules_and_no_other() {
    for (name, rules) in RECORDINGS {
        let diagnosis = diagnosis(name);
        let fired: Vec<_> = diagnosis.findings.iter().map(|f| f.rule).collect();
        assert_eq!(fired, *rules, "{name}: {:#?}", diagnosis.findings);
    }
}

#[test]
fn each_rule_has_a_recording_that_it_fires_on() {
    let fired: Vec<_> = RECORDINGS.iter().flat_map(|(_, rules)| *rules).collect();
    let is_known = |name: &str| WITHOUT_RECORDING.iter().any(|(rule, _)| *rule == name);
    let without = RULES.iter().map(|rule| rule.name).filter(|name| !fired.contains(&name) && !is_known(name));
    let without: Vec<_> = without.collect();
    assert!(without.is_empty(), "{without:?} fire on no recording");
}

#[test]
fn every_recording_is_played_and_small() {
    let root = folder("");
    let mut names: Vec<_> =
        fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, RECORDINGS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for name in &names {
        let sizes = fs::read_dir(root.join(name)).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
        let bytes: u64 = sizes.sum();
        assert!(bytes < LARGEST, "{name} has {bytes} bytes");
    }
}

#[test]
fn every_output_takes_every_recording() {
    for (name, _) in RECORDINGS {
        let (models, snapshots) = (models(name), snapshots(name));
        let diagnosis = diagnose(&models, &Thresholds::default());
        let model = models.last().unwrap();
        for section in [None, Some(Section::Memory), Some(Section::Oom), Some(Section::Tcp), Some(Section::Tunnels)] {
            let report = Report { model, diagnosis: &diagnosis, section };
            for width in [None, Some(80)] {
                let text = report::text(&report, Style { width, color: false });
                assert!(text.lines().count() > 3, "{name} {section:?}: {text}");
                assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{name} {section:?}: {text:?}");
                let longest = text.lines().map(|l| l.chars().count()).max().unwrap();
                assert!(width.is_none_or(|w| longest <= w), "{name} {section:?}: {longest} columns\n{text}");
            }
            let document: Value = serde_json::from_str(&json::document(&report, false).unwrap()).unwrap();
            assert!(document.get("coverage").is_some(), "{name} {section:?}: {document}");
        }
        let mut exporter = Exporter::new(10);
        for snapshot in snapshots {
            let page = exporter.page(snapshot, Duration::from_millis(1));
            let text = String::from_utf8(page.body(Format::OpenMetrics, false).unwrap().to_vec()).unwrap();
            assert!(text.ends_with("# EOF\n") && text.contains("observer_"), "{name}: {text}");
        }
    }
}

#[test]
fn page_allocations_of_a_busy_cgroup_lead_the_ranking() {
    let models = models("page-alloc");
    let last = models.last().unwrap().page_alloc.as_ref().unwrap();
    let busiest = last.cgroups.first().unwrap();
    assert!(busiest.path.is_some() && busiest.allocs.allocations.unwrap() > 10_000.0, "{busiest:?}");
    assert!(last.processes.first().unwrap().cgroup == busiest.cgroup);
    assert!(last.total.counts.allocations() >= busiest.allocs.counts.allocations());
}

#[test]
fn an_oom_kill_names_victim_trigger_and_cgroup() {
    let models = models("memcg-oom");
    let oom = models.last().unwrap().oom.as_ref().unwrap();
    assert_eq!((oom.kills, oom.events_lost, oom.recent.len()), (1, 0, 1));
    let kill = &oom.recent[0].event;
    assert_ne!(kill.victim.pid, kill.trigger.pid);
    assert_ne!(kill.victim.comm, kill.trigger.comm, "a mask keeps apart what was apart");
    assert!(kill.victim.cgroup.is_some() && kill.victim.cgroup == kill.trigger.cgroup);
    assert!(kill.victim.cgroup_path.is_some());
    let in_vmstat: u64 = models.iter().filter_map(|m| m.memory.vm.oom_kills).sum();
    assert_eq!(in_vmstat, 1, "/proc/vmstat agrees");
}

#[test]
fn kswapd_and_who_woke_it_are_told_on_another_kernel() {
    let models = models("kswapd");
    let last = models.last().unwrap();
    assert!(last.host.kernel_release.as_str().starts_with("6.1."), "{:?}", last.host);
    let kswapd = last.kswapd.as_ref().unwrap();
    assert!(kswapd.nodes.iter().any(|n| n.node == 0 && n.awake_ratio.is_some_and(|r| r > 0.5)), "{kswapd:?}");
    let asked = kswapd.requesters.first().unwrap();
    assert!(asked.requests_in_interval > 0 && asked.cgroup_path.is_some(), "{asked:?}");
}

#[test]
fn a_recording_without_capabilities_says_what_is_missing() {
    let all = snapshots("degraded");
    let coverage = &all.last().unwrap().coverage;
    assert!(!coverage.probes.is_empty() && !coverage.is_full());
    for probe in &coverage.probes {
        let ProbeState::Absent { reason, .. } = &probe.state else { panic!("{probe:?}") };
        assert!(!reason.is_empty());
    }
    assert!(all.iter().all(|s| s.page_alloc.is_none() && s.oom.is_none() && s.memory.meminfo.is_some()));
}
