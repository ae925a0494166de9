//! kswapd works without a pause, or works for nothing.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, common::mean};
use crate::{model::Model, units};

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

fn check(window: &Window<'_>) -> Outcome {
    let newest = window.newest();
    if newest.interval.is_none() {
        return Outcome::NoData { lacks: "a second snapshot of the same boot".into(), reason: None };
    }
    let (models, _) = window.last(LOOK_BACK_SECONDS);
    let Some(scan) = mean(models, |m| m.memory.vm.scan_kswapd) else {
        let reason = newest.coverage.source_reason("/proc/vmstat").cloned();
        return Outcome::NoData { lacks: "bytes scanned by kswapd".into(), reason };
    };
    if scan < BUSY_SCAN {
        return Outcome::Quiet;
    }
    let steal = mean(models, |m| m.memory.vm.steal_kswapd);
    let efficiency = steal.map(|steal| steal / scan);
    let poor = efficiency.is_some_and(|e| e < POOR_EFFICIENCY);
    let awake = hottest(models);
    let hot = awake.is_some_and(|(_, ratio)| ratio >= HOT_AWAKE_RATIO);
    if !poor && !hot {
        return if newest.kswapd.is_some() {
            Outcome::Quiet
        } else {
            let reason = newest.coverage.probe_reason("kswapd").cloned();
            Outcome::NoData { lacks: "time that kswapd is awake".into(), reason }
        };
    }

    let mut evidence =
        vec![Evidence::new("looked at by kswapd", units::bytes_per_second(scan), "/proc/vmstat pgscan_kswapd")];
    if let Some((node, ratio)) = awake {
        evidence.push(Evidence::new(
            format!("kswapd{node} awake"),
            units::percent(ratio),
            "vmscan:mm_vmscan_kswapd_{wake,sleep}",
        ));
    }
    if let Some(efficiency) = efficiency {
        evidence.push(Evidence::new(
            "reclaimed of what it looked at",
            units::percent(efficiency),
            "/proc/vmstat pgsteal_kswapd",
        ));
    }
    let requester = newest.kswapd.as_ref().and_then(|k| k.requesters.first());
    if let Some(r) = requester {
        let cgroup = r.cgroup_path.as_ref().map_or(String::new(), |p| format!(", cgroup {p}"));
        evidence.push(Evidence::new(
            format!("asked for most by {} (pid {}{cgroup})", r.who.comm, r.who.pid),
            units::or_unknown(r.per_second, units::per_second),
            "vmscan:mm_vmscan_wakeup_kswapd",
        ));
    }
    let asked_by = requester.map_or(String::new(), |r| format!(", asked for by {} (pid {})", r.who.comm, r.who.pid));
    let (severity, verdict, advice) = if poor {
        (
            Severity::Critical,
            format!("kswapd works for nothing: it reclaims little of what it looks at{asked_by}"),
            vec![
                "What it looks at cannot be taken: anonymous memory without swap, tmpfs, dirty or locked pages. See the Memory pane for which.".into(),
                "Direct reclaim and OOM kills follow when this goes on: add swap or zram, or limit who grows.".into(),
            ],
        )
    } else {
        (
            Severity::Warning,
            format!("kswapd runs hot{asked_by}"),
            vec![
                "Memory is consumed as fast as it is freed: see who allocates (`observer report memory`).".into(),
                "If that is one reader of large files, limit its cache with a memory cgroup, or let it use O_DIRECT or POSIX_FADV_DONTNEED.".into(),
            ],
        )
    };
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice })
}

/// The node whose kswapd was awake for the largest share of the time.
fn hottest(models: &[Model]) -> Option<(u32, f64)> {
    let nodes = models.last()?.kswapd.as_ref()?.nodes.iter().map(|n| n.node);
    let awake = |model: &Model, node| model.kswapd.as_ref()?.nodes.iter().find(|n| n.node == node)?.awake_ratio;
    nodes
        .filter_map(|node| mean(models, |m| awake(m, node)).map(|ratio| (node, ratio)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{Snapshot, kswapd, memory::Vmstat},
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
}
