//! One bed for each limit, and one without.

use std::{process::Command, thread::sleep, time::Duration};

use serde_json::Value;

use super::{Sites, TUNNEL, Traffic, UNDERLAY, reported};
use crate::{
    make_recordings::{finish, record},
    support::{
        may_run, needs_root,
        runs::{self, right_nearly_always},
        seen, skipped,
        wait::wait_for,
        wire::{ip, run, tc},
    },
};

/// Bytes a second that no part of this host minds.
const MODEST: u32 = 2_000_000;

/// What is done to healthy sites, and what goes through them then.
struct Bed {
    name: &'static str,
    /// Labels of the verdict.
    expected: &'static [&'static str],
    prepare: fn(&Sites),
    traffic: fn(&Sites) -> Traffic,
    /// True if what shows it is counted in the same way by all kernels: in a slow guest nothing is learned from it.
    plain: bool,
}

const HEALTHY: Bed = Bed {
    name: "tunnel-healthy",
    expected: &["none"],
    prepare: |_| (),
    traffic: |s| Traffic::tcp(s, Some(MODEST)),
    plain: true,
};

const QUEUE: Bed = Bed {
    name: "tunnel-queue",
    expected: &["drops"],
    prepare: |s| {
        s.near.inside(|| {
            tc(&["qdisc", "add", "dev", UNDERLAY, "root", "tbf", "rate", "20mbit", "burst", "16kb", "limit", "40kb"]);
        });
    },
    traffic: |s| Traffic::tcp(s, None),
    plain: true,
};

const MTU: Bed = Bed {
    name: "tunnel-mtu",
    expected: &["mtu"],
    prepare: |s| set_mtu(s, "1500"),
    traffic: |s| Traffic::tcp(s, Some(MODEST)),
    plain: true,
};

const FRAGMENTS: Bed = Bed {
    name: "tunnel-fragments",
    expected: &["fragments"],
    prepare: |s| set_mtu(s, "1500"),
    traffic: |s| Traffic::udp(s, 1472),
    plain: false,
};

const OFFLOAD: Bed = Bed {
    name: "tunnel-offload",
    expected: &["offload"],
    // The interface below takes one segment at a time.
    prepare: |s| s.near.inside(|| ip(&["link", "set", UNDERLAY, "gso_max_segs", "1"])),
    traffic: |s| Traffic::tcp(s, Some(20 * MODEST)),
    plain: true,
};

const OFFLOAD_OFF: Bed = Bed {
    name: "tunnel-offload-off",
    expected: &["offload"],
    prepare: |s| {
        let off = ["tx-udp_tnl-segmentation", "off", "tx-udp_tnl-csum-segmentation", "off"];
        s.near.inside(|| run("ethtool", &[&["-K", UNDERLAY], &off[..]].concat()));
    },
    traffic: |s| Traffic::tcp(s, Some(20 * MODEST)),
    plain: true,
};

fn set_mtu(sites: &Sites, mtu: &str) {
    for site in [&sites.near, &sites.far] {
        site.inside(|| ip(&["link", "set", TUNNEL, "mtu", mtu]));
    }
}

/// The bed with its traffic, running until it no longer starts up: what it was made for shows.
fn started(bed: &Bed) -> (Sites, Traffic) {
    let sites = Sites::new();
    (bed.prepare)(&sites);
    let traffic = (bed.traffic)(&sites);
    sleep(Duration::from_secs(2));
    (sites, traffic)
}

/// Judges a bed.
fn judge(test: &str, bed: &Bed) {
    if !may_run(test) {
        return;
    }
    if bed.plain && runs::asked().is_none() && std::env::var_os("OBSERVER_TEST_WHOLE_MACHINE").is_some() {
        return skipped(test, "in a guest it is the same as on the host; OBSERVER_TEST_RUNS=1 runs it");
    }
    right_nearly_always(test, |_| {
        let (sites, _traffic) = started(bed);
        let mut said = Value::Null;
        // On a busy machine a time-out may come late.
        let found = (0..3).any(|_| {
            let (_, verdict) = reported(&sites, "4s");
            let found = bed.expected.iter().any(|label| verdict["limit"] == *label);
            said = verdict;
            found
        });
        seen!("{test}: {}, {}", said["limit"], said["shares"]);
        if !found {
            seen!("{test}: {said:#}");
        }
        Ok(vec![found])
    });
}

macro_rules! beds {
    ($($name:ident: $bed:expr;)*) => {$(
        #[test]
        fn $name() {
            judge(stringify!($name), &$bed);
        }
    )*};
}

beds! {
    a_tunnel_without_a_limit: HEALTHY;
    a_queue_of_the_underlay_that_drops: QUEUE;
    a_tunnel_with_a_larger_mtu_than_fits: MTU;
    outer_packets_that_are_cut: FRAGMENTS;
    large_packets_that_a_processor_cuts: OFFLOAD;
}

/// The feature that is off is named, with the command that switches it on.
#[test]
fn a_feature_that_is_switched_off_is_named() {
    const NAME: &str = "a_feature_that_is_switched_off_is_named";
    needs_root!("a_feature_that_is_switched_off_is_named");
    if Command::new("ethtool").arg("--version").output().is_err() {
        return skipped(NAME, "there is no ethtool");
    }
    let (sites, _traffic) = started(&OFFLOAD_OFF);
    wait_for("the feature to be named", || {
        let (tunnel, verdict) = reported(&sites, "4s");
        let sign = verdict["signs"].as_array()?.iter().find(|sign| sign["limit"] == "offload")?.clone();
        let words = sign["verdict"].as_str().expect("words");
        assert!(words.ends_with(": tx-udp_tnl-segmentation of under0 is off"), "{sign:#}");
        let advice = sign["advice"][0].as_str().expect("words");
        assert!(
            advice.ends_with("ethtool -K under0 tx-udp_tnl-segmentation on tx-udp_tnl-csum-segmentation on`."),
            "{advice}"
        );
        seen!("{words}: {advice} {}", tunnel["underlays"][0]["features"]);
        Some(())
    });
}

/// What is reported agrees with `ip` and with the connection that is known to be there.
#[test]
fn counters_overhead_and_connections_are_the_kernels() {
    needs_root!("counters_overhead_and_connections_are_the_kernels");
    let (sites, traffic) = started(&HEALTHY);
    let before = shown(&sites);
    let (tunnel, _) = reported(&sites, "3s");
    let after = shown(&sites);
    drop(traffic);
    let now = tunnel["link"]["tx_bytes"].as_u64().expect("a number");
    assert!((before..=after).contains(&now), "{before} <= {now} <= {after}");
    assert_eq!(tunnel["peers"][0]["budget"]["most"], 1450, "{tunnel:#}");
    assert_eq!(tunnel["peers"][0]["address"], "192.0.2.2");
    assert_eq!(tunnel["flows"].as_array().map(Vec::len), Some(1), "one connection: {tunnel:#}");
    let overhead = tunnel["samples"]["overhead_bytes"].as_f64();
    seen!(
        "counters_overhead_and_connections_are_the_kernels: {overhead:?} B a packet, {}",
        tunnel["samples"]["latency_mean_seconds"]
    );
    if let Some(bytes) = overhead {
        assert!((bytes - 50.0).abs() < 0.5, "{bytes}");
    }
}

/// Bytes that the near tunnel sent, as `ip` has it.
fn shown(sites: &Sites) -> u64 {
    let output =
        sites.near.inside(|| Command::new("ip").args(["-s", "-j", "link", "show", TUNNEL]).output().expect("ip runs"));
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    list[0]["stats64"]["tx"]["bytes"].as_u64().expect("a number")
}

#[test]
fn a_tunnel_without_traffic_is_idle() {
    needs_root!("a_tunnel_without_traffic_is_idle");
    let sites = Sites::new();
    let (tunnel, verdict) = reported(&sites, "1200ms");
    assert_eq!((&tunnel["kind"], &verdict["limit"]), (&Value::from("vxlan"), &Value::from("idle")));
}

#[test]
#[ignore = "writes into the source tree"]
fn make_tunnel_recordings() {
    needs_root!("make_tunnel_recordings");
    for bed in [HEALTHY, QUEUE, MTU, FRAGMENTS, OFFLOAD] {
        let (sites, _traffic) = started(&bed);
        let inside = || finish(record(bed.name, "4s", None));
        sites.near.inside(inside);
    }
}
