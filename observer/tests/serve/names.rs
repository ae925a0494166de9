//! Names that others chose, and things that vanish while they are looked at.

use std::{collections::BTreeMap, process::Command, thread};

use observer::snapshot::Name;

use crate::{
    exposition::{Exposition, Series},
    http,
    target::{Target, is_root, wait_for},
    workload::{Cgroup, Holder},
};

/// Quote, line break, backslash, braces, a color, a byte that is no UTF-8: all that a line of metrics could break at.
const HOSTILE: &[u8] = b"a\"b\n\\}{,=\x1b[1m\xff";

fn scrape(target: &Target, accept: &str) -> Exposition {
    let response = http::request(target.address, "GET", "/metrics", accept);
    assert_eq!(response.status, 200);
    Exposition::parse(&response.text())
}

/// False, and says so, where the kernel probes cannot be loaded.
fn probes_work(test: &str, target: &Target) -> bool {
    let works = is_root() && scrape(target, "").of("observer_page_alloc_allocations_total").next().is_some();
    if !works {
        println!("SKIPPED {test}: the page_alloc probe is not attached (root and BPF are needed)");
    }
    works
}

#[test]
fn a_hostile_process_name_breaks_no_line() {
    let target = Target::start(&["--top", "1000"]);
    if !probes_work("a_hostile_process_name_breaks_no_line", &target) {
        return;
    }
    let holder = Holder::named(HOSTILE, 64);
    let comm = Name::from_bytes(HOSTILE);
    assert_eq!(std::fs::read(format!("/proc/{}/comm", holder.pid())).unwrap(), [HOSTILE, b"\n"].concat());
    for accept in ["", "Accept: application/openmetrics-text\r\n"] {
        let bytes = wait_for("the process to be named", || {
            let metrics = scrape(&target, accept);
            let found = metrics
                .of("observer_page_alloc_process_bytes_total")
                .find(|(labels, bytes)| labels["comm"] == comm.as_str() && *bytes >= 64.0 * 1048576.0);
            found.map(|(_, bytes)| bytes)
        });
        assert!(bytes < 80.0 * 1048576.0, "{bytes}");
    }
}

#[test]
fn what_vanishes_leaves_no_counter_that_goes_back() {
    // Few names, so that they are fought for.
    let target = Target::start(&["--top", "5"]);
    let mut before: BTreeMap<Series, f64> = BTreeMap::new();
    for round in 0..12 {
        let metrics = thread::scope(|scope| {
            let churn = scope.spawn(|| {
                for i in 0..30 {
                    if let Ok(cgroup) = Cgroup::new(&format!("vanish-{round}-{i}"), 64 << 20) {
                        cgroup.run("true", &[]);
                    }
                    Command::new("true").status().unwrap();
                }
            });
            let mut metrics = scrape(&target, "");
            while !churn.is_finished() {
                metrics = scrape(&target, "");
            }
            metrics
        });
        for (series, value) in metrics.counters() {
            if let Some(old) = before.get(series) {
                assert!(value >= *old, "{series:?} went from {old} to {value}");
            }
        }
        let named = metrics.of("observer_page_alloc_process_bytes_total").count();
        assert!(named <= 6, "{named} series with --top 5");
        before = metrics.counters().map(|(series, value)| (series.clone(), value)).collect();
    }
    assert_eq!(scrape(&target, "").value("observer_dropped_points_total"), 0.0);
}

#[test]
fn a_cgroup_that_is_gone_keeps_its_last_counts() {
    let target = Target::start(&["--top", "1000"]);
    if !probes_work("a_cgroup_that_is_gone_keeps_its_last_counts", &target) {
        return;
    }
    let limit = 32 << 20;
    let cgroup = match Cgroup::new("gone", limit) {
        Ok(cgroup) => cgroup,
        Err(reason) => {
            println!("SKIPPED a_cgroup_that_is_gone_keeps_its_last_counts: {reason}");
            return;
        }
    };
    let path = cgroup.path.clone();
    // Its name is learned while it is there.
    scrape(&target, "");
    wait_for("a snapshot with the cgroup", || {
        cgroup.run("true", &[]);
        let metrics = scrape(&target, "");
        let found = metrics.of("observer_page_alloc_cgroup_bytes_total").any(|(l, _)| l["cgroup"] == path);
        found.then_some(())
    });
    cgroup.oom(limit);
    drop(cgroup);
    let (bytes, kills) = wait_for("the kill to be counted", || {
        let metrics = scrape(&target, "");
        let of = |name: &str| metrics.of(name).find(|(l, _)| l["cgroup"] == path).map(|(_, v)| v);
        of("observer_page_alloc_cgroup_bytes_total").zip(of("observer_oom_cgroup_kills_total"))
    });
    // The killed process had the whole limit but what its binary took.
    assert!(bytes > 0.8 * limit as f64, "{bytes}");
    assert_eq!(kills, 1.0);
    let metrics = scrape(&target, "");
    let info = metrics.of("observer_oom_last_kill_info").find(|(l, _)| l["victim_cgroup"] == path);
    assert_eq!(info.map(|(l, _)| l["victim_comm"].as_str()), Some("dd"));
}
