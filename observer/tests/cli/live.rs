//! `observer report` on this host.

use std::{collections::BTreeSet, io::Read};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::run::{Running, observer, run, wait_until};

fn document(args: &[&str]) -> Value {
    let run = run(args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 1, "one document on one line");
    serde_json::from_str(&run.stdout).expect("JSON")
}

#[test]
fn one_document_with_every_probe() {
    let document = document(&["report", "--json", "--for", "300ms"]);
    assert_eq!(document["version"], 1);
    assert_eq!(document["observer_version"], env!("CARGO_PKG_VERSION"));
    let seconds = document["interval"]["seconds"].as_f64().unwrap();
    assert!((0.3..30.0).contains(&seconds), "{seconds}");
    let named: BTreeSet<&str> =
        document["coverage"]["probes"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    // Those are there while a tunnel is, whose ever it may be.
    let named: BTreeSet<&str> = named.into_iter().filter(|name| !name.starts_with("tunnel_")).collect();
    let table: BTreeSet<&str> = observer::source::kernel::probes::PROBES.iter().map(|p| p.name).collect();
    assert_eq!(named, table);
    assert!(document["memory"]["meminfo"]["total"].as_u64() > Some(1 << 20));
    assert!(document["memory"]["vm"]["faults"].as_f64() > Some(0.0), "observer itself faults");
}

#[test]
fn text_names_each_section() {
    let run = run(&["report", "--for", "100ms"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for title in ["FINDINGS", "MEMORY", "OOM KILLS", "TCP", "TUNNELS", "COVERAGE"] {
        assert!(run.stdout.lines().any(|l| l == title), "{title} in {}", run.stdout);
    }
    assert_eq!(run.stderr, "");
}

#[test]
fn a_signal_ends_it_in_time_and_is_told_by_the_exit_code() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let running = Running::start(&["report", "--for", "1h"]);
        wait_until("observer to listen for signals", || running.catches(signal as i32));
        running.signal(signal);
        assert_eq!(running.end(), (Some(code), String::new()));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut running = Running::start(&["report", "--for", "100ms"]);
    drop(running.0.stdout.take());
    let mut said = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn nobody_has_to_read_the_log() {
    let mut running = Running::start(&["--verbose", "report", "--json", "--for", "100ms"]);
    drop(running.0.stderr.take());
    let (code, out) = running.end();
    assert_eq!(code, Some(0));
    assert!(serde_json::from_str::<Value>(&out).is_ok(), "{out}");
}

#[test]
fn a_full_disk_is_an_error() {
    let mut command = observer(&["report", "--for", "100ms"]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let run = crate::run::finish_redirected(command);
    assert_eq!(run.code, Some(1));
    assert_eq!(run.stderr, "observer: No space left on device (os error 28)\n");
}

#[test]
fn without_a_command_and_a_terminal_it_reports() {
    let run = run(&[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("\nCOVERAGE\n"), "{}", run.stdout);
}
