//! One NUMA node is short of memory while another has plenty.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, allocators, common};
use crate::{
    model::{Model, memory::Node},
    snapshot::{coverage::Source, page_alloc::AllocCounts},
    units,
};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Share of a node that is free or page cache of files, below which it is short: what is left is reclaim's own margin.
const SHORT_RATIO: f64 = 0.1;
/// Share of a node that is free, from which it could take what another lacks.
const PLENTY_RATIO: f64 = 0.3;
/// Pages a second that were meant for a node and went elsewhere, from which it costs something: 4 MiB/s of far memory.
const FOREIGN_PAGES: f64 = 1024.0;
/// Bytes a second that a node's kswapd looks at, from which the shortage is felt.
const BUSY_SCAN: f64 = 1024.0 * 1024.0;

pub(super) const RULE: Rule = Rule {
    name: "numa_imbalance",
    about: "One NUMA node is short of memory, or hands its requests to others, while another is free.",
    check,
};

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let Some(nodes) = &newest.memory.nodes else {
        return common::no_source(window, "memory of each node", Source::NODES);
    };
    let free = |n: &Node| n.free_ratio.unwrap_or(0.0);
    let Some(roomy) = nodes.iter().max_by(|a, b| free(a).total_cmp(&free(b))) else { return Outcome::Quiet };
    let (models, seconds) = window.last(LOOK_BACK_SECONDS);
    let others = || nodes.iter().filter(|n| n.now.node != roomy.now.node);
    let Some(short) = others().min_by(|a, b| reach(a).total_cmp(&reach(b))) else { return Outcome::Quiet };
    let foreign_of = |n: &Node| of_node(models, n.now.node, |n| n.foreign).unwrap_or(0.0);
    let hands_off = others().max_by(|a, b| foreign_of(a).total_cmp(&foreign_of(b)));
    let hands_off = hands_off.filter(|n| foreign_of(n) >= FOREIGN_PAGES);
    let scan = common::mean(models, |m| m.kswapd.as_ref()?.nodes.iter().find(|n| n.node == short.now.node)?.scanned);

    let is_short = reach(short) < SHORT_RATIO;
    let node = match (is_short, hands_off) {
        _ if free(roomy) < PLENTY_RATIO => return Outcome::Quiet,
        (true, _) => short,
        (false, Some(node)) => node,
        (false, None) => return Outcome::Quiet,
    };
    let (from, to) = (node.now.node, roomy.now.node);
    let foreign = foreign_of(node);
    let felt = foreign >= FOREIGN_PAGES || scan.is_some_and(|s| s >= BUSY_SCAN);
    let severity = if felt { Severity::Warning } else { Severity::Info };

    let mut evidence = vec![held(node), held(roomy)];
    if foreign > 0.0 {
        let value = format!("{} pages", units::per_second(foreign));
        evidence.push(Evidence::new(
            format!("meant for node {from} and allocated elsewhere"),
            value,
            "numastat numa_foreign",
        ));
    }
    if let Some(scan) = scan.filter(|s| *s > 0.0) {
        let value = units::bytes_per_second(scan);
        evidence.push(Evidence::new(
            format!("looked at by kswapd{from}"),
            value,
            "vmscan:mm_vmscan_lru_shrink_inactive",
        ));
    }
    let who = requester(models, from).or_else(|| allocators::most(models, AllocCounts::pages).map(|a| a.name()));
    let by = who.map_or(String::new(), |who| format!("; {who} asks for most"));
    evidence.extend(allocators::hint(models, seconds));
    let verdict = if is_short {
        format!("NUMA node {from} is short of memory while {} of node {to} is free{by}", units::percent(free(roomy)))
    } else {
        format!(
            "{} pages meant for NUMA node {from} are taken elsewhere while {} of node {to} is free{by}",
            units::per_second(foreign),
            units::percent(free(roomy))
        )
    };
    let advice = vec![
        "See where each process has its memory (`numastat -p NAME`, /proc/PID/numa_maps) and what binds it (`grep Mems_allowed_list /proc/PID/status`, cpuset.mems of its cgroup, numactl).".into(),
        "Let it use both nodes: `numactl --interleave=all` or `--preferred` instead of `--membind`, or a wider cpuset.mems; `migratepages PID FROM TO` moves what is there.".into(),
        "Nobody is bound: check that vm.zone_reclaim_mode is 0, so that a full node does not reclaim what another has free.".into(),
    ];
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice })
}

/// Share of a node that can be had without swap: free, or page cache of files. 1 where it is not known.
fn reach(node: &Node) -> f64 {
    let known = node.now.meminfo.as_ref().and_then(|m| {
        let files = m.active_file? + m.inactive_file?;
        Some((m.free? + files) as f64 / (m.total?.max(1)) as f64)
    });
    known.unwrap_or(1.0)
}

fn held(node: &Node) -> Evidence {
    let info = node.now.meminfo.as_ref();
    let show = |bytes: Option<u64>| units::or_unknown(bytes.map(|b| b as f64), units::bytes);
    let files = info.and_then(|m| Some(m.active_file? + m.inactive_file?));
    let value = format!(
        "{} of {}, page cache of files {}, anonymous {}",
        show(info.and_then(|m| m.free)),
        show(info.and_then(|m| m.total)),
        show(files),
        show(info.and_then(|m| m.anon_pages))
    );
    Evidence::new(format!("free on node {}", node.now.node), value, "/sys/devices/system/node/nodeN/meminfo")
}

fn of_node(models: &[Model], node: u32, rate: fn(&Node) -> Option<f64>) -> Option<f64> {
    common::mean(models, |m| rate(m.memory.nodes.as_ref()?.iter().find(|n| n.now.node == node)?))
}

/// Who woke the node's kswapd most in the newest interval in which somebody did.
fn requester(models: &[Model], node: u32) -> Option<String> {
    let of = |m: &'_ Model| -> Option<String> {
        let rows = m.kswapd.as_ref()?.requesters.iter().filter(|r| r.who.node == node && r.per_second.is_some());
        let row = rows.filter(|r| r.requests_in_interval > 0).max_by_key(|r| r.requests_in_interval)?;
        Some(allocators::process(&row.who.comm, row.who.pid, row.cgroup_path.as_ref()))
    };
    models.iter().rev().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{Snapshot, memory},
    };

    /// Two nodes of 1000 bytes each: free, page cache, and pages meant for node 0 that went elsewhere in a second.
    fn outcome(free: [u64; 2], files: u64, foreign: u64) -> Outcome {
        let at = |second, foreign| -> Snapshot {
            let mut s = snapshot_at(second);
            let nodes = [0, 1].map(|n: usize| memory::Node {
                node: n as u32,
                meminfo: Some(memory::NodeMeminfo {
                    total: Some(1000),
                    free: Some(free[n]),
                    active_file: Some(files),
                    inactive_file: Some(0),
                    ..Default::default()
                }),
                numastat: Some(memory::NumaStat {
                    foreign: Some(if n == 0 { foreign } else { 0 }),
                    ..Default::default()
                }),
            });
            s.memory.nodes = Some(nodes.to_vec());
            s
        };
        check(&Window::new(&models(&[at(1, 0), at(2, foreign)])).unwrap())
    }

    #[test]
    fn a_full_node_beside_a_free_one() {
        let finding = fired(outcome([20, 900], 10, 0));
        assert_eq!(finding.severity, Severity::Info, "nobody feels it yet");
        assert!(finding.verdict.starts_with("NUMA node 0 is short of memory while 90 % of node 1"), "{finding:?}");
        assert_eq!(fired(outcome([20, 900], 10, 5000)).severity, Severity::Warning);
    }

    #[test]
    fn requests_that_go_elsewhere() {
        let finding = fired(outcome([300, 900], 10, 5000));
        assert!(finding.verdict.starts_with("5 k/s pages meant for NUMA node 0"), "{}", finding.verdict);
    }

    #[test]
    fn page_cache_is_no_shortage_and_two_full_nodes_are_no_imbalance() {
        assert_eq!(outcome([20, 900], 500, 0), Outcome::Quiet);
        assert_eq!(outcome([20, 30], 10, 5000), Outcome::Quiet);
        assert_eq!(outcome([500, 900], 10, 0), Outcome::Quiet);
    }

    #[test]
    fn without_the_source_it_says_so() {
        let blind = [snapshot_at(1), snapshot_at(2)];
        assert!(matches!(check(&Window::new(&models(&blind)).unwrap()), Outcome::NoData { .. }));
    }
}
