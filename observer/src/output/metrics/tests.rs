//! The table as a whole: its names, its two encodings, its documentation.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Exporter, Format, Page,
    family::Kind,
    full::{HOSTILE, snapshot},
    table,
};
use crate::snapshot::{
    Name, Snapshot,
    process::{Process, Processes},
};

/// Name, labels and value of a sample, as written.
type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

fn page() -> Page {
    let mut exporter = Exporter::new(8);
    exporter.page(snapshot(1), Duration::from_millis(1));
    exporter.page(snapshot(3), Duration::from_millis(1))
}

fn text(page: &Page, format: Format) -> String {
    String::from_utf8(page.body(format, false).unwrap().to_vec()).unwrap()
}

/// Reads one exposition; anything that is not in the format panics.
fn parse(text: &str) -> Samples {
    assert!(text.ends_with('\n'));
    let mut samples = Samples::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (name, labels, value) = sample(line);
        let value = value.replace("+Inf", "inf").parse().unwrap();
        assert!(samples.insert((name, labels), value).is_none(), "twice: {line}");
    }
    samples
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, &str) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap();
            let (value, after) = quoted(after);
            // A bound may be written in more than one way.
            let value =
                if label == "le" && value != "+Inf" { value.parse::<f64>().unwrap().to_string() } else { value };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    (name.to_owned(), labels, rest.strip_prefix(' ').unwrap())
}

/// A label value with its escapes undone, and what follows its closing quote.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next().unwrap() {
            (at, '"') => return (value, &text[at + 1..]),
            (_, '\\') => value.push(match chars.next().unwrap().1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                c => panic!("escape {c:?} in {text}"),
            }),
            (_, c) => value.push(c),
        }
    }
}

#[test]
fn every_metric_says_something_of_a_full_snapshot() {
    let page = page();
    let filled: BTreeSet<_> = page.families.iter().map(|f| f.metric.name).collect();
    let all: BTreeSet<_> = table().map(|m| m.name).collect();
    assert_eq!(filled, all);
}

#[test]
fn of_nothing_nothing_is_said() {
    let page = Exporter::new(8).page(Snapshot::default(), Duration::ZERO);
    let own = [
        "observer_build_info",
        "observer_finding_undecided",
        "observer_start_time_seconds",
        "observer_cpu_seconds_total",
    ];
    let own: BTreeSet<_> = own
        .into_iter()
        .chain(["observer_snapshots_total", "observer_snapshot_seconds_total", "observer_dropped_points_total"])
        .collect();
    let filled: BTreeSet<_> = page.families.iter().map(|f| f.metric.name).collect();
    assert_eq!(filled, own);
}

#[test]
fn both_encodings_carry_the_same_samples() {
    let page = page();
    let (text, open_metrics) = (text(&page, Format::Text), text(&page, Format::OpenMetrics));
    assert!(open_metrics.ends_with("\n# EOF\n"));
    assert_eq!(parse(&text), parse(&open_metrics));
}

#[test]
fn the_second_coding_is_the_first_one_compressed() {
    let page = page();
    let gzip = page.body(Format::Text, true).unwrap();
    let mut plain = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&gzip[..]), &mut plain).unwrap();
    assert_eq!(plain, text(&page, Format::Text));
}

#[test]
fn a_hostile_name_is_one_label_value() {
    let samples = parse(&text(&page(), Format::Text));
    let name = Name::from_bytes(HOSTILE).to_string();
    let labels = BTreeMap::from([("cgroup".to_owned(), format!("/{name}")), ("comm".to_owned(), name)]);
    assert_eq!(samples[&("observer_page_alloc_process_allocations_total".to_owned(), labels)], 36.0);
}

#[test]
fn a_process_bears_its_own_name_and_not_that_of_a_thread() {
    let mut snapshot = snapshot(1);
    let process = Process { pid: 42, comm: Name::from("java"), ..Process::default() };
    snapshot.processes = Some(Processes { list: vec![process], not_listed: 0 });
    let page = Exporter::new(8).page(snapshot, Duration::ZERO);
    let samples = parse(&text(&page, Format::Text));
    let named = samples.keys().filter(|(name, _)| name == "observer_page_alloc_process_bytes_total");
    let comms: Vec<_> = named.map(|(_, labels)| labels["comm"].as_str()).collect();
    assert_eq!(comms, ["java", "other"]);
}

#[test]
fn sums_over_labels_are_the_total() {
    let samples = parse(&text(&page(), Format::Text));
    let sum = |name: &str| -> f64 { samples.iter().filter(|((n, _), _)| n == name).map(|(_, v)| v).sum() };
    // 12 orders, once for the process, twice for the ended, three times for what found no place, 3 s.
    assert_eq!(sum("observer_page_alloc_allocations_total"), 216.0);
    assert_eq!(sum("observer_page_alloc_cgroup_allocations_total"), 216.0);
    assert_eq!(sum("observer_page_alloc_process_allocations_total"), 216.0);
    assert_eq!(sum("observer_page_alloc_failures_total"), sum("observer_page_alloc_cgroup_failures_total"));
    assert_eq!(sum("observer_oom_cgroup_kills_total"), 2.0);
    // Two in each of two reports, and a report for which there was no room.
    assert_eq!(sum("observer_oom_limit_kills_total"), 5.0);
    assert_eq!(sum("observer_kswapd_requests_total"), 6.0);
    assert_eq!(sum("observer_tcp_closed_connections_total"), 6.0);
    // Each connection once, though it is counted by process, too.
    assert_eq!(sum("observer_tcp_first_byte_seconds_count"), 6.0);
    assert_eq!(sum("observer_tcp_connect_failures_total"), 6.0);
    assert!((sum("observer_tcp_first_byte_stage_seconds_total") - 0.018).abs() < 1e-9);
    assert!((sum("observer_tcp_first_byte_seconds_sum") - 0.018).abs() < 1e-9);
    // A message between processes is no packet; what found no place may be one.
    assert_eq!(sum("observer_dropped_packets_total"), 6.0);
}

#[test]
fn what_is_older_than_observer_counts_from_the_first_look_on() {
    let samples = parse(&text(&page(), Format::Text));
    let sum = |name: &str| -> f64 { samples.iter().filter(|((n, _), _)| n == name).map(|(_, v)| v).sum() };
    // Two sockets of one address, and two CPUs, of which the second does three times as much; two seconds.
    assert_eq!((sum("observer_tcp_listen_drops_total"), sum("observer_tcp_listen_queue")), (20.0, 4.0));
    assert_eq!((sum("observer_softnet_packets_total"), sum("observer_softnet_dropped_packets_total")), (800.0, 16.0));
    assert_eq!(sum("observer_tunnel_sent_packets_total"), 20_000.0);
    assert_eq!(
        (sum("observer_tunnel_fragments_total"), sum("observer_tunnel_encapsulation_seconds_count")),
        (4.0, 2.0)
    );
    let name = Name::from_bytes(HOSTILE).to_string();
    let of = |name: &str, more: (&str, &str)| {
        let labels = [("netns", "4026531840"), ("tunnel", &Name::from_bytes(HOSTILE).to_string()), more];
        let labels = labels.iter().filter(|l| !l.0.is_empty()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        samples.get(&(name.to_owned(), labels.collect())).copied()
    };
    assert_eq!(of("observer_tunnel_dropped_packets_total", ("stage", "device")), Some(14.0));
    assert_eq!(of("observer_tunnel_dropped_packets_total", ("stage", "backlog")), Some(16.0));
    assert_eq!(of("observer_tunnel_overhead_bytes", ("how", "measured")), Some(50.0));
    assert_eq!(of("observer_tunnel_overhead_bytes", ("how", "nominal_most")), Some(50.0));
    assert_eq!(of("observer_tunnel_mtu_headroom_bytes", ("", "")), Some(0.0));
    assert_eq!(of("observer_tunnel_handshake_age_seconds", ("peer", &name)), Some(3.0));
}

#[test]
fn packets_of_a_tunnel_without_an_interface_are_not_told() {
    let with = |second: u64| {
        let mut snapshot = snapshot(second);
        let tunnels = snapshot.network.as_mut().unwrap().namespaces[0].tunnels.as_mut().unwrap();
        let mut ipsec = crate::snapshot::tunnel::Tunnel { name: "ipsec".into(), ..Default::default() };
        ipsec.peers = vec![crate::snapshot::tunnel::Peer { tx_bytes: Some(100 * second), ..Default::default() }];
        tunnels.push(ipsec);
        snapshot
    };
    let mut exporter = Exporter::new(8);
    exporter.page(with(1), Duration::ZERO);
    let samples = parse(&text(&exporter.page(with(3), Duration::ZERO), Format::Text));
    let labels = [("netns", "4026531840"), ("tunnel", "ipsec")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let of = |name: &str| samples.get(&(name.to_owned(), BTreeMap::from(labels.clone()))).copied();
    assert_eq!(of("observer_tunnel_sent_bytes_total"), Some(200.0));
    assert_eq!(of("observer_tunnel_sent_packets_total"), None);
}

#[test]
fn more_tunnels_than_have_a_name_are_in_other() {
    let with = |second: u64| {
        let mut snapshot = snapshot(second);
        let links = &mut snapshot.links.as_mut().unwrap().list;
        let tunnels = snapshot.network.as_mut().unwrap().namespaces[0].tunnels.as_mut().unwrap();
        let (link, tunnel) = (links.last().unwrap().clone(), tunnels[0].clone());
        links.extend((0..50).map(|i| crate::snapshot::link::Link { index: 100 + i, ..link.clone() }));
        tunnels.extend((0..50).map(|i| crate::snapshot::tunnel::Tunnel {
            ifindex: Some(100 + i),
            name: format!("t{i}").into(),
            ..tunnel.clone()
        }));
        snapshot
    };
    let mut exporter = Exporter::new(8);
    exporter.page(with(1), Duration::ZERO);
    let page = exporter.page(with(3), Duration::ZERO);
    let samples = parse(&text(&page, Format::Text));
    let all = |name: &str| samples.iter().filter(|((n, _), _)| n == name).map(|(_, v)| *v).collect::<Vec<_>>();
    let sent = all("observer_tunnel_sent_packets_total");
    assert_eq!((sent.len(), sent.iter().sum::<f64>()), (9, 51.0 * 20_000.0));
    assert_eq!(all("observer_tunnel_limit").len(), 8);
    assert_eq!(all("observer_tunnel_handshake_age_seconds").len(), 8);
    assert_eq!(all("observer_tunnels"), [51.0]);
    assert_eq!(
        page.families.iter().find(|f| f.metric.name == "observer_dropped_points_total").unwrap().points.len(),
        1
    );
    assert_eq!(all("observer_dropped_points_total"), [0.0]);
}

#[test]
fn a_requester_that_ends_and_makes_room_is_not_counted_twice() {
    use crate::snapshot::kswapd::{Kswapd, KswapdRequester};
    let at = |second, requesters: &[(u32, u64)], other_requests| {
        let requester = |(pid, requests): &(u32, u64)| KswapdRequester {
            pid: *pid,
            comm: Name::from("x"),
            requests: *requests,
            ..Default::default()
        };
        let requesters = requesters.iter().map(requester).collect();
        Snapshot { kswapd: Some(Kswapd { nodes: Vec::new(), requesters, other_requests }), ..snapshot(second) }
    };
    let mut exporter = Exporter::new(8);
    let mut sum = |snapshot| {
        let samples = parse(&text(&exporter.page(snapshot, Duration::ZERO), Format::Text));
        let requests = samples.iter().filter(|((name, _), _)| name == "observer_kswapd_requests_total");
        requests.map(|(_, value)| value).sum::<f64>()
    };
    assert_eq!(sum(at(1, &[(7, 5000), (8, 10)], 0)), 5010.0);
    assert_eq!(sum(at(2, &[(8, 12)], 5003)), 5015.0, "two more, and the last three of the one that ended");
}

#[test]
fn latencies_fall_into_the_buckets_of_their_bounds() {
    let samples = parse(&text(&page(), Format::Text));
    let name = Name::from_bytes(HOSTILE).to_string();
    let at = |suffix: &str, le: Option<&str>| {
        let labels = [("cgroup", format!("/{name}")), ("kind", "memcg".to_owned())];
        let labels = labels.into_iter().chain(le.map(|le| ("le", le.to_owned())));
        let labels = labels.map(|(k, v)| (k.to_owned(), v)).collect();
        samples[&(format!("observer_reclaim_latency_seconds{suffix}"), labels)]
    };
    assert_eq!(at("_bucket", Some("0.000016384")), 3.0);
    assert_eq!(at("_bucket", Some("0.000131072")), 6.0);
    assert_eq!(at("_bucket", Some("0.000262144")), 9.0);
    assert_eq!(at("_bucket", Some("17.179869184")), 9.0);
    assert_eq!(at("_bucket", Some("+Inf")), 12.0);
    assert_eq!(at("_count", None), 12.0);
    assert_eq!(at("_sum", None), 0.0003);
}

#[test]
fn names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for m in table() {
        let name = m.name;
        assert!(names.insert(name), "{name} twice");
        assert!(name.starts_with("observer_"), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), m.kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_info"), m.kind == Kind::Info, "{name}");
        for unit in ["seconds", "bytes"] {
            assert_eq!(m.family_name().ends_with(&format!("_{unit}")), m.unit == Some(unit), "{name}");
        }
        assert!(!m.help.is_empty() && !m.help.ends_with('.') && !m.help.contains(['\n', '\\']), "{name}");
        assert!(!m.source.is_empty(), "{name}");
        assert!(
            m.labels.iter().all(|l| l.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && *l != "le"),
            "{name}"
        );
    }
}

#[test]
fn promtool_has_no_complaint() {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match promtool {
        Ok(child) => child,
        Err(error) => {
            println!("SKIPPED promtool_has_no_complaint: promtool does not start: {error}");
            return;
        }
    };
    child.stdin.take().unwrap().write_all(text(&page(), Format::Text).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_documentation_has_a_row_for_each_metric() {
    let documented = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"));
    let rows: Vec<_> = documented.lines().filter(|l| l.starts_with("| `observer_")).collect();
    let expected: Vec<_> = table()
        .map(|m| {
            let labels: Vec<_> = m.labels.iter().map(|l| format!("`{l}`")).collect();
            let labels = if labels.is_empty() { "none".into() } else { labels.join(", ") };
            let (kind, unit) = (m.kind.as_str(), m.unit.unwrap_or("none"));
            format!("| `{}` | {kind} | {labels} | {unit} | {}. | {} |", m.name, m.help, m.source)
        })
        .collect();
    assert_eq!(rows, expected, "\nthe rows that docs/metrics.md should have:\n{}\n", expected.join("\n"));
}
