//! A real Prometheus that scrapes a real `observer serve`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use observer::output::metrics::{family::Kind, table};
use serde_json::Value;

use crate::{
    dashboards, http,
    target::{Target, has, is_root, wait_for},
    tunnel::Tunnel,
    workload::{Cgroup, Holder, connections},
};

/// Families that a healthy host may not have at the time of the test, and why.
const MAY_BE_ABSENT: &[(&str, &str)] = &[
    ("observer_probe_runs_total", "the kernel counts runs only while kernel.bpf_stats_enabled is 1"),
    ("observer_probe_recursion_misses_total", "kernels before 5.12 do not tell recursion misses"),
    ("observer_kswapd_wakes_total", "a node is known from its first wake, and kswapd may sleep for days"),
    ("observer_kswapd_awake_seconds_total", "a node is known from its first wake, and kswapd may sleep for days"),
    ("observer_kswapd_scanned_bytes_total", "kswapd may sleep for days"),
    ("observer_kswapd_reclaimed_bytes_total", "kswapd may sleep for days"),
    ("observer_kswapd_cycle_seconds", "a node is known from its first wake, and kswapd may sleep for days"),
    ("observer_compaction_zones_total", "nobody may have compacted since the start"),
    ("observer_shrinker_calls_total", "no shrinker is called while memory is ample"),
    ("observer_shrinker_seconds_total", "no shrinker is called while memory is ample"),
    ("observer_shrinker_freed_objects_total", "no shrinker is called while memory is ample"),
    ("observer_reclaim_throttles_total", "nobody waits inside of reclaim while memory is ample"),
    ("observer_reclaim_throttled_seconds_total", "nobody waits inside of reclaim while memory is ample"),
    ("observer_memory_tmpfs_used_bytes", "every tmpfs may be empty"),
    ("observer_cgroup_container_info", "there may be no container"),
    ("observer_network_namespace_info", "no namespace may have a name"),
    ("observer_cgroup_memory_own_ooms_total", "version 1 does not tell"),
    (
        "observer_cgroup_memory_high_bytes",
        "version 1 has no throttling limit, and on version 2 nobody may have set one",
    ),
    ("observer_cgroup_memory_high_hits_total", "version 1 has no throttling limit"),
    ("observer_tcp_attempt_fails_total", "it cannot be derived on every kernel"),
    ("observer_tunnel_handshake_age_seconds", "not every host has WireGuard"),
    ("observer_tcp_established_resets_total", "it cannot be derived on every kernel"),
];

/// Prometheus on a free port of loopback, with the project's rules. It is killed when this is dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/prometheus");
        let rules = fs::canonicalize(rules).unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{rules}/recording.yml', '{rules}/alerts.yml']\n\
             scrape_configs: [{{job_name: observer, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules = rules.display()
        );
        fs::write(&config, text).unwrap();
        // Free a moment ago; Prometheus itself cannot be asked for a free one.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let prometheus = Self { child, address, _folder: folder };
        wait_for("Prometheus to be ready", || {
            let request = format!("GET /-/ready HTTP/1.0\r\nHost: {address}\r\n\r\n");
            http::send(address, request.as_bytes()).ok().filter(|r| r.status == 200).map(|_| ())
        });
        prometheus
    }

    fn api(&self, path: &str) -> Result<Value, String> {
        let response = http::get(self.address, path);
        let json: Value = serde_json::from_slice(&response.body).map_err(|e| e.to_string())?;
        if json["status"] == "success" { Ok(json["data"].clone()) } else { Err(json["error"].to_string()) }
    }

    /// The samples that a query answers with.
    fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let encoded: String = expression.bytes().map(|b| format!("%{b:02x}")).collect();
        let data = self.api(&format!("/api/v1/query?query={encoded}"))?;
        data["result"].as_array().cloned().ok_or_else(|| format!("no list of samples: {data}"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the host busy in our own cgroup and on loopback, until it is told to stop.
struct Load {
    /// Set if this host makes no tunnel.
    no_tunnel: Arc<OnceLock<()>>,
    stop: std::sync::mpsc::Sender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Load {
    fn start() -> Self {
        let (stop, stopped) = std::sync::mpsc::channel();
        let without: Arc<OnceLock<()>> = Arc::default();
        let no_tunnel = Arc::clone(&without);
        let thread = thread::spawn(move || {
            let limit = 32 << 20;
            let cgroup = Cgroup::new("prometheus", limit);
            if let Err(reason) = &cgroup {
                println!("SKIPPED reclaim and OOM kills under a real Prometheus: {reason}");
            }
            let holder = Holder::named(b"holder", 16);
            let tunnel = Tunnel::new("prometheus_answers_for_every_family_and_every_expression");
            if let Err(reason) = &tunnel {
                println!("SKIPPED a tunnel under a real Prometheus: {reason}");
                let _ = no_tunnel.set(());
            }
            let mut rounds = 0;
            while stopped.recv_timeout(Duration::from_millis(300)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                connections(20);
                if let Ok(tunnel) = &tunnel {
                    tunnel.send();
                }
                if let Ok(cgroup) = &cgroup {
                    cgroup.reclaim(limit);
                    // One kill is enough; more would only fill the kernel log.
                    if rounds == 2 {
                        cgroup.oom(limit);
                    }
                }
                rounds += 1;
            }
            drop(holder);
        });
        Self { no_tunnel: without, stop, thread: Some(thread) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Name under which Prometheus answers for a family.
fn asked(name: &str, kind: Kind) -> String {
    if kind == Kind::Histogram { format!("{name}_bucket") } else { name.to_owned() }
}

/// Why a family may be absent; empty if it may not.
fn why_absent(name: &str, no_tunnel: bool) -> &'static str {
    let listed = MAY_BE_ABSENT.iter().find(|(absent, _)| *absent == name).map_or("", |(_, why)| *why);
    if listed.is_empty() && no_tunnel && name.starts_with("observer_tunnel") {
        "this host makes no tunnel"
    } else {
        listed
    }
}

#[test]
fn prometheus_answers_for_every_family_and_every_expression() {
    let test = "prometheus_answers_for_every_family_and_every_expression";
    if !has(test, "prometheus") {
        return;
    }
    if !is_root() {
        println!("SKIPPED {test}: kernel metrics need root");
        return;
    }
    let kills = tempfile::tempdir().unwrap();
    let target = Target::start(&["--first-byte", "--interval", "1s", "--oom-dir", kills.path().to_str().unwrap()]);
    let prometheus = Prometheus::start(target.address);
    let load = Load::start();

    let mut absent: BTreeMap<&str, &str> = BTreeMap::new();
    wait_for("every family to be answered", || {
        absent = table()
            .filter(|m| prometheus.query(&asked(m.name, m.kind)).unwrap().is_empty())
            .map(|m| (m.name, why_absent(m.name, load.no_tunnel.get().is_some())))
            .collect();
        let missing: Vec<_> = absent.iter().filter(|(_, why)| why.is_empty()).map(|(name, _)| name).collect();
        missing.is_empty().then_some(())
    });
    for (name, why) in &absent {
        println!("absent: {name}: {why}");
    }

    // Rates need a history: every expression with a range has one of 20 s behind it then.
    wait_for("20 scrapes", || {
        let up = prometheus.query("sum_over_time(up{job=\"observer\"}[5m])").unwrap();
        let n: f64 = up.first()?["value"][1].as_str()?.parse().ok()?;
        (n >= 20.0).then_some(())
    });
    rules(&prometheus);
    dashboards::each_panel_has_data(|expression| prometheus.query(expression), load.no_tunnel.get().is_some());
    drop(load);

    let scrapes = prometheus.query("max_over_time(scrape_duration_seconds{job=\"observer\"}[5m])").unwrap();
    println!("slowest scrape of pid {}: {} s", target.pid(), scrapes[0]["value"][1]);
    // On a busy machine some take longer than the second that they have.
    let up = prometheus.query("avg_over_time(up{job=\"observer\"}[5m])").unwrap();
    let up: f64 = up[0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!(up >= 0.7, "scrapes failed: {up} of them were answered");
}

/// Every rule was evaluated without an error, and every recording rule has recorded, but for those with a reason.
fn rules(prometheus: &Prometheus) {
    let data = prometheus.api("/api/v1/rules").unwrap();
    let rules: Vec<_> =
        data["groups"].as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap()).collect();
    assert!(rules.len() >= 10, "{rules:?}");
    let mut names = BTreeSet::new();
    for rule in rules {
        let (name, query) = (rule["name"].as_str().unwrap(), rule["query"].as_str().unwrap());
        assert_eq!(rule["health"], "ok", "{name}: {}", rule["lastError"]);
        dashboards::only_known_metrics(query);
        assert!(names.insert(name), "{name} twice");
        if rule["type"] == "recording" && prometheus.query(name).unwrap().is_empty() {
            let why = dashboards::may_be_empty(query);
            assert!(why.is_some(), "{name} has recorded nothing: {query}");
            println!("empty: {name}: {}", why.unwrap_or_default());
        }
    }
}
