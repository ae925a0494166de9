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
