//! One bed for each limit, and some without.

use std::{any::Any, process::Command, thread::sleep, time::Duration};

use serde_json::Value;

use super::{
    FAR, Sites, TUNNEL, UNDERLAY,
    cores::{Cpus, Least, Plan, Softirqs, Stream, compare_with, steer},
    reported,
    traffic::Traffic,
};
use crate::{
    flows::clients::Client,
    make_recordings::{finish, record},
    support::{
        needs_root,
        netns::{Netns, counters},
        runs::{self, right_nearly_always},
        seen, skipped,
        wait::wait_for,
        wire::{ip, run, tc},
    },
};

/// Bytes a second that no part of this host minds.
const MODEST: u32 = 2_000_000;

/// What is done to healthy sites, and what goes through them then.
#[derive(Clone, Copy)]
struct Bed {
    name: &'static str,
    /// Labels of all that is wrong with the tunnel, first the verdict; without a limit that verdict alone.
    expected: &'static [&'static str],
    /// The end whose tunnel is judged.
    end: End,
    prepare: fn(&Sites),
    traffic: fn(&Sites) -> Result<Load, String>,
    /// Time-outs of TCP at that end before there is something to be seen.
    timeouts: u64,
    /// What the processors have to do before anything can be said of them.
    least: Option<Least>,
    /// True if what shows it is counted in the same way by all kernels: in a slow guest nothing is learned from it.
    plain: bool,
}

/// Whatever sends; it ends when it is dropped.
type Load = Box<dyn Any>;

#[derive(Clone, Copy)]
enum End {
    Near,
    Far,
}

const HEALTHY: Bed = Bed {
    name: "tunnel-healthy",
    expected: &["none"],
    end: End::Near,
    prepare: |_| (),
    traffic: |s| threads(s, 1, Some(MODEST)),
    timeouts: 0,
    least: None,
    plain: true,
};

const IDLE: Bed = Bed { name: "tunnel-idle", expected: &["idle"], traffic: |_| Ok(Box::new(())), ..HEALTHY };

/// A queue of 40 kB that four connections share: it is full whenever they are not all waiting for a time-out.
const QUEUE: Bed = Bed {
    name: "tunnel-queue",
    expected: &["drops"],
    prepare: |s| {
        s.near.inside(|| {
            tc(&["qdisc", "add", "dev", UNDERLAY, "root", "tbf", "rate", "20mbit", "burst", "16kb", "limit", "40kb"]);
        });
    },
    traffic: |s| threads(s, 4, None),
    ..HEALTHY
};

const MTU: Bed = Bed { name: "tunnel-mtu", expected: &["mtu"], prepare: |s| for_both(s, &["mtu", "1500"]), ..HEALTHY };

const FRAGMENTS: Bed = Bed {
    name: "tunnel-fragments",
    expected: &["fragments", "mtu"],
    traffic: |s| Ok(Box::new(Traffic::udp(s, 1472))),
    plain: false,
    ..MTU
};

const OFFLOAD: Bed = Bed {
    name: "tunnel-offload",
    expected: &["offload"],
    // The interface below takes one segment at a time.
    prepare: |s| s.near.inside(|| ip(&["link", "set", UNDERLAY, "gso_max_segs", "1"])),
    traffic: |s| threads(s, 1, Some(20 * MODEST)),
    ..HEALTHY
};

const OFFLOAD_OFF: Bed = Bed {
    name: "tunnel-offload-off",
    prepare: |s| {
        let off = ["tx-udp_tnl-segmentation", "off", "tx-udp_tnl-csum-segmentation", "off"];
        s.near.inside(|| run("ethtool", &[&["-K", UNDERLAY], &off[..]].concat()));
    },
    ..OFFLOAD
};

const BLACK_HOLE: Bed = Bed {
    name: "tunnel-black-hole",
    expected: &["black_hole"],
    prepare: |s| {
        // One packet is one segment: the filter would take a large one as a whole.
        for_both(s, &["gso_max_segs", "1"]);
        s.drop_above(1400);
    },
    traffic: |s| threads(s, 1, None),
    // A busy machine makes the first round trip long, and with it every time-out.
    timeouts: 3,
    ..HEALTHY
};

/// One processor receives for the far end, and what it does with a packet takes much longer than to send one.
const ONE_CORE: Bed = Bed {
    name: "tunnel-one-core",
    expected: &["one_core"],
    end: End::Far,
    prepare: |s| {
        compare_with(&s.far, 4000);
        steer(&s.far, "1");
    },
    traffic: |s| {
        let plan = Plan { flows: 8, window: 600, busy_ms: 10, sender: 1, reader: 1, first: true };
        Ok(Box::new((Stream::new(s, plan), Softirqs::first_on(0))))
    },
    timeouts: 0,
    least: Some(Least { softirq: 0.93, packets: 0.0 }),
    plain: true,
};

/// Nobody is told to receive: a cable of two ends delivers packets on the processor that sends them.
const RECEIVE_STEERING: Bed = Bed {
    name: "tunnel-rps",
    expected: &["receive_steering"],
    prepare: |s| compare_with(&s.far, 4000),
    traffic: |s| {
        Ok(Box::new(Stream::new(s, Plan { flows: 1, window: 600, busy_ms: 8, sender: 0, reader: 1, first: false })))
    },
    least: Some(Least { softirq: 0.55, packets: 0.92 }),
    ..ONE_CORE
};

/// Connections of threads of this process.
fn threads(sites: &Sites, connections: usize, rate: Option<u32>) -> Result<Load, String> {
    Ok(Box::new(Traffic::tcp(sites, connections, rate)))
}

/// iperf3 sends from the near end.
fn iperf(sites: &Sites, arguments: &[&str]) -> Result<Load, String> {
    Ok(Box::new(Client::iperf((&sites.near, &sites.far), FAR.into(), arguments, None)?))
}

/// wrk asks from the near end for 20 kB over and over, by four connections; the far end thinks for 5 ms.
fn requests(sites: &Sites) -> Result<Load, String> {
    Ok(Box::new(Client::requests((&sites.near, &sites.far), FAR.into(), 20_000, Duration::from_millis(5))?))
}

/// Changes the tunnel's interface at both ends.
fn for_both(sites: &Sites, change: &[&str]) {
    for site in [&sites.near, &sites.far] {
        site.inside(|| ip(&[&["link", "set", TUNNEL][..], change].concat()));
    }
}

/// The bed with its traffic, running until it no longer starts up: what it was made for shows.
fn started(bed: &Bed) -> Result<(Sites, Load), String> {
    let sites = Sites::new();
    (bed.prepare)(&sites);
    let traffic = (bed.traffic)(&sites)?;
    sleep(Duration::from_secs(2));
    let site = match bed.end {
        End::Near => &sites.near,
        End::Far => &sites.far,
    };
    wait_for("time-outs of TCP", || (bed.timeouts == 0 || timeouts(site) >= bed.timeouts).then_some(()));
    Ok((sites, traffic))
}

/// Time-outs of TCP in a site so far.
fn timeouts(site: &Netns) -> u64 {
    site.inside(|| counters("TcpExt").get("TCPTimeouts").copied().unwrap_or(0))
}

/// What is named of a tunnel.
fn signs(verdict: &Value) -> Vec<&str> {
    verdict["signs"].as_array().into_iter().flatten().filter_map(|sign| sign["limit"].as_str()).collect()
}

/// True if observer says what is so: the verdict, and of neither end what is not so.
fn is_right(bed: &Bed, judged: &Value, other: &Value) -> bool {
    let only = |verdict: &Value| signs(verdict).iter().all(|limit| bed.expected.contains(limit));
    judged["limit"].as_str() == bed.expected.first().copied() && only(judged) && only(other)
}

/// Judges a bed.
fn judge(test: &str, bed: &Bed) {
    needs_root!(test);
    if bed.plain && runs::asked().is_none() && std::env::var_os("OBSERVER_TEST_WHOLE_MACHINE").is_some() {
        return skipped(test, "in a guest it is the same as on the host; OBSERVER_TEST_RUNS=1 runs it");
    }
    right_nearly_always(test, |_| {
        let (sites, _traffic) = started(bed)?;
        // On a busy machine a time-out may come late.
        for n in 1..=3 {
            if look(test, bed, &sites)? {
                seen!("{test}: at look {n}");
                return Ok(vec![true]);
            }
        }
        Ok(vec![false])
    });
}

/// Times that a bed is looked at until its processors do what they are to do.
const ATTEMPTS: usize = 10;

/// Looks at a bed. The error says why it is not what it is to be.
fn look(test: &str, bed: &Bed, sites: &Sites) -> Result<bool, String> {
    let mut reason = String::new();
    for _ in 0..ATTEMPTS {
        let before = bed.least.map(|least| (least, Cpus::now()));
        let said = reported(sites, "4s");
        let short = before.and_then(|(least, before)| Cpus::now().falls_short(&before, least));
        let (judged, other) = match bed.end {
            End::Near => (said.near, said.far.1),
            End::Far => (said.far, said.near.1),
        };
        let found = is_right(bed, &judged.1, &other);
        seen!("{test}: {}, {:?}, the other end {:?}", judged.1["limit"], signs(&judged.1), signs(&other));
        seen!("{test}: {}", judged.1["shares"]);
        // What is seen in spite of it is seen.
        if let Some(short) = short.filter(|_| !found) {
            seen!("{test}: {short}");
            reason = short;
            continue;
        }
        if !found {
            seen!("{test}: {:#}, {:#}, the other end: {other:#}", judged.1, judged.0);
        }
        return Ok(found);
    }
    Err(reason)
}

macro_rules! beds {
    ($($(#[$doc:meta])* $name:ident: $bed:expr;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            judge(stringify!($name), &$bed);
        }
    )*};
}

beds! {
    a_tunnel_without_a_limit: HEALTHY;
    a_tunnel_without_traffic_is_idle: IDLE;
    a_queue_of_the_underlay_that_drops: QUEUE;
    a_tunnel_with_a_larger_mtu_than_fits: MTU;
    outer_packets_that_are_cut: FRAGMENTS;
    large_packets_that_a_processor_cuts: OFFLOAD;
    outer_packets_over_a_size_that_vanish: BLACK_HOLE;
    one_processor_that_works_for_a_tunnel: ONE_CORE;
    a_single_outer_flow_that_is_not_steered: RECEIVE_STEERING;

    iperf_through_a_tunnel_without_a_limit: Bed { traffic: |s| iperf(s, &["--fq-rate", "16M"]), ..HEALTHY };
    requests_through_a_tunnel_without_a_limit: Bed { traffic: requests, end: End::Far, ..HEALTHY };
    iperf_through_a_tunnel_with_a_larger_mtu: Bed { traffic: |s| iperf(s, &["--fq-rate", "16M"]), ..MTU };
    requests_through_a_tunnel_with_a_larger_mtu: Bed { traffic: requests, end: End::Far, ..MTU };
    iperf_into_a_black_hole: Bed { traffic: |s| iperf(s, &[]), ..BLACK_HOLE };
    /// The answers are too large, the requests are not.
    requests_into_a_black_hole: Bed { traffic: requests, end: End::Far, timeouts: 12, ..BLACK_HOLE };
}

/// The feature that is off is named, with the command that switches it on.
#[test]
fn a_feature_that_is_switched_off_is_named() {
    const NAME: &str = "a_feature_that_is_switched_off_is_named";
    needs_root!("a_feature_that_is_switched_off_is_named");
    if Command::new("ethtool").arg("--version").output().is_err() {
        return skipped(NAME, "there is no ethtool");
    }
    let (sites, _traffic) = started(&OFFLOAD_OFF).expect("threads need no program");
    wait_for("the feature to be named", || {
        let (tunnel, verdict) = reported(&sites, "4s").near;
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
    let (sites, traffic) = started(&HEALTHY).expect("threads need no program");
    let before = shown(&sites);
    let (tunnel, _) = reported(&sites, "3s").near;
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
#[ignore = "writes into the source tree"]
fn make_tunnel_recordings() {
    needs_root!("make_tunnel_recordings");
    // Those alone that are named, if any are.
    let named = std::env::var("OBSERVER_BEDS").unwrap_or_default();
    let beds = [HEALTHY, QUEUE, MTU, FRAGMENTS, OFFLOAD, BLACK_HOLE, ONE_CORE, RECEIVE_STEERING];
    for bed in beds.iter().filter(|bed| named.is_empty() || named.split(',').any(|name| name == bed.name)) {
        let (sites, _traffic) = started(bed).expect("threads need no program");
        let site = match bed.end {
            End::Near => &sites.near,
            End::Far => &sites.far,
        };
        let made = (0..ATTEMPTS).find_map(|_| {
            let before = Cpus::now();
            site.inside(|| finish(record(bed.name, "4s", None)));
            let short = bed.least.and_then(|least| Cpus::now().falls_short(&before, least));
            if let Some(short) = &short {
                seen!("{}: {short}", bed.name);
            }
            short.is_none().then_some(())
        });
        assert!(made.is_some(), "{}: other work keeps the processors from it", bed.name);
    }
}
