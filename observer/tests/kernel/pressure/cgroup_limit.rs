//! A cgroup at its limit: full of page cache, and full of memory that nothing can take.

use observer::diagnose::{Finding, Severity};

use super::{Watch, evidence};
use crate::support::{cgroup::Cgroup, file::BigFile, needs_root, observer::cgroup_number, skipped, workload::Workload};

const LIMIT: u64 = 32 << 20;

/// A file larger than the cgroup, read in a loop.
struct CacheAtLimit {
    _reader: Workload,
    cgroup: Cgroup,
    _file: BigFile,
}

impl CacheAtLimit {
    fn start() -> Self {
        let (cgroup, file) = (Cgroup::limited("cache", LIMIT), BigFile::new(4 * LIMIT));
        let mut reader = Workload::start(&format!("read {} 100000", file.path().display()), Some(&cgroup));
        reader.go();
        Self { _reader: reader, cgroup, _file: file }
    }
}

/// Anonymous memory up to the limit, and beside it a reader whose cache finds no room. Without swap nothing can be taken.
struct AnonAtLimit {
    _reader: Workload,
    _holder: Workload,
    cgroup: Cgroup,
    _file: BigFile,
}

impl AnonAtLimit {
    fn start() -> Self {
        let (cgroup, file) = (Cgroup::limited("anon", 2 * LIMIT), BigFile::new(LIMIT));
        let mut holder = Workload::start(&format!("hold {}", 2 * LIMIT - (6 << 20)), Some(&cgroup));
        let mut reader = Workload::start(&format!("read {} 100000", file.path().display()), Some(&cgroup));
        assert_eq!(holder.step(), "done");
        reader.go();
        Self { _reader: reader, _holder: holder, cgroup, _file: file }
    }
}

/// Anonymous memory that grows above `memory.high`, which lets nobody be killed: its process is made to wait.
struct AnonAboveHigh {
    holder: Workload,
    cgroup: Cgroup,
}

impl AnonAboveHigh {
    /// `None`, with the reason said, where cgroups have no such limit.
    fn start(test: &str) -> Option<Self> {
        let cgroup = Cgroup::new("high");
        if !cgroup.is_v2() {
            skipped(test, "only cgroups of version 2 have memory.high, as in the VM lane");
            return None;
        }
        cgroup.throttle(LIMIT);
        let mut holder = Workload::start(&format!("hold {}", 2 * LIMIT), Some(&cgroup));
        holder.go();
        Some(Self { holder, cgroup })
    }
}

#[test]
fn a_cgroup_above_its_throttling_limit_waits_and_is_named() {
    needs_root!("a_cgroup_above_its_throttling_limit_waits_and_is_named");
    let mut watch = Watch::start();
    let Some(scene) = AnonAboveHigh::start("a_cgroup_above_its_throttling_limit_waits_and_is_named") else { return };
    let name = scene.cgroup.name();
    let who = format!("obs-hold (pid {})", scene.holder.pid());
    // It is made to wait for up to 2 s: not in each snapshot has it asked for pages.
    let named = |f: &Finding| f.verdict.contains(&name) && f.evidence.iter().any(|e| e.what.contains(&who));
    let finding = watch.until("cgroup_at_limit", named);
    watch.record("cgroup-high", "cgroup_at_limit");
    assert!(finding.verdict.contains("throttling limit (memory.high)"), "{finding:#?}");
    assert!(!finding.verdict.contains("OOM"), "nobody is killed at this limit: {finding:#?}");
    evidence(&finding, "throttled above memory.high");
    // The kernel's own numbers, read around a snapshot.
    let high = || cgroup_number(&scene.cgroup, "", ("memory.events", "high "));
    let stalled = || {
        let text = scene.cgroup.file("", "memory.pressure");
        let total = text.lines().next().and_then(|l| l.rsplit_once("total=")).expect("a line of some").1;
        total.parse::<f64>().expect("a number") / 1e6
    };
    let before = (high(), stalled());
    watch.tick();
    let after = (high(), stalled());
    let row = watch.snapshot().cgroups.as_ref().and_then(|c| c.by_id(scene.cgroup.id())).expect("it is listed");
    let hits = row.high_hits.expect("hits are read");
    assert!((before.0..=after.0).contains(&hits) && hits > 0, "{} <= {hits} <= {}", before.0, after.0);
    let some = row.pressure.as_ref().and_then(|p| p.some).expect("PSI of the cgroup is read").total_seconds;
    assert!((before.1..=after.1).contains(&some) && some > 0.1, "{} <= {some} <= {}", before.1, after.1);
    assert_eq!((row.high, row.limit), (Some(LIMIT), None));
    let usage = row.usage.expect("use is read");
    assert!(usage > LIMIT && usage < 2 * LIMIT, "{usage}");
}

/// Times that the limit was met, as the kernel counts it now.
fn hits(cgroup: &Cgroup) -> u64 {
    cgroup_number(cgroup, "memory.memsw.failcnt", ("memory.events.local", "max"))
        + if cgroup.is_v2() { 0 } else { cgroup_number(cgroup, "memory.failcnt", ("", "")) }
}

#[test]
fn a_cgroup_full_of_cache_is_told_from_one_without() {
    needs_root!("a_cgroup_full_of_cache_is_told_from_one_without");
    let mut watch = Watch::start();
    {
        let scene = CacheAtLimit::start();
        let name = scene.cgroup.name();
        let finding = watch.until("cgroup_at_limit", |f| f.verdict.contains(&name));
        assert!(finding.severity < Severity::Critical, "{finding:#?}");
        watch.record("cgroup-cache", "cgroup_at_limit");
        // The kernel's own count of the limit, read around a snapshot.
        let before = hits(&scene.cgroup);
        watch.tick();
        let after = hits(&scene.cgroup);
        let row = watch.snapshot().cgroups.as_ref().and_then(|c| c.by_id(scene.cgroup.id())).expect("it is listed");
        let counted = row.own_limit_hits.expect("hits are read");
        assert!((before..=after).contains(&counted), "{before} <= {counted} <= {after}");
        let usage = row.usage.expect("use is read");
        assert!(usage <= LIMIT && usage > LIMIT / 2, "{usage}");
        let stat = row.stat.as_ref().expect("memory.stat is read");
        assert!(stat.inactive_file.unwrap() + stat.active_file.unwrap() > LIMIT / 2, "{stat:?}");
        let stalls = watch.diagnosis().findings.into_iter().find(|f| f.rule == "reclaim_stalls");
        assert!(stalls.is_none_or(|f| f.verdict.contains(&name)), "nobody else stalls");
    }
    let scene = AnonAtLimit::start();
    let name = scene.cgroup.name();
    let finding = watch.until("cgroup_at_limit", |f| f.verdict.contains(&name));
    assert_eq!(finding.severity, Severity::Critical);
    watch.record("cgroup-full", "cgroup_at_limit");
    assert!(finding.verdict.contains("no page cache left"), "{finding:#?}");
    assert!(
        evidence(&finding, "what only swap can take").contains("anonymous 5")
            || evidence(&finding, "what only swap can take").contains("anonymous 6"),
        "{finding:#?}"
    );
}
