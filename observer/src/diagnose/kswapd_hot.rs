//! kswapd works without a pause, or works for nothing.

use std::collections::HashMap;

use super::{
    Evidence, Finding, Outcome, Rule, Severity, Window,
    common::{mean, needs_interval, no_probe, no_source, process, top_allocator},
};
use crate::{
    model::{
        Model,
        kswapd::{Node, Requester},
    },
    snapshot::coverage::Source,
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Share of the time that a node's kswapd is awake from which it runs hot.
const HOT_AWAKE_RATIO: f64 = 0.5;
/// Bytes a second that kswapd must look at to be called busy: the tracepoints count the tenth of a second that it waits
/// before it sleeps as awake, so frequent short wakes look hot when they are not.
const BUSY_SCAN: f64 = 16.0 * 1024.0 * 1024.0;
/// Share of what it looks at that it must reclaim, or it works for nothing.
const POOR_EFFICIENCY: f64 = 0.1;

pub(super) const RULE: Rule =
    Rule { name: "kswapd_hot", about: "kswapd runs without a pause, or reclaims little of what it looks at.", check };

/// How one node's kswapd did over the window. Without the probes, of the host as a whole.
#[derive(Debug, Clone, Copy)]
struct Work {
    node: Option<u32>,
    scanned: f64,
    efficiency: Option<f64>,
    awake: Option<f64>,
}

impl Work {
    fn is_poor(&self) -> bool {
        self.scanned >= BUSY_SCAN && self.efficiency.is_some_and(|e| e < POOR_EFFICIENCY)
    }

    fn is_hot(&self) -> bool {
        self.scanned >= BUSY_SCAN && self.awake.is_some_and(|a| a >= HOT_AWAKE_RATIO)
    }
}

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = needs_interval(window) {
        return outcome;
    }
    let (models, _) = window.last(LOOK_BACK_SECONDS);
    let Some(host) = host(models) else { return no_source(window, "bytes scanned by kswapd", Source::VMSTAT) };
    if host.scanned < BUSY_SCAN {
        return Outcome::Quiet;
    }
    let nodes = nodes(models, host);
    let worst = |trouble: fn(&Work) -> bool| {
        nodes.iter().copied().filter(trouble).max_by(|a, b| a.scanned.total_cmp(&b.scanned))
    };
    let (work, poor) = match (worst(Work::is_poor), worst(Work::is_hot)) {
        (Some(work), _) => (work, true),
        (None, Some(work)) => (work, false),
        _ if window.newest().kswapd.is_some() => return Outcome::Quiet,
        _ => return no_probe(window, "time that kswapd is awake", "kswapd"),
    };
    Outcome::Fires(finding(window, models, work, poor))
}

/// kswapd of all nodes together, from /proc/vmstat. `None` if that has no counts.
fn host(models: &[Model]) -> Option<Work> {
    let scanned = mean(models, |m| m.memory.vm.scan_kswapd)?;
    let reclaimed = mean(models, |m| m.memory.vm.steal_kswapd);
    let efficiency = reclaimed.filter(|_| scanned > 0.0).map(|r| r / scanned);
    Some(Work { node: None, scanned, efficiency, awake: None })
}

/// Each node's kswapd. Where scans are not known by node, those of the host stand for each.
fn nodes(models: &[Model], host: Work) -> Vec<Work> {
    let Some(newest) = models.last().and_then(|m| m.kswapd.as_ref()) else { return vec![host] };
    if newest.nodes.is_empty() {
        return vec![host];
    }
    let of = |node: u32, value: fn(&Node) -> Option<f64>| {
        mean(models, |m| m.kswapd.as_ref()?.nodes.iter().find(|n| n.node == node).and_then(value))
    };
    let work = |node: u32| {
        let awake = of(node, |n| n.awake_ratio);
        let Some(scanned) = of(node, |n| n.scanned) else { return Work { node: Some(node), awake, ..host } };
        let efficiency = of(node, |n| n.reclaimed).filter(|_| scanned > 0.0).map(|r| r / scanned);
        Work { node: Some(node), scanned, efficiency, awake }
    };
    newest.nodes.iter().map(|n| work(n.node)).collect()
}

fn finding(window: &Window<'_>, models: &[Model], work: Work, poor: bool) -> Finding {
    let newest = window.newest();
    let by_node = newest.kswapd.as_ref().is_some_and(|k| k.nodes.iter().any(|n| n.scanned.is_some()));
    let kswapd = work.node.map_or("kswapd".to_owned(), |node| format!("kswapd{node}"));
    let source = |vmstat: &str| {
        if by_node { "vmscan:mm_vmscan_lru_shrink_inactive".to_owned() } else { format!("/proc/vmstat {vmstat}") }
    };
    let scanner = if by_node { kswapd.as_str() } else { "kswapd" };
    let mut evidence = vec![Evidence::new(
        format!("looked at by {scanner}"),
        units::bytes_per_second(work.scanned),
        source("pgscan_kswapd"),
    )];
    if let Some(awake) = work.awake {
        let source = "vmscan:mm_vmscan_kswapd_{wake,sleep}";
        evidence.push(Evidence::new(format!("{kswapd} awake"), units::percent(awake), source));
    }
    if let Some(efficiency) = work.efficiency {
        let source = source("pgsteal_kswapd");
        evidence.push(Evidence::new("reclaimed of what it looked at", units::percent(efficiency), source));
    }
    let asked = requester(models, work.node);
    if let Some((r, rate)) = asked {
        evidence.push(Evidence::new(
            format!("asked for most by {}", who(r)),
            units::per_second(rate),
            "vmscan:mm_vmscan_wakeup_kswapd",
        ));
    }
    if let Some(p) = top_allocator(newest, None) {
        let rate = p.allocs.pages.zip(newest.host.page_size).map(|(pages, size)| pages * size as f64);
        let place = p.cgroup_path.as_ref().map_or(String::new(), |path| format!(" of cgroup {path}"));
        evidence.push(Evidence::new(
            format!("allocates most: {}{place}", process(&p.comm, p.pid)),
            units::or_unknown(rate, units::bytes_per_second),
            "kmem:mm_page_alloc",
        ));
    }
    let asked_by = asked.map_or(String::new(), |(r, _)| format!(", asked for by {}", who(r)));
    let (severity, verdict, advice) = if poor {
        (
            Severity::Critical,
            format!("{kswapd} works for nothing: it reclaims little of what it looks at{asked_by}"),
            vec![
                "What it looks at cannot be taken: anonymous memory without swap, tmpfs, dirty or locked pages. See the Memory pane for which.".into(),
                "Direct reclaim and OOM kills follow when this goes on: add swap or zram, or limit who grows.".into(),
            ],
        )
    } else {
        (
            Severity::Warning,
            format!("{kswapd} runs hot{asked_by}"),
            vec![
                "Memory is consumed as fast as it is freed: see who allocates (`observer report memory`).".into(),
                "If that is one reader of large files, limit its cache with a memory cgroup, or let it use O_DIRECT or POSIX_FADV_DONTNEED.".into(),
            ],
        )
    };
    Finding { rule: RULE.name, severity, verdict, evidence, advice }
}

/// A requester for people, its cgroup included.
fn who(r: &Requester) -> String {
    let cgroup = r.cgroup_path.as_ref().map_or(String::new(), |path| format!(" of cgroup {path}"));
    format!("{}{cgroup}", process(&r.who.comm, r.who.pid))
}

/// Who asked for a node's kswapd most often over the models, and how often in a second. All nodes if none is given.
fn requester(models: &[Model], node: Option<u32>) -> Option<(&Requester, f64)> {
    let mut sums: HashMap<_, (&Requester, u64)> = HashMap::new();
    let rows = models.iter().filter_map(|m| m.kswapd.as_ref()).flat_map(|k| &k.requesters);
    for row in rows.filter(|r| node.is_none_or(|node| r.who.node == node)) {
        let sum = sums.entry((row.who.pid, row.who.cgroup)).or_insert((row, 0));
        *sum = (row, sum.1 + row.requests_in_interval);
    }
    let seconds: f64 = models.iter().filter_map(|m| m.interval).map(|i| i.seconds).sum();
    let (row, requests) = sums.into_values().max_by_key(|(r, n)| (*n, std::cmp::Reverse(r.who.pid)))?;
    (seconds > 0.0).then(|| (row, requests as f64 / seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{self, CgroupId, Name, Snapshot, kswapd, memory::Vmstat, reclaim},
    };

    fn after_one_second(scan: u64, steal: u64, awake_ns: Option<u64>) -> Outcome {
        let at = |second, scan, steal, awake_ns: Option<u64>| -> Snapshot {
            let mut s = snapshot_at(second);
            s.memory.vmstat = Some(Vmstat {
                pgscan_kswapd_bytes: Some(scan),
                pgsteal_kswapd_bytes: Some(steal),
                ..Default::default()
            });
            s.kswapd = awake_ns.map(|awake_ns| kswapd::Kswapd {
                nodes: vec![kswapd::KswapdNode { awake_ns, ..Default::default() }],
                ..Default::default()
            });
            s
        };
        check(&Window::new(&models(&[at(1, 0, 0, awake_ns.map(|_| 0)), at(2, scan, steal, awake_ns)])).unwrap())
    }

    #[test]
    fn awake_and_busy_is_hot() {
        assert_eq!(fired(after_one_second(1 << 30, 1 << 30, Some(900_000_000))).severity, Severity::Warning);
    }

    #[test]
    fn awake_without_work_is_not() {
        assert_eq!(after_one_second(1 << 20, 1 << 20, Some(900_000_000)), Outcome::Quiet);
    }

    #[test]
    fn work_for_nothing_is_seen_without_the_probe() {
        assert_eq!(fired(after_one_second(1 << 30, 1 << 20, None)).severity, Severity::Critical);
    }

    #[test]
    fn without_the_probe_it_cannot_tell_hot_from_busy() {
        assert!(matches!(after_one_second(1 << 30, 1 << 30, None), Outcome::NoData { .. }));
    }

    /// Two nodes that look at 1 GiB and 2 GiB a second; of the first nearly nothing is reclaimed.
    #[test]
    fn the_node_that_works_for_nothing_is_named_with_who_asked_for_it() {
        let at = |second: u64| {
            let mut s = snapshot_at(second);
            s.memory.vmstat = Some(Vmstat {
                pgscan_kswapd_bytes: Some((3 << 30) * second),
                pgsteal_kswapd_bytes: Some((2 << 30) * second),
                ..Default::default()
            });
            let scan = |node, reclaimed: u64, scanned: u64| reclaim::Scan {
                node,
                by: reclaim::Scanner::Kswapd,
                cgroup: None,
                file: true,
                scanned_bytes: scanned * second,
                reclaimed_bytes: reclaimed * second,
            };
            let scans = vec![scan(0, 1 << 20, 1 << 30), scan(1, 2 << 30, 2 << 30)];
            s.reclaim = Some(reclaim::Reclaim { scans: Some(scans), ..Default::default() });
            let requester = |node, pid, comm: &str, requests| kswapd::KswapdRequester {
                node,
                pid,
                comm: comm.into(),
                cgroup: Some(CgroupId(pid.into())),
                requests: requests * second,
                last_order: 0,
                last_gfp: 0,
            };
            let node = |node| kswapd::KswapdNode { node, awake_ns: second * 900_000_000, ..Default::default() };
            s.kswapd = Some(kswapd::Kswapd {
                nodes: vec![node(0), node(1)],
                requesters: vec![
                    requester(0, 5, "hog", 30),
                    requester(0, 6, "small", 2),
                    requester(1, 7, "reader", 99),
                ],
                other_requests: 0,
            });
            let cgroup = snapshot::Cgroup { id: CgroupId(5), path: Name::from("/batch"), ..Default::default() };
            s.cgroups = Some(snapshot::Cgroups { list: vec![cgroup], ..Default::default() });
            s
        };
        let finding = fired(check(&Window::new(&models(&[at(1), at(2), at(3)])).unwrap()));
        assert_eq!(finding.severity, Severity::Critical);
        assert_eq!(
            finding.verdict,
            "kswapd0 works for nothing: it reclaims little of what it looks at, asked for by hog (pid 5) of cgroup /batch"
        );
        assert!(
            finding.evidence.iter().any(|e| e.what == "looked at by kswapd0" && e.value == "1 GiB/s"),
            "{finding:#?}"
        );
        assert!(finding.evidence.iter().any(|e| e.what.contains("hog") && e.value == "30/s"), "{finding:#?}");
    }
}
