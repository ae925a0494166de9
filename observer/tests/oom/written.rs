//! Reports of kernels that no test can start, written to the format: read whole, and explained right.

use observer::{
    diagnose::oom::{Cause, Context, Explanation, Memory, explain},
    output::{oom, text::Style},
    snapshot::oom_report::{Cut, OomReport},
    source::oom_log::Scanner,
};

use super::log;

/// What a file must be read as.
struct Expected {
    file: &'static str,
    kernel: &'static str,
    context: Context,
    /// Path of the cgroup with the limit and levels up to it; `None` if it is not of a cgroup.
    cgroup: Option<(&'static str, usize)>,
    /// Who was killed, or would have been.
    pid: u32,
    /// The weightiest reason.
    cause: Option<Cause>,
}

const POD: &str = "/kubepods/burstable/podf3a9f0f1-2d11-4a44-9d7c-0b8d6a1c2e3f/8b1a9953c461";

const EXPECTED: [Expected; 15] = [
    row("2.6.32-global.dmesg", "2.6.32-5-amd64", Context::FileFault, None, 3111, Some(Cause::SwapFull)),
    row("2.6.32-el6-global.dmesg", "2.6.32-431.el6.x86_64", Context::AnonymousFault, None, 2134, Some(Cause::NoSwap)),
    row("3.10-global.dmesg", "3.10.0-957.el7.x86_64", Context::Fork, None, 1840, Some(Cause::Fragmentation)),
    row("3.10-memcg.dmesg", "3.10.0-327.el7.x86_64", Context::Fault, Some(("/docker", 1)), 9128, Some(Cause::NoSwap)),
    row("4.4-global.syslog", "4.4.0-21-generic", Context::Fork, None, 1502, Some(Cause::NoSwap)),
    row("4.9-global.dmesg", "4.9.0-8-amd64", Context::AnonymousFault, None, 20110, Some(Cause::SwapFull)),
    row("4.15-global.dmesg", "4.15.0-72-generic", Context::AnonymousFault, None, 902, Some(Cause::Slab)),
    row(
        "4.19-memcg.syslog",
        "4.19.0-16-cloud-amd64",
        Context::AnonymousFault,
        Some((POD, 0)),
        31120,
        Some(Cause::SwapLimit),
    ),
    row("5.4-memcg.json", "5.4.0-100-generic", Context::Write, Some(("/app", 0)), 5120, Some(Cause::NoSwap)),
    row("5.10-exiting.dmesg", "5.10.0-13-amd64", Context::Write, Some(("/io", 0)), 4409, Some(Cause::NoSwap)),
    row("5.10-sysrq.dmesg", "5.10.0-13-amd64", Context::Sysrq, None, 520, None),
    row(
        "5.15-kmsg",
        "5.15.0-91-generic",
        Context::AnonymousFault,
        Some(("/tenant.slice", 2)),
        7001,
        Some(Cause::SwapLimit),
    ),
    row(
        "5.15-memcg.dmesg",
        "5.15.0-91-generic",
        Context::AnonymousFault,
        Some(("/tenant.slice", 2)),
        7001,
        Some(Cause::SwapLimit),
    ),
    row("5.19-mempolicy.dmesg", "5.19.0-50-generic", Context::AnonymousFault, None, 1500, Some(Cause::NoSwap)),
    row("6.12-profiling.dmesg", "6.12.1-custom", Context::FileFault, None, 801, Some(Cause::Unaccounted)),
];

const fn row(
    file: &'static str,
    kernel: &'static str,
    context: Context,
    cgroup: Option<(&'static str, usize)>,
    pid: u32,
    cause: Option<Cause>,
) -> Expected {
    Expected { file, kernel, context, cgroup, pid, cause }
}

fn of(file: &str) -> Vec<(OomReport, Explanation)> {
    let bytes = log(&format!("written/{file}"));
    let reports = Scanner::new(bytes.as_slice(), file.into()).unwrap().map(Result::unwrap);
    reports.map(|report| (report.clone(), explain(&report))).collect()
}

#[test]
fn each_is_read_whole_and_explained_right() {
    for expected in EXPECTED {
        let file = expected.file;
        let all = of(file);
        let (report, explanation) = all.first().unwrap_or_else(|| panic!("{file}: no report"));
        assert_eq!((&report.unread[..], &report.unknown_fields[..]), (&[][..], &[][..]), "{file}");
        assert_eq!((report.cut, report.kernel.as_ref().unwrap().as_str()), (None, expected.kernel), "{file}");
        assert_eq!((report.page_size.bytes, report.page_size.known), (4096, report.exiting.is_none()), "{file}");
        assert_eq!(explanation.asked.as_ref().unwrap().context, expected.context, "{file}: {:#?}", report.trace);
        assert_eq!(explanation.victim.as_ref().unwrap().pid, expected.pid, "{file}");
        let cause = explanation.reasons.first().map(|r| r.cause);
        assert_eq!(cause, expected.cause, "{file}: {:#?}", explanation.reasons);
        let cgroup = match &explanation.limit.memory {
            Memory::Cgroup { path, levels_above, .. } => Some((path.as_str(), levels_above.unwrap())),
            _ => None,
        };
        assert_eq!(cgroup, expected.cgroup, "{file}");
        let total = explanation.usage.total.unwrap().cast_signed();
        let rest = explanation.usage.unaccounted.unwrap();
        let is_rest = expected.cause == Some(Cause::Unaccounted);
        assert_eq!(rest * 10 > total, is_rest, "{file}: {rest} of {total} in no counter");
        assert!(rest >= -total / 50, "{file}: {rest} of {total}");
    }
}

#[test]
fn what_is_said_of_each() {
    let style = Style { width: Some(80), color: false };
    for Expected { file, .. } in EXPECTED {
        let texts: Vec<_> =
            of(file).iter().map(|(report, explanation)| oom::text(explanation, report, style)).collect();
        insta::assert_snapshot!(format!("written_{file}"), texts.join("\n"));
    }
}

#[test]
fn whose_memory_it_was_is_told_apart() {
    let of = |file: &str| of(file).remove(0);
    assert_eq!(of("5.10-sysrq.dmesg").1.limit.memory, Memory::Sysrq);
    let (report, explanation) = of("5.19-mempolicy.dmesg");
    assert_eq!(explanation.limit.memory, Memory::Policy { nodes: Some("1".into()) });
    assert_eq!(explanation.usage.total, report.zones[0].value("managed"));
    // The form of the log changes nothing of what it says.
    let (mut lines, mut kmsg) = (of("5.15-memcg.dmesg").0, of("5.15-kmsg").0);
    (lines.origin, kmsg.origin) = Default::default();
    assert_eq!(lines, kmsg);
    let (report, _) = of("4.15-global.dmesg");
    assert_eq!((report.slabs.len(), report.slabs[0].name.as_str()), (4, "leaky_object (v2)"));
    let (report, explanation) = of("6.12-profiling.dmesg");
    assert_eq!((report.allocations.len(), report.allocations[0].bytes), (5, 312 << 20));
    assert!(explanation.advice.iter().any(|a| a.text.contains("drivers/net/example/ring.c:211 [example]")));
    let (report, _) = of("5.4-memcg.json");
    assert_eq!((report.origin.host.unwrap().as_str(), report.origin.begin.boot_ns), ("app-3", Some(880_012_000_000)));
    assert_eq!(report.memcg.unwrap().stats[0].values.last().unwrap().0.as_str(), "pgdeactivate");
}

#[test]
fn a_victim_that_ends_by_itself_is_no_kill() {
    let all = of("5.10-exiting.dmesg");
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|(report, _)| report.kills.is_empty() && report.exiting.is_some()));
    assert_eq!(
        all[0].1.headline,
        "Nothing was killed, because fio (pid 4409) was chosen and ended already: cgroup /io reached its memory limit of 64 MiB"
    );
    // The second has no more than its last line.
    assert_eq!((all[1].0.cut, all[1].0.exiting.as_ref().unwrap().comm.as_str()), (Some(Cut::NoBegin), "fio (2)"));
}

#[test]
fn a_child_may_be_killed_for_its_parent() {
    for (file, parent) in [("2.6.32-global.dmesg", "httpd (pid 3098)"), ("3.10-global.dmesg", "worker (pid 1822)")] {
        let (report, explanation) = of(file).remove(0);
        assert_eq!(report.kills.len(), 1, "{file}");
        let why = explanation.victim.unwrap().why;
        assert!(why.starts_with(parent) && why.contains("kill a child"), "{file}: {why}");
    }
}
