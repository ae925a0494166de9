//! Reports of kills that `tests/kernel/oom_reports` made, named `scene-hierarchy-kernel.kmsg`: what was made is what is told.

use observer::{
    diagnose::oom::{Cause, Explanation, Memory, ZoneVerdict, explain},
    snapshot::oom_report::OomReport,
    source::oom_log::reports,
};

use super::{log, logs};

/// Whose memory it was.
#[derive(Debug, PartialEq)]
enum Whose {
    Host,
    /// A cgroup, so many levels above that of the victim; `None` if there was no victim.
    Cgroup(Option<usize>),
    Cpuset,
    Policy,
    Sysrq,
}
use Whose::*;

/// What a scene has to be explained with: whose memory, who was chosen, and the weightiest reason that nothing could be freed.
const SCENES: &[(&str, Whose, Option<&str>, Option<Cause>)] = &[
    ("own-limit", Cgroup(Some(0)), Some("obs-hog"), Some(Cause::SwapLimit)),
    ("parent-limit", Cgroup(Some(2)), Some("obs-hog"), Some(Cause::SwapLimit)),
    ("swap-limit", Cgroup(Some(0)), Some("obs-hog"), Some(Cause::SwapLimit)),
    ("tmpfs", Cgroup(Some(0)), Some("obs-fill"), Some(Cause::Tmpfs)),
    ("locked", Cgroup(Some(0)), Some("obs-app"), Some(Cause::Locked)),
    ("memory-min", Cgroup(Some(1)), Some("obs-app"), Some(Cause::Cache)),
    ("page-tables", Cgroup(Some(0)), Some("obs-tables"), Some(Cause::PageTables)),
    ("slab-v1", Cgroup(Some(0)), Some("obs-queue"), Some(Cause::Kernel)),
    ("slab-v2", Cgroup(Some(0)), Some("obs-queue"), Some(Cause::Slab)),
    ("pipes", Cgroup(Some(0)), Some("obs-hoard"), Some(Cause::Kernel)),
    ("spared", Cgroup(Some(0)), Some("obs-worker"), Some(Cause::SwapLimit)),
    ("group", Cgroup(Some(1)), Some("obs-hog"), Some(Cause::SwapLimit)),
    ("exiting", Cgroup(Some(0)), Some("obs-exiting"), Some(Cause::SwapLimit)),
    ("name-escapes", Cgroup(Some(0)), Some("\\x1b[31m\"'\\\\\\n{}\\xff\\xfe"), Some(Cause::SwapLimit)),
    ("name-bracket", Cgroup(Some(0)), Some("] name"), Some(Cause::SwapLimit)),
    ("name-fields", Cgroup(Some(0)), Some("a,pid=1,uid=2"), Some(Cause::SwapLimit)),
    ("name-columns", Cgroup(Some(0)), Some("x) total-vm:1"), Some(Cause::SwapLimit)),
    ("host-v", Host, Some("obs-hog"), Some(Cause::NoSwap)),
    ("host-swap-full", Host, Some("obs-hog"), Some(Cause::SwapFull)),
    ("host-tmpfs", Host, Some("obs-app"), Some(Cause::Tmpfs)),
    ("host-huge-pages", Host, Some("obs-hog"), Some(Cause::HugePages)),
    ("host-order-3", Host, Some("obs-checker"), Some(Cause::Fragmentation)),
    ("host-allocating-task", Host, Some("obs-asks"), Some(Cause::NoSwap)),
    ("cpuset", Cpuset, Some("obs-hog"), Some(Cause::NoSwap)),
    ("memory-policy", Policy, Some("obs-bound"), Some(Cause::NoSwap)),
    ("sysrq", Sysrq, Some("obs-victim"), None),
];

/// Logs of a scene, with the one report of each.
fn of(scene: &str) -> Vec<(String, OomReport, Explanation)> {
    let start = if scene.contains("-v") { scene.to_owned() } else { format!("{scene}-v") };
    let names = logs().into_iter().filter(|name| name.ends_with(".kmsg") && name.starts_with(&start));
    let one = |name: String| {
        let [report] = reports(name.as_str().into(), &log(&name)).try_into().expect("a log of one report");
        let explanation = explain(&report);
        (name, report, explanation)
    };
    names.map(one).collect()
}

fn whose(memory: &Memory) -> Whose {
    match memory {
        Memory::Host => Host,
        Memory::Cgroup { levels_above, .. } => Cgroup(*levels_above),
        Memory::Cpuset { .. } => Cpuset,
        Memory::Policy { .. } => Policy,
        Memory::Sysrq => Sysrq,
        Memory::Unknown => panic!("it is known"),
    }
}

#[test]
fn what_was_made_is_told() {
    for (scene, memory, victim, cause) in SCENES {
        let all = of(scene);
        assert!(!all.is_empty(), "{scene} has no log");
        for (name, report, explanation) in all {
            assert!(report.unread.is_empty() && report.cut.is_none(), "{name}: {:?}", report.unread);
            assert_eq!(&whose(&explanation.limit.memory), memory, "{name}");
            let chosen = explanation.victim.as_ref().map(|v| v.comm.as_str().to_owned());
            assert_eq!(chosen.as_deref(), *victim, "{name}");
            let first = explanation.reasons.first().map(|r| r.cause);
            assert_eq!(first, *cause, "{name}: {:#?}", explanation.reasons);
        }
    }
}

#[test]
fn every_log_is_of_a_known_scene() {
    for name in logs().iter().filter(|name| name.ends_with(".kmsg")) {
        assert!(SCENES.iter().any(|(scene, ..)| name.starts_with(scene)), "{name}");
    }
}

#[test]
fn who_was_killed_beside_or_instead() {
    for (name, report, explanation) in of("group") {
        assert_eq!((report.kills.len(), report.group.is_some()), (3, true), "{name}");
        let said = explanation.victim.as_ref().unwrap().sentence();
        assert!(said.contains("memory.oom.group") && said.contains("2 others were killed with it"), "{said}");
    }
    for (name, report, explanation) in of("exiting") {
        assert!(report.exiting.is_some() && report.kills.is_empty(), "{name}");
        assert!(explanation.headline.starts_with("Nothing was killed"), "{}", explanation.headline);
    }
    for (name, _, explanation) in of("spared") {
        let victim = explanation.victim.unwrap();
        assert!(victim.spared[0].bytes > victim.bytes.unwrap(), "{name}: {victim:#?}");
        assert_eq!(victim.is_trigger, Some(false), "{name}");
    }
}

/// Written: the end of a report where the only process may not be killed.
#[test]
fn nobody_may_be_killed() {
    let text = String::from_utf8(log("own-limit-v1-6.18.kmsg")).unwrap();
    let lines = text.lines().filter(|l| !l.contains("oom-kill:") && !l.contains("Killed process"));
    let mut text: String =
        lines.map(|l| l.replace("             0 obs-hog", "         -1000 obs-hog") + "\n").collect();
    text += "4,99,39473000000,-;Out of memory and no killable processes...\n";
    let [report] = reports("log".into(), text.as_bytes()).try_into().expect("one report");
    let explanation = explain(&report);
    assert!(report.no_killable && report.unread.is_empty() && report.cut.is_none() && report.kills.is_empty());
    assert!(explanation.headline.starts_with("The kernel killed nobody"), "{}", explanation.headline);
    assert!(explanation.summary.iter().any(|s| s.contains("oom_score_adj -1000")), "{:#?}", explanation.summary);
    assert_eq!(whose(&explanation.limit.memory), Cgroup(None));
}

#[test]
fn a_node_is_told_apart_from_the_host() {
    for (name, report, explanation) in of("cpuset").into_iter().chain(of("memory-policy")) {
        assert!(report.nodes.iter().any(|n| n.node == 1), "{name}");
        assert!(explanation.zones.iter().all(|z| z.node == 1 && z.verdict == ZoneVerdict::BelowMin), "{name}");
        let of_kinds: u64 = explanation.usage.kinds.iter().map(|k| k.bytes).sum();
        let (all, free) = (explanation.limit.limit.unwrap(), explanation.limit.free_elsewhere.unwrap());
        assert!(of_kinds <= all && of_kinds > all * 9 / 10, "{name}: {of_kinds} of {all}");
        assert!(free > all / 4, "{name}: {free}");
    }
}

#[test]
fn no_block_is_large_enough() {
    for (name, report, explanation) in of("host-order-3") {
        assert_eq!(report.request.as_ref().and_then(|r| r.order), Some(3), "{name}");
        let free: u64 = explanation.zones.iter().map(|z| z.free).sum();
        assert!(free > explanation.limit.limit.unwrap() / 8, "{name}: {free}");
        assert!(explanation.zones.iter().any(|z| z.verdict == ZoneVerdict::NoBlock), "{name}");
        // What is left of the smallest zone may be just enough a moment later.
        let mut would = explanation.zones.iter().filter(|z| z.verdict == ZoneVerdict::WouldDo);
        assert!(would.all(|z| z.zone.as_str() == "DMA"), "{name}");
        assert!(explanation.headline.ends_with("the host had no free block of 32 KiB"), "{}", explanation.headline);
    }
}
