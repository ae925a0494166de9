//! The dashboards: only metrics that exist, only sound expressions, data in every panel, and nothing drawn over another.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use observer::output::metrics::{
    family::{Kind, Metric},
    table,
};
use serde_json::Value;

use crate::target::{has, run_to_end};

/// Parts of expressions that a healthy host may have no data for, and why.
const MAY_BE_EMPTY: &[(&str, &str)] = &[
    ("observer_finding{", "the panel shows only rules that fire"),
    ("kind=\"direct\"", "nobody reclaims for the host while memory is ample"),
    ("observer_page_alloc_failures_total", "the panel shows only orders that failed"),
    (
        "observer_page_alloc_cgroup_costly_allocations_total",
        "the panel shows only cgroups that asked for costly orders",
    ),
    ("observer_kswapd_", "kswapd works only when the whole host is short of memory, which no test may make it"),
    ("observer_tcp_send_limited_seconds_total", "it has a value only while an open connection has data to send"),
    ("observer_tcp_attempt_fails_total", "it cannot be derived on every kernel"),
    ("observer_memory_tmpfs_used_bytes", "every tmpfs may be empty"),
    ("observer_shrinker_", "no shrinker is called while memory is ample"),
    ("observer_reclaim_throttle", "nobody waits inside of reclaim while memory is ample"),
    ("observer_compaction_", "nobody may have compacted since the start"),
    ("observer_page_alloc_fallbacks_total", "the panel shows only types that fell back"),
    ("observer_page_alloc_retries_total", "nobody retries while memory is ample"),
    ("observer_eviction_refaulted_bytes_total", "the panel shows only page cache that was pushed out"),
    ("observer_oom_cgroup_kills_total", "the panel shows only cgroups that were killed in"),
    ("observer_oom_limit_kills_total", "the panel shows only limits at which somebody was killed"),
    ("observer_cgroup_memory_own_ooms_total", "version 1 does not tell"),
    ("observer_cgroup_memory_high_", "version 1 has no throttling limit"),
    ("observer_cgroup_memory_own_limit_hits_total", "the panel shows only limits that are met"),
    ("observer_lost_events_total", "the panel shows only what is lost"),
    ("observer_tunnel_limit", "the panel shows only tunnels that are limited"),
    ("observer_tunnel_dropped_packets_total", "the panel shows only tunnels that lose packets"),
    ("observer_tunnel_handshake_age_seconds", "not every host has WireGuard"),
    ("observer_tcp_listen_drops_total", "the panel shows only sockets that refuse"),
    ("observer_tcp_connect_failures_total", "the panel shows only networks that cannot be reached"),
    ("observer_tcp_syn_retransmits_total", "the panel shows only networks that do not answer at once"),
    ("observer_tcp_first_byte_run_delay", "not every kernel counts the wait of a thread for a CPU"),
    ("observer_socket_buffer_full_total", "the panel shows only sockets without room"),
    ("observer_dropped_packets_total", "the panel shows only what is dropped"),
    ("observer_source_readable", "the panel shows only what cannot be read"),
];

/// Why an expression may have no data; `None` if it must have some.
pub(crate) fn may_be_empty(expression: &str) -> Option<&'static str> {
    MAY_BE_EMPTY.iter().find(|(part, _)| expression.contains(part)).map(|(_, why)| *why)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

/// Every dashboard, by the name of its file.
fn dashboards() -> Vec<(String, Value)> {
    let entries = fs::read_dir(folder().join("grafana")).unwrap().map(|e| e.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
    };
    let mut all: Vec<_> = entries.map(read).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["observer", "observer-memory", "observer-network"]
    );
    all
}

/// Panels that show something, rows left out.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|p| p["type"] != "row")
}

fn expressions(panel: &Value) -> impl Iterator<Item = &str> {
    panel["targets"].as_array().unwrap().iter().map(|t| t["expr"].as_str().unwrap())
}

/// The metrics of ours that an expression names, with the name as written. Names of recorded series are not among them.
fn metrics(expression: &str) -> impl Iterator<Item = (&str, Option<&'static Metric>)> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|w| w.starts_with("observer_")).map(|word| {
        let known = table().find(|m| match m.kind {
            Kind::Histogram => ["_bucket", "_sum", "_count"].iter().any(|s| word.strip_suffix(s) == Some(m.name)),
            Kind::Counter | Kind::Gauge | Kind::Info => word == m.name,
        });
        (word, known)
    })
}

/// Panics if an expression names a metric that does not exist.
pub(crate) fn only_known_metrics(expression: &str) {
    let unknown: Vec<_> = metrics(expression).filter(|(_, m)| m.is_none()).map(|(word, _)| word).collect();
    assert!(unknown.is_empty(), "{unknown:?} in {expression}");
}

/// Runs every expression of the dashboard; each must succeed and have data, or a reason to have none, such as `no_tunnel`.
pub(crate) fn each_panel_has_data(query: impl Fn(&str) -> Result<Vec<Value>, String>, no_tunnel: bool) {
    let dashboards = dashboards();
    for panel in dashboards.iter().flat_map(|(_, dashboard)| panels(dashboard)) {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let concrete = [("$__rate_interval", "20s"), ("$__range", "1m"), ("$job", "observer"), ("$instance", ".*")];
            let concrete =
                concrete.iter().fold(expression.to_owned(), |e, (variable, value)| e.replace(variable, value));
            assert!(!concrete.contains('$'), "{concrete}");
            let samples = query(&concrete).unwrap_or_else(|error| panic!("{title}: {concrete}: {error}"));
            if samples.is_empty() {
                let none =
                    Some("this host makes no tunnel").filter(|_| no_tunnel && expression.contains("observer_tunnel"));
                let why = may_be_empty(expression).or(none);
                assert!(why.is_some(), "{title} has no data: {concrete}");
                println!("empty: {title}: {}", why.unwrap_or_default());
            }
            // What the legend names must be there: else Grafana draws lines without a name.
            // What is joined where it exists may lack by right.
            for label in legend(target).filter(|label| !joined(expression).any(|joined| joined == *label)) {
                let told = samples.iter().all(|s| s["metric"].get(label).is_some());
                assert!(told, "{title}: the legend names {label}, {concrete} does not tell it: {samples:?}");
            }
        }
    }
}

/// Labels that an expression takes from the other side of a join.
fn joined(expression: &str) -> impl Iterator<Item = &str> {
    let lists = expression.split("group_left (").skip(1).filter_map(|rest| rest.split_once(')'));
    lists.flat_map(|(list, _)| list.split(", "))
}

/// Labels that the legend of a target names.
fn legend(target: &Value) -> impl Iterator<Item = &str> {
    let format = target["legendFormat"].as_str().unwrap_or_default();
    format.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label.trim())
}

#[test]
fn panels_say_what_they_show() {
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["uid"], name.as_str());
        panels_of_one_say_what_they_show(&dashboard);
    }
}

fn panels_of_one_say_what_they_show(dashboard: &Value) {
    let mut titles = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels(dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(titles.insert(title), "{title} twice");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is used twice");
        assert!(panel["description"].as_str().is_some_and(|d| d.ends_with('.')), "{title}: no description");
        assert!(panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|u| !u.is_empty()), "{title}: no unit");
        for expression in expressions(panel) {
            only_known_metrics(expression);
            assert!(metrics(expression).count() > 0, "{title}: {expression}");
            let selectors = expression.matches("{job=~\"$job\", instance=~\"$instance\"").count();
            assert_eq!(selectors, metrics(expression).count(), "{title}: not chosen by job and instance: {expression}");
            sound(title, expression);
        }
    }
    let variables: Vec<_> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|v| v["name"].as_str()).collect();
    assert_eq!(variables, [Some("datasource"), Some("job"), Some("instance")]);
}

/// Place and size of a panel on the grid of 24 columns: left, top, right, bottom.
fn place(panel: &Value) -> [u64; 4] {
    let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
    [x, y, x + w, y + h]
}

#[test]
fn panels_fill_the_grid_and_lie_beside_each_other() {
    for (name, dashboard) in dashboards() {
        let all: Vec<_> = dashboard["panels"].as_array().unwrap().iter().collect();
        for (i, panel) in all.iter().enumerate() {
            let [left, top, right, bottom] = place(panel);
            assert!(left < right && right <= 24 && top < bottom, "{name}: {panel}");
            let over = all.iter().skip(i + 1).map(|other| (other, place(other)));
            let over = over.filter(|(_, [l, t, r, b])| *l < right && left < *r && *t < bottom && top < *b);
            assert_eq!(over.map(|(other, _)| &other["title"]).collect::<Vec<_>>(), Vec::<&Value>::new(), "{panel}");
        }
    }
}

#[test]
fn links_lead_to_dashboards_that_are_there() {
    let dashboards = dashboards();
    let uids: BTreeSet<_> = dashboards.iter().map(|(_, d)| format!("/d/{}", d["uid"].as_str().unwrap())).collect();
    for (name, dashboard) in &dashboards {
        let links: Vec<_> = dashboard["links"].as_array().unwrap().iter().map(|l| l["url"].as_str().unwrap()).collect();
        assert!(!links.is_empty() && links.iter().all(|url| uids.contains(*url)), "{name}: {links:?}");
    }
}

/// A counter stands in a rate or an increase and nothing else does, and a rate takes the interval that fits the scrapes.
fn sound(title: &str, expression: &str) {
    for (word, metric) in metrics(expression) {
        let counts = metric.is_some_and(|m| matches!(m.kind, Kind::Counter | Kind::Histogram));
        let grown = ["rate", "increase"].iter().any(|f| expression.contains(&format!("{f}({word}{{")));
        assert_eq!(counts, grown, "{title}: {word} in {expression}");
    }
    for range in expression.split('[').skip(1).filter_map(|rest| rest.split(']').next()) {
        let fits = if expression.contains("increase(") { "$__range" } else { "$__rate_interval" };
        assert_eq!(range, fits, "{title}: {expression}");
    }
}

#[test]
fn every_metric_of_the_probes_is_on_a_dashboard() {
    let dashboards = dashboards();
    let expressions = dashboards.iter().flat_map(|(_, dashboard)| panels(dashboard)).flat_map(expressions);
    let shown: BTreeSet<_> = expressions.flat_map(metrics).filter_map(|(_, m)| m).map(|m| m.name).collect();
    let subsystems = [
        "page_alloc",
        "reclaim",
        "kswapd",
        "oom",
        "tcp",
        "cgroup",
        "memory",
        "compaction",
        "shrinker",
        "eviction",
        "cgroups",
        "tunnel",
        "dropped_packets",
        "softnet",
        "host",
    ]
    .map(|s| format!("observer_{s}_"));
    let missing: BTreeSet<_> = table()
        .map(|m| m.name)
        .filter(|name| subsystems.iter().any(|s| name.starts_with(s)) && !shown.contains(name))
        .collect();
    // What a panel would only repeat.
    let left_out = [
        "observer_oom_last_kill_timestamp_seconds",
        "observer_page_alloc_cgroup_allocations_total",
        "observer_page_alloc_cgroup_failures_total",
        "observer_page_alloc_process_allocations_total",
        "observer_tcp_closed_total",
        "observer_tcp_established_total",
        "observer_tcp_namespaces",
        "observer_tcp_resets_received_total",
        "observer_tcp_resets_sent_total",
    ];
    assert_eq!(missing, BTreeSet::from(left_out));
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    if !has("promtool_accepts_the_rules_and_their_tests", "promtool") {
        return;
    }
    for arguments in [
        &["check", "config", "scrape.yml"][..],
        &["check", "rules", "recording.yml", "alerts.yml"],
        &["test", "rules", "tests.yml"],
    ] {
        let mut command = Command::new("promtool");
        let (code, stdout, stderr) = run_to_end(command.args(arguments).current_dir(folder().join("prometheus")));
        assert_eq!(code, Some(0), "promtool {arguments:?}: {stdout}{stderr}");
    }
}

#[test]
fn every_rule_has_a_test() {
    let read = |name: &str| fs::read_to_string(folder().join("prometheus").join(name)).unwrap();
    let (rules, tests) = (read("recording.yml") + &read("alerts.yml"), read("tests.yml"));
    let names = rules.lines().filter_map(|l| l.trim().strip_prefix("- ")).filter_map(|l| l.split_once(": "));
    let names: Vec<_> = names.filter(|(key, _)| matches!(*key, "alert" | "record")).map(|(_, name)| name).collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let tested =
            [format!("alertname: {name}\n"), format!("expr: {name}\n")].iter().any(|line| tests.contains(line));
        assert!(tested, "{name} has no test");
    }
}
